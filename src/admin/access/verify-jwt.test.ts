import { createPublicKey, generateKeyPairSync, type KeyLike, sign } from 'node:crypto'
import { describe, expect, test } from 'vitest'
import {
  AUDIENCE,
  base64url,
  ecPair,
  goodClaims,
  ISSUER,
  type KeyPair,
  type Parts,
  pemOf,
  rsaPair,
  signed,
} from '../../../test/kit/tokens.ts'
import type { Algorithm } from '../../model/auth.ts'
import { Refusal } from '../http/problem.ts'
import { createVerifyJwt, type FindKey, type JwtPolicy } from './verify-jwt.ts'

const RSA = rsaPair()
const OTHER_RSA = rsaPair()
const EC = { 'P-256': ecPair('P-256'), 'P-384': ecPair('P-384'), secp256k1: ecPair('secp256k1') }
const ED = generateKeyPairSync('ed25519')
const NOW = Date.UTC(2026, 0, 1, 12)
const SECONDS = NOW / 1000

const claims = (more: Readonly<Record<string, unknown>> = {}) =>
  goodClaims({ sub: 'ann', iat: SECONDS, exp: SECONDS + 3600, role: 'operator', ...more })

function without(...names: string[]): Record<string, unknown> {
  return Object.fromEntries(Object.entries(claims()).filter(([name]) => !names.includes(name)))
}

type Setting = {
  readonly pair?: KeyPair
  readonly algorithms?: readonly Algorithm[]
  readonly findKey?: FindKey
  readonly roleClaim?: string
}

function verifier({ pair = RSA, algorithms = ['RS256'], findKey, roleClaim = 'role' }: Setting = {}) {
  const key: JwtPolicy['key'] =
    findKey === undefined ? { kind: 'public-key', pem: pemOf(pair) } : { kind: 'jwks', uri: `${ISSUER}keys` }
  const policy = { issuer: ISSUER, audience: AUDIENCE, algorithms, key, roleClaim }
  return createVerifyJwt(policy, findKey ?? (() => 'unknown'), () => NOW)
}

const good = (parts: Parts = {}, key: KeyLike = RSA.privateKey) => signed('RS256', key, { payload: claims(), ...parts })

async function refusal(token: string, setting: Setting = {}): Promise<Refusal> {
  const found = await verifier(setting)(token)
  if (!(found instanceof Refusal)) throw new Error(`let in: ${JSON.stringify(found)}`)
  return found
}

describe('a signed token is its bearer', () => {
  test.each<[Algorithm, KeyPair]>([
    ['RS256', RSA],
    ['RS512', RSA],
    ['PS256', RSA],
    ['ES256', EC['P-256']],
    ['ES384', EC['P-384']],
  ])('%s', async (algorithm, pair) => {
    const token = signed(algorithm, pair.privateKey, { payload: claims() })
    const actor = await verifier({ pair, algorithms: [algorithm] })(token)
    expect(actor).toEqual({ name: 'ann', role: 'operator', expiresAt: (SECONDS + 3630) * 1000 })
  })

  test.each<[string, unknown, string | undefined]>([
    ['the highest of a list', ['viewer', 'admin', 'something'], 'admin'],
    ['one', 'viewer', 'viewer'],
    ['none that is known', ['root', 'superuser'], undefined],
    ['none', undefined, undefined],
    ['another case', 'Admin', undefined],
    ['a text with several', 'viewer admin', undefined],
    ['an object', { admin: true }, undefined],
    ['a list in a list', [['admin']], undefined],
  ])('with the role of its claim: %s', async (_, role, expected) => {
    const found = await verifier()(good({ payload: claims({ role }) }))
    if (expected !== undefined) return expect(found).toMatchObject({ role: expected })
    expect(found).toMatchObject({ code: 'forbidden', why: 'ann has no role' })
  })

  test.each(['__proto__', 'constructor', 'toString'])(
    'a role claim %s is not found where it was not said',
    async (roleClaim) => {
      expect((await refusal(good(), { roleClaim })).code).toBe('forbidden')
    },
  )

  test('whose issuer’s clock may be half a minute off', async () => {
    expect(await verifier()(good({ payload: claims({ exp: SECONDS - 29 }) }))).toMatchObject({ name: 'ann' })
    expect(await verifier()(good({ payload: claims({ nbf: SECONDS + 29, iat: SECONDS + 29 }) }))).toMatchObject({
      name: 'ann',
    })
  })

  test.each(['at+jwt', 'application/at+jwt', 'JWT', undefined])('of type %s', async (typ) => {
    expect(await verifier()(good({ header: { alg: 'RS256', typ } }))).toMatchObject({ name: 'ann' })
  })
})

