import { randomBytes } from 'node:crypto'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import {
  AUDIENCE,
  base64url,
  ecPair,
  goodClaims,
  ISSUER,
  type KeyPair,
  pemOf,
  rsaPair,
  signed,
} from '../../../test/kit/tokens.ts'
import { hasDuplicateMembers } from '../../auth/duplicate-members.ts'
import type { Algorithm, AuthPolicy } from '../../model/auth.ts'
import type { RequestHead } from '../../model/request-head.ts'
import { quietEvents } from '../../telemetry/quiet-events.ts'
import { createAuthenticate } from './authenticate.ts'
import { Refusal } from './refusal.ts'

const RSA = rsaPair()
const OTHER_RSA = rsaPair()
const P256 = ecPair('P-256')
const SECRET = randomBytes(48).toString('base64url')
const NOW = 1_800_000_000

const BASE: AuthPolicy = {
  id: 'base',
  issuer: ISSUER,
  audience: [AUDIENCE],
  algorithms: ['RS256'],
  key: { kind: 'public-key', pem: pemOf(RSA) },
  clockToleranceSeconds: 5,
  requiredScopes: [],
  optional: false,
  claims: [],
}

let policies = 0
const policy = (changes: Partial<AuthPolicy> = {}): AuthPolicy => ({ ...BASE, id: `policy-${++policies}`, ...changes })
const withKey = (pair: KeyPair, ...algorithms: Algorithm[]) =>
  policy({ algorithms, key: { kind: 'public-key', pem: pemOf(pair) } })

/** An authenticator whose calendar stands at NOW, in seconds, until `moveTo` moves it. */
function authenticator() {
  let seconds = NOW
  const clock = { now: () => seconds * 1000, wallTime: () => seconds * 1000 }
  const authenticate = createAuthenticate(clock, quietEvents)
  return {
    moveTo: (second: number) => {
      seconds = second
    },
    ask: (authPolicy: AuthPolicy, ...fields: string[]) => {
      const access = authenticate({ endToEnd: fields } as unknown as RequestHead, authPolicy)
      if (access instanceof Promise) throw new Error('must not be a promise')
      return access
    },
  }
}

const claims = (more: object = {}) => ({ ...goodClaims(), iat: NOW, exp: NOW + 3600, ...more })
const rs256 = (payload: object | string | Buffer = claims(), header: object | string = { alg: 'RS256', typ: 'JWT' }) =>
  signed('RS256', RSA.privateKey, { header, payload })

/** The outcome of a token: the user, or the failure and the challenge. */
function outcome(token: string, authPolicy: AuthPolicy = policy()): string {
  const access = authenticator().ask(authPolicy, 'Authorization', `Bearer ${token}`)
  if (access === undefined) return 'no user'
  return access instanceof Refusal ? `${access.failure} ${access.challenge}` : `user ${access.userId}`
}

const INVALID = 'unauthenticated Bearer error="invalid_token"'

