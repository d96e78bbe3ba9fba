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
import { ApiRefusal } from '../http/problem.ts'
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

async function refusal(token: string, setting: Setting = {}): Promise<ApiRefusal> {
  const result = await verifier(setting)(token)
  if (!(result instanceof ApiRefusal)) throw new Error(`accepted: ${JSON.stringify(result)}`)
  return result
}

describe('a verifier of signed tokens', () => {
  test.each<[Algorithm, KeyPair]>([
    ['RS256', RSA],
    ['RS512', RSA],
    ['PS256', RSA],
    ['ES256', EC['P-256']],
    ['ES384', EC['P-384']],
  ])('accepts a token that is signed with %s', async (algorithm, pair) => {
    const token = signed(algorithm, pair.privateKey, { payload: claims() })
    const actor = await verifier({ pair, algorithms: [algorithm] })(token)
    expect(actor).toEqual({ name: 'ann', role: 'operator', expiresAt: (SECONDS + 3630) * 1000 })
  })

  test.each<[string, unknown, string | undefined]>([
    ['the highest role of a list', ['viewer', 'admin', 'something'], 'admin'],
    ['a single role', 'viewer', 'viewer'],
    ['only unknown roles', ['root', 'superuser'], undefined],
    ['nothing', undefined, undefined],
    ['a role in another case', 'Admin', undefined],
    ['a text with several roles', 'viewer admin', undefined],
    ['an object', { admin: true }, undefined],
    ['a list in a list', [['admin']], undefined],
  ])('reads the role of a claim that contains %s', async (_, role, expected) => {
    const result = await verifier()(good({ payload: claims({ role }) }))
    if (expected !== undefined) return expect(result).toMatchObject({ role: expected })
    expect(result).toMatchObject({ code: 'forbidden', why: 'ann has no role' })
  })

  test.each(['__proto__', 'constructor', 'toString'])(
    'finds no role in the inherited property %s of the claims',
    async (roleClaim) => {
      expect((await refusal(good(), { roleClaim })).code).toBe('forbidden')
    },
  )

  test('accepts a token of an issuer whose clock is half a minute off', async () => {
    expect(await verifier()(good({ payload: claims({ exp: SECONDS - 29 }) }))).toMatchObject({ name: 'ann' })
    expect(await verifier()(good({ payload: claims({ nbf: SECONDS + 29, iat: SECONDS + 29 }) }))).toMatchObject({
      name: 'ann',
    })
  })

  test.each(['at+jwt', 'application/at+jwt', 'JWT', undefined])('accepts a token of the type %s', async (typ) => {
    expect(await verifier()(good({ header: { alg: 'RS256', typ } }))).toMatchObject({ name: 'ann' })
  })
})