// Each attack is a token that a careless gateway accepts. The answer is the same for all but expired tokens: exp is checked first, so
// that this answer tells nothing of the other checks.
describe('is not let in, and not told why', () => {
  const unsigned = (alg: string) => `${base64url({ alg, typ: 'JWT' })}.${base64url(claims())}.`
  const head = (header: object, payload: object | string = claims()) => good({ header, payload })

  test.each<[string, () => string, RegExp]>([
    ['none', () => unsigned('none'), /no token/],
    ['none with a signature', () => `${unsigned('none')}AAAA`, /algorithm/],
    ['NONE', () => `${unsigned('NONE')}AAAA`, /algorithm/],
    ['no signature', () => unsigned('RS256'), /no token/],
    [
      'a secret that is the public key (CVE-2015-9235)',
      () => signed('HS256', Buffer.from(pemOf(RSA)), { payload: claims() }),
      /algorithm/,
    ],
    [
      'the same, in DER',
      () => signed('HS256', RSA.publicKey.export({ type: 'spki', format: 'der' }), { payload: claims() }),
      /algorithm/,
    ],
    ['a secret under the name of the algorithm that is taken', () => hsAs('RS256'), /signature/],
    ['another key', () => good({}, OTHER_RSA.privateKey), /signature/],
    ['another algorithm of the key', () => signed('PS256', RSA.privateKey, { payload: claims() }), /algorithm/],
    [
      'another algorithm than it says',
      () => signed('RS512', RSA.privateKey, { header: { alg: 'RS256' }, payload: claims() }),
      /signature/,
    ],
    ['EdDSA', () => edDsa(), /algorithm/],
    [
      'a key it brings along',
      () => head({ alg: 'RS256', jwk: OTHER_RSA.publicKey.export({ format: 'jwk' }) }).replace(/[^.]+$/, 'AAAA'),
      /signature/,
    ],
    ['another issuer', () => good({ payload: claims({ iss: 'https://evil.example/' }) }), /issuer/],
    ['no issuer', () => good({ payload: without('iss') }), /issuer/],
    ['issuers', () => good({ payload: claims({ iss: [ISSUER] }) }), /issuer/],
    ['another audience', () => good({ payload: claims({ aud: 'bank' }) }), /audience/],
    ['no audience', () => good({ payload: without('aud') }), /audience/],
    ['expired', () => good({ payload: claims({ exp: SECONDS - 30 }) }), /expired/],
    ['no exp', () => good({ payload: without('exp') }), /exp/],
    ['an exp of text', () => good({ payload: claims({ exp: String(SECONDS + 60) }) }), /exp/],
    ['an endless exp', () => good({ payload: JSON.stringify(claims()).replace(/"exp":\d+/, '"exp":1e999') }), /exp/],
    ['not yet', () => good({ payload: claims({ nbf: SECONDS + 31 }) }), /not active/],
    ['made in the future', () => good({ payload: claims({ iat: SECONDS + 31 }) }), /iat/],
    ['no sub', () => good({ payload: without('sub') }), /sub/],
    ['an empty sub', () => good({ payload: claims({ sub: '' }) }), /sub/],
    ['a sub of 201 characters', () => good({ payload: claims({ sub: 'a'.repeat(201) }) }), /sub/],
    ['a sub that drives a terminal', () => good({ payload: claims({ sub: 'ann\u001b[2J' }) }), /sub/],
    ['a sub that turns the text around', () => good({ payload: claims({ sub: 'ann\u202e' }) }), /sub/],
    ['a sub that is the gateway’s own', () => good({ payload: claims({ sub: 'admin-token' }) }), /sub/],
    [
      'the sub "kill file", which reads like a built-in actor',
      () => good({ payload: claims({ sub: 'kill file' }) }),
      /sub/,
    ],
    [
      'the sub "Kill-File", which reads like a built-in actor',
      () => good({ payload: claims({ sub: 'Kill-File' }) }),
      /sub/,
    ],
    [
      'the sub "ｋｉｌｌ file", which reads like a built-in actor',
      () => good({ payload: claims({ sub: 'ｋｉｌｌ file' }) }),
      /sub/,
    ],
    [
      'the sub "signal ", which reads like a built-in actor',
      () => good({ payload: claims({ sub: 'signal ' }) }),
      /sub/,
    ],
    [
      'the sub "/etc/strangler/flags.json", which reads like a built-in actor',
      () => good({ payload: claims({ sub: '/etc/strangler/flags.json' }) }),
      /sub/,
    ],
    [
      'the sub "UNLEASH", which reads like a built-in actor',
      () => good({ payload: claims({ sub: 'UNLEASH' }) }),
      /sub/,
    ],
    ['a number for a sub', () => good({ payload: claims({ sub: 7 }) }), /sub/],
    ['another type', () => head({ alg: 'RS256', typ: 'logout+jwt' }), /type/],
    ['crit', () => head({ alg: 'RS256', crit: ['exp'] }), /crit/],
    ['b64', () => head({ alg: 'RS256', b64: false }), /crit or b64/],
    ['a kid that is no name', () => head({ alg: 'RS256', kid: { a: 1 } }), /kid/],
    ['no alg', () => head({ typ: 'JWT' }), /algorithm/],
    ['an alg that is no text', () => head({ alg: ['RS256'] }), /algorithm/],
    ['padding', () => `${good()}=`, /no token/],
    ['padding within', () => good().replace('.', '=.'), /no token/],
    ['the other alphabet', () => good().replace(/.$/, '+'), /no token/],
    ['four parts', () => `${good()}.AAAA`, /no token/],
    ['five parts', () => `${good()}.AAAA.AAAA`, /no token/],
    ['two parts', () => good().split('.').slice(0, 2).join('.'), /no token/],
    ['a payload that is not JSON', () => good({ payload: 'nonsense' }), /no object/],
    ['a payload that is null', () => good({ payload: 'null' }), /no object/],
    ['a payload that is a list', () => good({ payload: '[]' }), /no object/],
    ['a header that is null', () => good({ header: 'null' }), /no object/],
    ['a header that is not JSON', () => good({ header: 'nonsense' }), /no object/],
    [
      'a role said twice',
      () => good({ payload: JSON.stringify(claims()).replace('{', '{"role":"admin",') }),
      /no object/,
    ],
    ['an alg said twice', () => good({ header: '{"alg":"none","alg":"RS256"}' }), /no object/],
    [
      'a payload of a thousand levels',
      () => good({ payload: `{"a":${'['.repeat(1000)}${']'.repeat(1000)}}` }),
      /no object/,
    ],
    ['more than 8192 characters', () => good({ payload: claims({ a: 'x'.repeat(8192) }) }), /characters/],
    ['nothing', () => '', /no token/],
    ['dots', () => '..', /no token/],
  ])('%s', async (_, make, why) => {
    const { code, detail, members, why: recorded, headers } = await refusal(make())
    expect({ code, members, headers }).toEqual({
      code: 'invalid-token',
      members: {},
      headers: { 'WWW-Authenticate': 'Bearer error="invalid_token"' },
    })
    expect(recorded).toMatch(why)
    expect(detail === undefined || /expired/.test(detail)).toBe(true)
  })

  function hsAs(alg: string): string {
    return signed('HS256', Buffer.from(pemOf(RSA)), { header: { alg, typ: 'JWT' }, payload: claims() })
  }

  function edDsa(): string {
    const signing = `${base64url({ alg: 'EdDSA', typ: 'JWT' })}.${base64url(claims())}`
    return `${signing}.${base64url(sign(null, Buffer.from(signing), ED.privateKey))}`
  }

  test('a curve that only looks like the right one', async () => {
    const token = signed('ES256', EC.secp256k1.privateKey, { payload: claims() })
    expect((await refusal(token, { pair: EC.secp256k1, algorithms: ['ES256'] })).why).toMatch(/key is not for/)
  })

  test('a signature in DER', async () => {
    const [alg, pair] = ['ES256', EC['P-256']] as const
    const token = signed(alg, pair.privateKey, { payload: claims() })
    const [header, payload, signature = ''] = token.split('.')
    const raw = Buffer.from(signature, 'base64url')
    const der = Buffer.concat([
      Buffer.from([0x30, 0x44, 2, 32]),
      raw.subarray(0, 32),
      Buffer.from([2, 32]),
      raw.subarray(32),
    ])
    const wrong = `${header}.${payload}.${der.toString('base64url')}`
    expect((await refusal(wrong, { pair, algorithms: [alg] })).code).toBe('invalid-token')
  })
})