describe('a route that requires a token', () => {
  test.each<[Algorithm, KeyPair]>([
    ['RS256', RSA],
    ['RS384', RSA],
    ['RS512', RSA],
    ['PS256', RSA],
    ['PS384', RSA],
    ['PS512', RSA],
    ['ES256', P256],
    ['ES384', ecPair('P-384')],
    ['ES512', ecPair('P-521')],
  ])('accepts a token that is signed with %s', (alg, pair) => {
    expect(outcome(signed(alg, pair.privateKey, { payload: claims() }), withKey(pair, alg))).toBe('user user-7')
  })

  test('accepts a token that is signed with a shared secret', () => {
    const authPolicy = policy({ algorithms: ['HS256'], key: { kind: 'secret', variable: 'A', secret: SECRET } })
    expect(outcome(signed('HS256', Buffer.from(SECRET), { payload: claims() }), authPolicy)).toBe('user user-7')
  })

  test('accepts tokens of one algorithm family only: the first configured family that fits the key', () => {
    const both = withKey(RSA, 'ES256', 'PS256', 'RS256', 'PS512')
    expect(outcome(signed('PS256', RSA.privateKey, { payload: claims() }), both)).toBe('user user-7')
    expect(outcome(signed('PS512', RSA.privateKey, { payload: claims() }), both)).toBe('user user-7')
    expect(outcome(rs256(), both)).toBe(INVALID)
  })

  test.each<[string, object]>([
    ['several audiences', { aud: ['other', AUDIENCE] }],
    ['fractions of seconds', { exp: NOW + 0.5, iat: NOW - 0.5, nbf: NOW - 0.25 }],
    ['no iat', { iat: undefined }],
    ['an exp within the tolerance', { exp: NOW - 4 }],
    ['an nbf within the tolerance', { nbf: NOW + 5, iat: NOW + 5 }],
  ])('accepts a token with %s', (_, more) => {
    expect(outcome(rs256(claims(more)))).toBe('user user-7')
  })

  test.each([undefined, 'JWT', 'jwt', 'at+jwt', 'application/at+JWT'])('accepts a token of the type %s', (typ) => {
    expect(outcome(rs256(claims(), { alg: 'RS256', typ }))).toBe('user user-7')
  })
})