// Each attack is a token that a careless gateway accepts. The answer is the same for all but expired tokens: exp is checked
// first, so that the answer reveals no other check.
describe('the admin API rejects a token without naming the failed check', () => {
  const unsigned = (alg: string) => `${base64url({ alg, typ: 'JWT' })}.${base64url(claims())}.`
  const head = (header: object, payload: object | string = claims()) => good({ header, payload })

  test.each<[string, () => string, RegExp]>([
    ['the algorithm none, without a signature', () => unsigned('none'), /signature/],
    ['the algorithm none, with a signature', () => `${unsigned('none')}AAAA`, /algorithm/],
    ['the algorithm NONE', () => `${unsigned('NONE')}AAAA`, /algorithm/],
    ['no signature', () => unsigned('RS256'), /signature/],
    [
      'the public key as an HMAC secret (CVE-2015-9235)',
      () => signed('HS256', Buffer.from(pemOf(RSA)), { payload: claims() }),
      /algorithm/,
    ],
    [
      'the public key in DER as an HMAC secret',
      () => signed('HS256', RSA.publicKey.export({ type: 'spki', format: 'der' }), { payload: claims() }),
      /algorithm/,
    ],
    ['an HMAC signature under the name of the accepted algorithm', () => hsAs('RS256'), /signature/],
    ['the signature of another key', () => good({}, OTHER_RSA.privateKey), /signature/],
    [
      'an algorithm of the key that is not configured',
      () => signed('PS256', RSA.privateKey, { payload: claims() }),
      /algorithm/,
    ],
    [
      'a signature by another algorithm than its header names',
      () => signed('RS512', RSA.privateKey, { header: { alg: 'RS256' }, payload: claims() }),
      /signature/,
    ],
    ['EdDSA', () => edDsa(), /algorithm/],
    [
      'a key in its own header',
      () => head({ alg: 'RS256', jwk: OTHER_RSA.publicKey.export({ format: 'jwk' }) }).replace(/[^.]+$/, 'AAAA'),
      /signature/,
    ],
    ['another issuer', () => good({ payload: claims({ iss: 'https://evil.example/' }) }), /issuer/],
    ['no issuer', () => good({ payload: without('iss') }), /issuer/],
    ['a list of issuers', () => good({ payload: claims({ iss: [ISSUER] }) }), /issuer/],
    ['another audience', () => good({ payload: claims({ aud: 'bank' }) }), /audience/],
    ['no audience', () => good({ payload: without('aud') }), /audience/],
    ['an exp in the past', () => good({ payload: claims({ exp: SECONDS - 30 }) }), /expired/],
    ['no exp', () => good({ payload: without('exp') }), /exp/],
    ['an exp that is a text', () => good({ payload: claims({ exp: String(SECONDS + 60) }) }), /exp/],
    ['an infinite exp', () => good({ payload: JSON.stringify(claims()).replace(/"exp":\d+/, '"exp":1e999') }), /exp/],
    ['an nbf in the future', () => good({ payload: claims({ nbf: SECONDS + 31 }) }), /not active/],
    ['an iat in the future', () => good({ payload: claims({ iat: SECONDS + 31 }) }), /iat/],
    ['no sub', () => good({ payload: without('sub') }), /sub/],
    ['an empty sub', () => good({ payload: claims({ sub: '' }) }), /sub/],
    ['a sub of 201 characters', () => good({ payload: claims({ sub: 'a'.repeat(201) }) }), /sub/],
    ['a sub with a terminal escape sequence', () => good({ payload: claims({ sub: 'ann\u001b[2J' }) }), /sub/],
    ['a sub with a character that reverses text', () => good({ payload: claims({ sub: 'ann\u202e' }) }), /sub/],
    ['the sub of the gateway’s own token', () => good({ payload: claims({ sub: 'admin-token' }) }), /sub/],
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
    ['a sub that is a number', () => good({ payload: claims({ sub: 7 }) }), /sub/],
    ['the type of a logout token', () => head({ alg: 'RS256', typ: 'logout+jwt' }), /type/],
    ['crit', () => head({ alg: 'RS256', crit: ['exp'] }), /crit/],
    ['b64', () => head({ alg: 'RS256', b64: false }), /crit or b64/],
    ['a kid that is an object', () => head({ alg: 'RS256', kid: { a: 1 } }), /kid/],
    ['no alg', () => head({ typ: 'JWT' }), /algorithm/],
    ['an alg that is a list', () => head({ alg: ['RS256'] }), /algorithm/],
    ['padding at its end', () => `${good()}=`, /base64url/],
    ['padding in its header', () => good().replace('.', '=.'), /base64url/],
    ['a character of plain base64', () => good().replace(/.$/, '+'), /base64url/],
    ['four segments', () => `${good()}.AAAA`, /segments/],
    ['five segments', () => `${good()}.AAAA.AAAA`, /segments/],
    ['two segments', () => good().split('.').slice(0, 2).join('.'), /segments/],
    ['a payload that is not JSON', () => good({ payload: 'nonsense' }), /not JSON/],
    ['a payload that is null', () => good({ payload: 'null' }), /not an object/],
    ['a payload that is a list', () => good({ payload: '[]' }), /not an object/],
    ['a header that is null', () => good({ header: 'null' }), /not an object/],
    ['a header that is not JSON', () => good({ header: 'nonsense' }), /not JSON/],
    [
      'two role claims',
      () => good({ payload: JSON.stringify(claims()).replace('{', '{"role":"admin",') }),
      /name twice/,
    ],
    ['two alg members', () => good({ header: '{"alg":"none","alg":"RS256"}' }), /name twice/],
    ['a payload of a thousand levels', () => good({ payload: `{"a":${'['.repeat(1000)}${']'.repeat(1000)}}` }), /exp/],
    ['more than 8192 bytes', () => good({ payload: claims({ a: 'x'.repeat(8192) }) }), /bytes/],
    ['no character', () => '', /segments/],
    ['dots only', () => '..', /base64url/],
  ])('if it has %s', async (_, make, why) => {
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

  test('if its key is on a curve that resembles the right one', async () => {
    const token = signed('ES256', EC.secp256k1.privateKey, { payload: claims() })
    expect((await refusal(token, { pair: EC.secp256k1, algorithms: ['ES256'] })).why).toMatch(/key does not fit/)
  })

  test('if its signature is in DER', async () => {
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

describe('the admin API rejects a token without checking its signature', () => {
  const forged = (parts: Parts = {}) => good(parts, OTHER_RSA.privateKey)

  test.each<[string, () => string]>([
    ['form', () => 'junk'],
    ['algorithm', () => forged({ header: { alg: 'ES256' } })],
    ['kid', () => forged({ header: { alg: 'RS256', kid: 'other' } })],
    ['issuer', () => forged({ payload: claims({ iss: 'https://evil.example/' }) })],
    ['audience', () => forged({ payload: claims({ aud: 'bank' }) })],
    ['exp in the past', () => forged({ payload: claims({ exp: SECONDS - 31 }) })],
    ['missing exp', () => forged({ payload: without('exp') })],
    ['iat in the future', () => forged({ payload: claims({ iat: SECONDS + 60 }) })],
  ])('if its %s shows that it is not valid', async (_, make) => {
    const key = { key: createPublicKey(pemOf(RSA)), alg: undefined }
    const verify = verifier({ findKey: (_uri, kid) => (kid === undefined ? key : 'unknown') })
    let checks = 0
    const takeTurn = async (check: () => unknown) => {
      checks++
      return check() as ApiRefusal
    }
    expect(await verify(make(), takeTurn)).toMatchObject({ code: 'invalid-token' })
    expect(checks).toBe(0)
    expect(await verify(forged(), takeTurn)).toMatchObject({ code: 'invalid-token' })
    expect(checks).toBe(1)
  })
})

describe('a verifier of signed tokens with a key set', () => {
  const keyOf = (pair: KeyPair, alg?: string) => ({ key: createPublicKey(pemOf(pair)), alg })

  test('looks keys up by kid', async () => {
    const lookups: unknown[] = []
    const findKey: FindKey = async (uri, kid) => {
      lookups.push([uri, kid])
      return keyOf(RSA)
    }
    await verifier({ findKey })(good({ header: { alg: 'RS256', kid: 'k1' } }))
    await verifier({ findKey })(good())
    expect(lookups).toEqual([
      [`${ISSUER}keys`, 'k1'],
      [`${ISSUER}keys`, undefined],
    ])
  })

  test('looks up no key for a malformed token', async () => {
    let lookups = 0
    const findKey: FindKey = () => {
      lookups++
      return 'unknown'
    }
    for (const token of ['nonsense', `${good()}=`, signed('HS256', Buffer.from('x'), { payload: claims() })]) {
      await refusal(token, { findKey })
    }
    expect(lookups).toBe(0)
  })

  test('answers 401 to a token with an unknown kid', async () => {
    const { code, why } = await refusal(good(), { findKey: () => 'unknown' })
    expect(code).toBe('invalid-token')
    expect(why).toMatch(/no key of its name/)
  })

  test('answers 503 with Retry-After if the keys were never read', async () => {
    const refused = await refusal(good(), { findKey: () => 'unreachable' })
    expect(refused).toMatchObject({ code: 'keys-unreachable', status: 503, headers: { 'Retry-After': '5' } })
  })

  test('uses a key only with the algorithm that its key set names', async () => {
    const algorithms = ['RS256', 'PS256'] as const
    const findKey = () => keyOf(RSA, 'PS256')
    expect((await refusal(good(), { findKey, algorithms })).code).toBe('invalid-token')
    const token = signed('PS256', RSA.privateKey, { payload: claims() })
    expect(await verifier({ findKey, algorithms })(token)).toMatchObject({ name: 'ann' })
  })

  test('uses a key only with algorithms of one family', async () => {
    const algorithms = ['RS256', 'PS256', 'ES256'] as const
    const findKey = () => keyOf(RSA)
    expect(await verifier({ findKey, algorithms })(good())).toMatchObject({ name: 'ann' })
    const token = signed('PS256', RSA.privateKey, { payload: claims() })
    expect((await refusal(token, { findKey, algorithms })).code).toBe('invalid-token')
  })
})