describe('a signature is not checked where the token itself shows that it is refused', () => {
  const forged = (parts: Parts = {}) => good(parts, OTHER_RSA.privateKey)

  test.each<[string, () => string]>([
    ['its form', () => 'junk'],
    ['its algorithm', () => forged({ header: { alg: 'ES256' } })],
    ['its key', () => forged({ header: { alg: 'RS256', kid: 'other' } })],
    ['its issuer', () => forged({ payload: claims({ iss: 'https://evil.example/' }) })],
    ['its audience', () => forged({ payload: claims({ aud: 'bank' }) })],
    ['its exp in the past', () => forged({ payload: claims({ exp: SECONDS - 31 }) })],
    ['no exp', () => forged({ payload: without('exp') })],
    ['its iat in the future', () => forged({ payload: claims({ iat: SECONDS + 60 }) })],
  ])('%s', async (_, make) => {
    const key = { key: createPublicKey(pemOf(RSA)), alg: undefined }
    const verify = verifier({ findKey: (_uri, kid) => (kid === undefined ? key : 'unknown') })
    let checks = 0
    const takeTurn = async (check: () => unknown) => {
      checks++
      return check() as Refusal
    }
    expect(await verify(make(), takeTurn)).toMatchObject({ code: 'invalid-token' })
    expect(checks).toBe(0)
    expect(await verify(forged(), takeTurn)).toMatchObject({ code: 'invalid-token' })
    expect(checks).toBe(1)
  })
})