describe('a route that requires a token rejects', () => {
  const good = rs256()
  const [head = '', body = '', signature = ''] = good.split('.')
  const hs = (key: string) => signed('HS256', Buffer.from(key), { payload: claims() })
  const es256 = signed('ES256', P256.privateKey, { payload: claims() })
  const es = es256.split('.')

  test.each<[string, string, AuthPolicy?]>([
    ['an empty token', ''],
    ['a word', 'x'],
    ...['none', 'None', 'NONE', 'nOnE'].flatMap((alg): [string, string][] => [
      [`the algorithm ${alg} without a signature`, `${base64url({ alg })}.${body}.`],
      [`the algorithm ${alg} with a signature`, `${base64url({ alg })}.${body}.${signature}`],
    ]),
    ['an empty signature', `${head}.${body}.`],
    ['two segments', `${head}.${body}`],
    ['four segments', `${good}.${signature}`],
    ['five segments, as of a JWE', `${good}.${signature}.${signature}`],
    ['padding in the signature', `${head}.${body}.${signature}==`],
    ['padding in the payload', `${head}.${body}=.${signature}`],
    [
      'unused bits of base64url that are set',
      `${good.slice(0, -1)}${good.endsWith('A') ? 'B' : String.fromCharCode(good.charCodeAt(good.length - 1) + 1)}`,
    ],
    [
      'characters of plain base64',
      rs256(claims({ a: '???>>>???>>>' }))
        .replaceAll('-', '+')
        .replaceAll('_', '/'),
    ],
    ['a space inside', `${head}. ${body}.${signature}`],
    ['a word after the token', `${good} x`],
    ['a signature of another payload', `${head}.${base64url(claims({ sub: 'admin' }))}.${signature}`],
    ['a signature of another key', signed('RS256', OTHER_RSA.privateKey, { payload: claims() })],
    ['the public key as a secret', hs(pemOf(RSA))],
    ['the public key as a secret, without its line break', hs(pemOf(RSA).trim())],
    [
      'the public key as a secret, although HS256 is configured',
      hs(pemOf(RSA)),
      policy({ algorithms: ['RS256', 'HS256'] }),
    ],
    [
      'RS256 on a route with HS256',
      good,
      policy({ algorithms: ['HS256'], key: { kind: 'secret', variable: 'A', secret: SECRET } }),
    ],
    ['PS256 with a key for RS256', signed('PS256', RSA.privateKey, { payload: claims() })],
    ['RS512 on a route with RS256', signed('RS512', RSA.privateKey, { payload: claims() })],
    ['an algorithm in lower case', rs256(claims(), { alg: 'rs256' })],
    ['an ECDSA signature with r = s = 0', `${es[0]}.${es[1]}.${base64url(Buffer.alloc(64))}`, withKey(P256, 'ES256')],
    [
      'a signature in DER',
      `${es[0]}.${es[1]}.${base64url(Buffer.concat([Buffer.from([0x30]), Buffer.alloc(70)]))}`,
      withKey(P256, 'ES256'),
    ],
    [
      'a curve that is not ES256’s',
      signed('ES256', ecPair('P-384').privateKey, { payload: claims() }),
      withKey(P256, 'ES256'),
    ],
    [
      'a key of the wrong curve',
      signed('ES256', ecPair('secp256k1').privateKey, { payload: claims() }),
      withKey(ecPair('secp256k1'), 'ES256'),
    ],
    ['crit', rs256(claims(), { alg: 'RS256', crit: ['exp'], exp: 1 })],
    ['an empty crit', rs256(claims(), { alg: 'RS256', crit: [] })],
    ['b64: false', rs256(claims(), { alg: 'RS256', b64: false })],
    ['b64: false, made critical', rs256(claims(), { alg: 'RS256', b64: false, crit: ['b64'] })],
    ['a nested token (cty)', rs256(claims(), { alg: 'RS256', cty: 'JWT' })],
    ['the type of a logout token', rs256(claims(), { alg: 'RS256', typ: 'logout+jwt' })],
    ['a type that is a list', rs256(claims(), { alg: 'RS256', typ: ['JWT'] })],
    ['a kid that is a number', rs256(claims(), { alg: 'RS256', kid: 7 })],
    ['a kid of 300 bytes', rs256(claims(), { alg: 'RS256', kid: 'k'.repeat(300) })],
    ['no algorithm', rs256(claims(), { typ: 'JWT' })],
    ['an algorithm that is a list', rs256(claims(), { alg: ['RS256'] })],
    ['a header that is a list', rs256(claims(), '[{"alg":"RS256"}]')],
    ['a header that is not JSON', rs256(claims(), '{alg:RS256}')],
    ['two alg members', rs256(claims(), '{"alg":"none","alg":"RS256"}')],
    ['a payload that is a text', rs256('"text"')],
    ['a payload that is not UTF-8', rs256(Buffer.from(JSON.stringify(claims({ a: 'ÿ' })), 'latin1'))],
    ['two sub members', rs256(`{"sub":"a",${JSON.stringify(claims()).slice(1)}`)],
    ['two sub members, one of them escaped', rs256(`{"s\\u0075b":"a",${JSON.stringify(claims()).slice(1)}`)],
    [
      'two members of one name in a nested object',
      rs256(JSON.stringify(claims({ x: 1 })).replace('"x":1', '"x":[{"a":1,"a":2}]')),
    ],
    ...(['exp', 'nbf', 'iat'] as const)
      .flatMap((name): [string, string][] => [
        [`${name} as a text`, rs256(claims({ [name]: `${NOW}` }))],
        [`an infinite ${name}`, rs256(JSON.stringify(claims({ [name]: 0 })).replace(`"${name}":0`, `"${name}":1e400`))],
        [`${name} before 1970`, rs256(claims({ [name]: -1 }))],
        [`${name} with the value null`, rs256(claims({ [name]: null }))],
        [`${name} in milliseconds`, rs256(claims({ [name]: NOW * 1000 }))],
      ])
      .filter(([name]) => name !== 'exp in milliseconds'),
    ['exp in the year 100000', rs256(claims({ exp: 3e12 }))],
    ['no exp', rs256(claims({ exp: undefined }))],
    ['an exp in the past', rs256(claims({ exp: NOW - 5 }))],
    ['an nbf in the future', rs256(claims({ nbf: NOW + 6 }))],
    ['an iat in the future', rs256(claims({ iat: NOW + 6 }))],
    ['no iss', rs256(claims({ iss: undefined }))],
    ['another iss', rs256(claims({ iss: 'https://login.test' }))],
    ['a list of iss', rs256(claims({ iss: [ISSUER] }))],
    ['no aud', rs256(claims({ aud: undefined }))],
    ['another aud', rs256(claims({ aud: 'SHOP' }))],
    ['an empty list of audiences', rs256(claims({ aud: [] }))],
    ['an aud that is an object', rs256(claims({ aud: { 0: AUDIENCE } }))],
    ['an aud with a number', rs256(claims({ aud: [AUDIENCE, 7] }))],
    ['no sub', rs256(claims({ sub: undefined }))],
    ['an empty sub', rs256(claims({ sub: '' }))],
    ['a sub that is a number', rs256(claims({ sub: 7 }))],
    ['a sub with a lone surrogate', rs256(JSON.stringify(claims()).replace('user-7', '\\ud800'))],
    ['a size of more than 8 KiB', rs256(claims({ a: 'a'.repeat(7000) }))],
    ['a size of 32 KiB', rs256(claims({ a: 'a'.repeat(24_000) }))],
  ])('%s', (_, token, authPolicy) => {
    expect(outcome(token, authPolicy)).toBe(INVALID)
  })

  test('any token with one changed byte', () => {
    const authPolicy = policy()
    fc.assert(
      fc.property(fc.nat(good.length - 1), fc.constantFrom(...'AZaz09-_.='), (index, character) => {
        fc.pre(good[index] !== character)
        expect(outcome(`${good.slice(0, index)}${character}${good.slice(index + 1)}`, authPolicy)).toBe(INVALID)
      }),
      { numRuns: 300 },
    )
  })
})

describe('a request', () => {
  const token = rs256()
  test.each<[string, string[], string]>([
    ['no Authorization field', [], 'unauthenticated Bearer realm="gateway"'],
    ['another scheme', ['Authorization', 'Basic Zm9vOmJhcg=='], 'unauthenticated Bearer realm="gateway"'],
    [
      'a scheme that begins with Bearer',
      ['Authorization', `Bearers ${token}`],
      'unauthenticated Bearer realm="gateway"',
    ],
    ['a token without a scheme', ['Authorization', token], 'unauthenticated Bearer realm="gateway"'],
    ['a scheme without a token', ['Authorization', 'Bearer'], INVALID],
    ['a tab after the scheme', ['Authorization', `Bearer\t${token}`], 'unauthenticated Bearer realm="gateway"'],
    ['two tokens', ['Authorization', `Bearer ${token}, Bearer ${token}`], INVALID],
    ['a token in quotes', ['Authorization', `Bearer "${token}"`], INVALID],
    ['two Authorization fields', ['Authorization', `Bearer ${token}`, 'authorization', `Bearer ${token}`], INVALID],
    [
      'two Authorization fields, one of another scheme',
      ['authorization', 'Basic Zm9v', 'AUTHORIZATION', `Bearer ${token}`],
      INVALID,
    ],
    [
      'the token in other fields only',
      ['Cookie', `token=${token}`, 'X-Authorization', `Bearer ${token}`],
      'unauthenticated Bearer realm="gateway"',
    ],
    ['the scheme in lower case', ['authorization', `bearer ${token}`], 'user'],
    ['the scheme in upper case, with several spaces', ['AUTHORIZATION', `BEARER   ${token}`], 'user'],
  ])('with %s has the result %s', (_, fields, expected) => {
    const access = authenticator().ask(policy(), ...fields)
    const got = access instanceof Refusal ? `${access.failure} ${access.challenge}` : access && 'user'
    expect(got).toBe(expected)
  })

  test('to a route with an optional token may omit it, but must not send an invalid one', () => {
    const authPolicy = policy({ optional: true })
    const { ask } = authenticator()
    expect(ask(authPolicy)).toBeUndefined()
    expect(ask(authPolicy, 'Authorization', 'Basic Zm9v')).toBeUndefined()
    expect(ask(authPolicy, 'Authorization', 'Bearer x')).toMatchObject({ failure: 'unauthenticated' })
  })

  test('with a rejected token is logged without any part of the token', () => {
    const access = authenticator().ask(
      policy(),
      'Authorization',
      `Bearer ${rs256(claims({ aud: 'S3CR3T', iss: 'S3CR3T' }))}`,
    )
    expect(access).toMatchObject({ detail: expect.not.stringContaining('S3CR3T') })
  })
})