describe('keys of an issuer', () => {
  const found = (pair: KeyPair, alg?: string) => ({ key: createPublicKey(pemOf(pair)), alg })

  test('are found by kid', async () => {
    const asked: unknown[] = []
    const findKey: FindKey = async (uri, kid) => {
      asked.push([uri, kid])
      return found(RSA)
    }
    await verifier({ findKey })(good({ header: { alg: 'RS256', kid: 'k1' } }))
    await verifier({ findKey })(good())
    expect(asked).toEqual([
      [`${ISSUER}keys`, 'k1'],
      [`${ISSUER}keys`, undefined],
    ])
  })

  test('are not asked for garbage', async () => {
    let asked = 0
    const findKey: FindKey = () => {
      asked++
      return 'unknown'
    }
    for (const token of ['nonsense', `${good()}=`, signed('HS256', Buffer.from('x'), { payload: claims() })]) {
      await refusal(token, { findKey })
    }
    expect(asked).toBe(0)
  })

  test('an unknown kid is 401', async () => {
    const { code, why } = await refusal(good(), { findKey: () => 'unknown' })
    expect(code).toBe('invalid-token')
    expect(why).toMatch(/no key of its name/)
  })

  test('keys that were never read are 503, with when to ask again', async () => {
    const refused = await refusal(good(), { findKey: () => 'unreachable' })
    expect(refused).toMatchObject({ code: 'keys-unreachable', status: 503, headers: { 'Retry-After': '5' } })
  })

  test('a key that its set has for one algorithm is for that one alone', async () => {
    const algorithms = ['RS256', 'PS256'] as const
    const findKey = () => found(RSA, 'PS256')
    expect((await refusal(good(), { findKey, algorithms })).code).toBe('invalid-token')
    const token = signed('PS256', RSA.privateKey, { payload: claims() })
    expect(await verifier({ findKey, algorithms })(token)).toMatchObject({ name: 'ann' })
  })

  test('a key has algorithms of one family only', async () => {
    const algorithms = ['RS256', 'PS256', 'ES256'] as const
    const findKey = () => found(RSA)
    expect(await verifier({ findKey, algorithms })(good())).toMatchObject({ name: 'ann' })
    const token = signed('PS256', RSA.privateKey, { payload: claims() })
    expect((await refusal(token, { findKey, algorithms })).code).toBe('invalid-token')
  })
})