describe('a token with the claims', () => {
  test.each<[object, boolean]>([
    [{ scope: 'orders:read orders:write' }, true],
    [{ scope: 'orders:write  x orders:read' }, true],
    [{ scp: ['orders:read', 'orders:write'] }, true],
    [{ scp: 'orders:read orders:write' }, true],
    [{ scope: 'orders:read' }, false],
    [{ scope: 'orders:read,orders:write' }, false],
    [{ scope: 'orders:read orders:writes' }, false],
    [{ scope: 'ORDERS:READ orders:write' }, false],
    [{ scope: '', scp: ['orders:read', 'orders:write'] }, false],
    [{ scope: { 'orders:read': true, 'orders:write': true } }, false],
    [{}, false],
  ])('%o has the required scopes: %s', (more, isEnough) => {
    const authPolicy = policy({ requiredScopes: ['orders:read', 'orders:write'] })
    const expected = isEnough ? 'user user-7' : 'forbidden Bearer error="insufficient_scope"'
    expect(outcome(rs256(claims(more)), authPolicy)).toBe(expected)
  })
})

describe('the fields for the upstream', () => {
  test.each<[string, unknown, string | undefined]>([
    ['a text', 'ann@shop.test', 'ann@shop.test'],
    ['a text with a space', 'Ann B', 'Ann B'],
    ['a text beyond ASCII', 'Jürgen 🦊', 'J%C3%BCrgen %F0%9F%A6%8A'],
    ['a percent sign', '100%', '100%25'],
    ['a line end', 'a\r\nX-Admin: 1', 'a%0D%0AX-Admin: 1'],
    ['NUL and DEL', '\0\x7f', '%00%7F'],
    ['spaces at the ends', ' a  ', '%20a%20%20'],
    ['a lone surrogate', '\ud800', '%EF%BF%BD'],
    ['a number', 7.5, '7.5'],
    ['a boolean', false, 'false'],
    ['a list', ['a', 'b,c', 7, true], 'a,b%2Cc,7,true'],
    ['an empty list', [], ''],
    ['a list of lists', [['a']], undefined],
    ['an object', { a: 1 }, undefined],
    ['null', null, undefined],
  ])('encode a claim with %s', (_, value, expected) => {
    const authPolicy = policy({ claims: [{ claim: 'name', header: 'X-Name' }] })
    const access = authenticator().ask(authPolicy, 'Authorization', `Bearer ${rs256(claims({ name: value }))}`)
    const fields = expected === undefined ? [] : ['X-Name', expected]
    expect(access).toMatchObject({ fields: ['X-User-Id', 'user-7', ...fields] })
  })

  test('contain no inherited property of the claims', () => {
    const authPolicy = policy({ claims: [{ claim: 'constructor', header: 'X-Name' }] })
    const access = authenticator().ask(authPolicy, 'Authorization', `Bearer ${rs256()}`)
    expect(access).toMatchObject({ fields: ['X-User-Id', 'user-7'] })
  })

  test('have a different value for every subject, without a line break', () => {
    const authPolicy = policy()
    const { ask } = authenticator()
    const fieldOf = (sub: string) => {
      const access = ask(authPolicy, 'Authorization', `Bearer ${rs256(claims({ sub }))}`)
      return access !== undefined && 'fields' in access ? access.fields[1] : undefined
    }
    fc.assert(
      fc.property(fc.string({ unit: 'binary', minLength: 1, maxLength: 20 }), (sub) => {
        const field = fieldOf(sub) ?? ''
        expect(field).toMatch(/^[\x21-\x7e](?:[\x20-\x7e]*[\x21-\x7e])?$/)
        expect(decodeURIComponent(field)).toBe(sub)
      }),
      { numRuns: 100 },
    )
  })
})

describe('a verified token', () => {
  const bearer = ['Authorization', `Bearer ${rs256(claims({ exp: NOW + 100 }))}`]

  test('is not verified again until it expires', () => {
    const { ask, moveTo } = authenticator()
    const authPolicy = policy()
    const first = ask(authPolicy, ...bearer)
    expect(ask(authPolicy, ...bearer)).toBe(first)
    moveTo(NOW + 104.9)
    expect(ask(authPolicy, ...bearer)).toBe(first)
    moveTo(NOW + 105)
    expect(ask(authPolicy, ...bearer)).toBeInstanceOf(Refusal)
  })

  test('is verified again after five minutes', () => {
    const { ask, moveTo } = authenticator()
    const authPolicy = policy()
    const long = ['Authorization', `Bearer ${rs256()}`]
    const first = ask(authPolicy, ...long)
    moveTo(NOW + 299)
    expect(ask(authPolicy, ...long)).toBe(first)
    moveTo(NOW + 300)
    expect(ask(authPolicy, ...long)).not.toBe(first)
  })

  test('is verified again after the clock was set back', () => {
    const { ask, moveTo } = authenticator()
    const authPolicy = policy()
    const first = ask(authPolicy, ...bearer)
    moveTo(NOW - 1)
    expect(ask(authPolicy, ...bearer)).not.toBe(first)
  })

  test('is not accepted under another policy', () => {
    const { ask } = authenticator()
    expect(ask(policy(), ...bearer)).toMatchObject({ userId: 'user-7' })
    expect(ask(policy({ audience: ['other'] }), ...bearer)).toBeInstanceOf(Refusal)
    expect(ask(policy({ requiredScopes: ['a'] }), ...bearer)).toMatchObject({ failure: 'forbidden' })
  })

  test('is evicted from the cache when it is the least recently used one', () => {
    const { ask } = authenticator()
    const secret = Buffer.from(SECRET)
    const authPolicy = policy({ algorithms: ['HS256'], key: { kind: 'secret', variable: 'A', secret: SECRET } })
    const askAs = (sub: number) =>
      ask(authPolicy, 'Authorization', `Bearer ${signed('HS256', secret, { payload: claims({ sub: `${sub}` }) })}`)
    const [oldest, used] = [askAs(0), askAs(1)]
    for (let sub = 2; sub < 10_000; sub++) askAs(sub)
    expect(askAs(1)).toBe(used)
    askAs(10_000)
    expect(askAs(1)).toBe(used)
    expect(askAs(0)).not.toBe(oldest)
  })
})

describe('hasDuplicateMembers', () => {
  test.each<[string, boolean]>([
    ['{"a":1,"b":{"a":1},"c":[{"a":1},{"a":2}]}', false],
    ['{"a":"a","b":"a\\":"}', false],
    ['{"a":["b","b"]}', false],
    ['{"a":1 , "a" :2}', true],
    ['{"a":1,"\\u0061":2}', true],
    ['[{"x":{"\\"":1,"\\"":2}}]', true],
    ['{"":1,"":2}', true],
    ['{"__proto__":1,"__proto__":2}', true],
    ['{"\\\\":1,"\\\\\\"":2}', false],
  ])('of %s is %s', (json, expected) => {
    JSON.parse(json)
    expect(hasDuplicateMembers(json)).toBe(expected)
  })

  test('is false for every text that JSON.stringify writes', () => {
    fc.assert(
      fc.property(fc.json(), (json) => {
        expect(hasDuplicateMembers(JSON.stringify(JSON.parse(json)))).toBe(false)
      }),
    )
  })
})
