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

/** A gateway's own, whose calendar stands at NOW, in seconds, until it is moved. */
function authenticator() {
  let seconds = NOW
  const clock = { now: () => seconds * 1000, wallTime: () => seconds * 1000 }
  const authenticate = createAuthenticate(clock, quietEvents)
  return {
    at: (second: number) => {
      seconds = second
    },
    ask: (asked: AuthPolicy, ...fields: string[]) => {
      const access = authenticate({ endToEnd: fields } as unknown as RequestHead, asked)
      if (access instanceof Promise) throw new Error('must be known at once')
      return access
    },
  }
}

const claims = (more: object = {}) => ({ ...goodClaims(), iat: NOW, exp: NOW + 3600, ...more })
const rs256 = (payload: object | string | Buffer = claims(), header: object | string = { alg: 'RS256', typ: 'JWT' }) =>
  signed('RS256', RSA.privateKey, { header, payload })

/** What becomes of a token: the user, or the failure and what the client is told. */
function outcome(token: string, asked: AuthPolicy = policy()): string {
  const access = authenticator().ask(asked, 'Authorization', `Bearer ${token}`)
  if (access === undefined) return 'nobody'
  return access instanceof Refusal ? `${access.failure} ${access.challenge}` : `user ${access.userId}`
}

const INVALID = 'unauthenticated Bearer error="invalid_token"'

describe('a token that holds', () => {
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
  ])('is taken with %s', (alg, pair) => {
    expect(outcome(signed(alg, pair.privateKey, { payload: claims() }), withKey(pair, alg))).toBe('user user-7')
  })

  test('is taken with a secret', () => {
    const asked = policy({ algorithms: ['HS256'], key: { kind: 'secret', variable: 'A', secret: SECRET } })
    expect(outcome(signed('HS256', Buffer.from(SECRET), { payload: claims() }), asked)).toBe('user user-7')
  })

  test('is of the one family that its key serves, the one that is named first', () => {
    const both = withKey(RSA, 'ES256', 'PS256', 'RS256', 'PS512')
    expect(outcome(signed('PS256', RSA.privateKey, { payload: claims() }), both)).toBe('user user-7')
    expect(outcome(signed('PS512', RSA.privateKey, { payload: claims() }), both)).toBe('user user-7')
    expect(outcome(rs256(), both)).toBe(INVALID)
  })

  test.each<[string, object]>([
    ['several audiences', { aud: ['other', AUDIENCE] }],
    ['fractions of seconds', { exp: NOW + 0.5, iat: NOW - 0.5, nbf: NOW - 0.25 }],
    ['no iat', { iat: undefined }],
    ['an end within the tolerance', { exp: NOW - 4 }],
    ['a beginning within the tolerance', { nbf: NOW + 5, iat: NOW + 5 }],
  ])('may have %s', (_, more) => {
    expect(outcome(rs256(claims(more)))).toBe('user user-7')
  })

  test.each([undefined, 'JWT', 'jwt', 'at+jwt', 'application/at+JWT'])('may be of the type %s', (typ) => {
    expect(outcome(rs256(claims(), { alg: 'RS256', typ }))).toBe('user user-7')
  })
})

describe('a token that does not hold', () => {
  const good = rs256()
  const [head = '', body = '', signature = ''] = good.split('.')
  const hs = (key: string) => signed('HS256', Buffer.from(key), { payload: claims() })
  const es256 = signed('ES256', P256.privateKey, { payload: claims() })
  const es = es256.split('.')

  test.each<[string, string, AuthPolicy?]>([
    ['nothing', ''],
    ['no token', 'x'],
    ...['none', 'None', 'NONE', 'nOnE'].flatMap((alg): [string, string][] => [
      [`alg ${alg} without signature`, `${base64url({ alg })}.${body}.`],
      [`alg ${alg} with a signature`, `${base64url({ alg })}.${body}.${signature}`],
    ]),
    ['an empty signature', `${head}.${body}.`],
    ['two segments', `${head}.${body}`],
    ['four segments', `${good}.${signature}`],
    ['five segments, as of a JWE', `${good}.${signature}.${signature}`],
    ['padding', `${head}.${body}.${signature}==`],
    ['padding in the payload', `${head}.${body}=.${signature}`],
    [
      'bits that base64url leaves over',
      `${good.slice(0, -1)}${good.endsWith('A') ? 'B' : String.fromCharCode(good.charCodeAt(good.length - 1) + 1)}`,
    ],
    [
      'base64 that is not for URLs',
      rs256(claims({ a: '???>>>???>>>' }))
        .replaceAll('-', '+')
        .replaceAll('_', '/'),
    ],
    ['a space inside', `${head}. ${body}.${signature}`],
    ['something behind it', `${good} x`],
    ['a signature of another payload', `${head}.${base64url(claims({ sub: 'admin' }))}.${signature}`],
    ['another key', signed('RS256', OTHER_RSA.privateKey, { payload: claims() })],
    ['the public key as a secret', hs(pemOf(RSA))],
    ['the public key as a secret, without its line end', hs(pemOf(RSA).trim())],
    ['the public key as a secret, HS256 taken too', hs(pemOf(RSA)), policy({ algorithms: ['RS256', 'HS256'] })],
    [
      'RSA where HMAC is asked for',
      good,
      policy({ algorithms: ['HS256'], key: { kind: 'secret', variable: 'A', secret: SECRET } }),
    ],
    ['PS256 with a key for RS256', signed('PS256', RSA.privateKey, { payload: claims() })],
    ['RS512 where RS256 is asked for', signed('RS512', RSA.privateKey, { payload: claims() })],
    ['an algorithm in lower case', rs256(claims(), { alg: 'rs256' })],
    ['r = s = 0', `${es[0]}.${es[1]}.${base64url(Buffer.alloc(64))}`, withKey(P256, 'ES256')],
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
    ['a token inside', rs256(claims(), { alg: 'RS256', cty: 'JWT' })],
    ['the type of a logout token', rs256(claims(), { alg: 'RS256', typ: 'logout+jwt' })],
    ['a type that is no text', rs256(claims(), { alg: 'RS256', typ: ['JWT'] })],
    ['a kid that is no text', rs256(claims(), { alg: 'RS256', kid: 7 })],
    ['a kid of 300 bytes', rs256(claims(), { alg: 'RS256', kid: 'k'.repeat(300) })],
    ['no algorithm', rs256(claims(), { typ: 'JWT' })],
    ['an algorithm that is no text', rs256(claims(), { alg: ['RS256'] })],
    ['a header that is a list', rs256(claims(), '[{"alg":"RS256"}]')],
    ['a header that is not JSON', rs256(claims(), '{alg:RS256}')],
    ['two algorithms', rs256(claims(), '{"alg":"none","alg":"RS256"}')],
    ['a payload that is no object', rs256('"text"')],
    ['a payload that is not UTF-8', rs256(Buffer.from(JSON.stringify(claims({ a: 'ÿ' })), 'latin1'))],
    ['two subjects', rs256(`{"sub":"a",${JSON.stringify(claims()).slice(1)}`)],
    ['two subjects, one escaped', rs256(`{"s\\u0075b":"a",${JSON.stringify(claims()).slice(1)}`)],
    ['two of a name further in', rs256(JSON.stringify(claims({ x: 1 })).replace('"x":1', '"x":[{"a":1,"a":2}]'))],
    ...(['exp', 'nbf', 'iat'] as const)
      .flatMap((name): [string, string][] => [
        [`${name} in text`, rs256(claims({ [name]: `${NOW}` }))],
        [`${name} without end`, rs256(JSON.stringify(claims({ [name]: 0 })).replace(`"${name}":0`, `"${name}":1e400`))],
        [`${name} before 1970`, rs256(claims({ [name]: -1 }))],
        [`${name} null`, rs256(claims({ [name]: null }))],
        [`${name} in milliseconds`, rs256(claims({ [name]: NOW * 1000 }))],
      ])
      .filter(([name]) => name !== 'exp in milliseconds'),
    ['exp in the year 100000', rs256(claims({ exp: 3e12 }))],
    ['no exp', rs256(claims({ exp: undefined }))],
    ['an end in the past', rs256(claims({ exp: NOW - 5 }))],
    ['a beginning in the future', rs256(claims({ nbf: NOW + 6 }))],
    ['iat in the future', rs256(claims({ iat: NOW + 6 }))],
    ['no iss', rs256(claims({ iss: undefined }))],
    ['another iss', rs256(claims({ iss: 'https://login.test' }))],
    ['several iss', rs256(claims({ iss: [ISSUER] }))],
    ['no aud', rs256(claims({ aud: undefined }))],
    ['another aud', rs256(claims({ aud: 'SHOP' }))],
    ['no audience in a list', rs256(claims({ aud: [] }))],
    ['an aud that is an object', rs256(claims({ aud: { 0: AUDIENCE } }))],
    ['an aud with a number', rs256(claims({ aud: [AUDIENCE, 7] }))],
    ['no sub', rs256(claims({ sub: undefined }))],
    ['an empty sub', rs256(claims({ sub: '' }))],
    ['a sub that is a number', rs256(claims({ sub: 7 }))],
    ['a sub that is half a character', rs256(JSON.stringify(claims()).replace('user-7', '\\ud800'))],
    ['more than 8 KiB', rs256(claims({ a: 'a'.repeat(7000) }))],
    ['32 KiB', rs256(claims({ a: 'a'.repeat(24_000) }))],
  ])('%s', (_, token, asked) => {
    expect(outcome(token, asked)).toBe(INVALID)
  })

  test('is never one that a byte was changed of', () => {
    const asked = policy()
    fc.assert(
      fc.property(fc.nat(good.length - 1), fc.constantFrom(...'AZaz09-_.='), (at, character) => {
        fc.pre(good[at] !== character)
        expect(outcome(`${good.slice(0, at)}${character}${good.slice(at + 1)}`, asked)).toBe(INVALID)
      }),
      { numRuns: 300 },
    )
  })
})

describe('the Authorization field is the one place', () => {
  const token = rs256()
  test.each<[string, string[], string]>([
    ['no field', [], 'unauthenticated Bearer realm="gateway"'],
    ['another scheme', ['Authorization', 'Basic Zm9vOmJhcg=='], 'unauthenticated Bearer realm="gateway"'],
    ['a scheme that begins like it', ['Authorization', `Bearers ${token}`], 'unauthenticated Bearer realm="gateway"'],
    ['the token alone', ['Authorization', token], 'unauthenticated Bearer realm="gateway"'],
    ['the scheme alone', ['Authorization', 'Bearer'], INVALID],
    ['a tab behind the scheme', ['Authorization', `Bearer\t${token}`], 'unauthenticated Bearer realm="gateway"'],
    ['two tokens', ['Authorization', `Bearer ${token}, Bearer ${token}`], INVALID],
    ['quotes', ['Authorization', `Bearer "${token}"`], INVALID],
    ['two fields', ['Authorization', `Bearer ${token}`, 'authorization', `Bearer ${token}`], INVALID],
    ['two fields, one of another scheme', ['authorization', 'Basic Zm9v', 'AUTHORIZATION', `Bearer ${token}`], INVALID],
    [
      'other fields only',
      ['Cookie', `token=${token}`, 'X-Authorization', `Bearer ${token}`],
      'unauthenticated Bearer realm="gateway"',
    ],
    ['the scheme in lower case', ['authorization', `bearer ${token}`], 'user'],
    ['the scheme in upper case, and spaces', ['AUTHORIZATION', `BEARER   ${token}`], 'user'],
  ])('%s', (_, fields, expected) => {
    const access = authenticator().ask(policy(), ...fields)
    const got = access instanceof Refusal ? `${access.failure} ${access.challenge}` : access && 'user'
    expect(got).toBe(expected)
  })

  test('where none is needed, none is nobody, but a bad one is refused', () => {
    const asked = policy({ optional: true })
    const { ask } = authenticator()
    expect(ask(asked)).toBeUndefined()
    expect(ask(asked, 'Authorization', 'Basic Zm9v')).toBeUndefined()
    expect(ask(asked, 'Authorization', 'Bearer x')).toMatchObject({ failure: 'unauthenticated' })
  })

  test('what the log is told has nothing of the token', () => {
    const access = authenticator().ask(
      policy(),
      'Authorization',
      `Bearer ${rs256(claims({ aud: 'S3CR3T', iss: 'S3CR3T' }))}`,
    )
    expect(access).toMatchObject({ detail: expect.not.stringContaining('S3CR3T') })
  })
})

describe('scopes', () => {
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
  ])('%o are enough: %s', (more, isEnough) => {
    const asked = policy({ requiredScopes: ['orders:read', 'orders:write'] })
    const expected = isEnough ? 'user user-7' : 'forbidden Bearer error="insufficient_scope"'
    expect(outcome(rs256(claims(more)), asked)).toBe(expected)
  })
})

describe('what is passed on', () => {
  test.each<[string, unknown, string | undefined]>([
    ['a text', 'ann@shop.test', 'ann@shop.test'],
    ['a text with a space', 'Ann B', 'Ann B'],
    ['a text beyond ASCII', 'Jürgen 🦊', 'J%C3%BCrgen %F0%9F%A6%8A'],
    ['a percent sign', '100%', '100%25'],
    ['a line end', 'a\r\nX-Admin: 1', 'a%0D%0AX-Admin: 1'],
    ['NUL and DEL', '\0\x7f', '%00%7F'],
    ['spaces at the ends', ' a  ', '%20a%20%20'],
    ['half a character', '\ud800', '%EF%BF%BD'],
    ['a number', 7.5, '7.5'],
    ['a truth', false, 'false'],
    ['a list', ['a', 'b,c', 7, true], 'a,b%2Cc,7,true'],
    ['an empty list', [], ''],
    ['a list of lists', [['a']], undefined],
    ['an object', { a: 1 }, undefined],
    ['null', null, undefined],
  ])('%s', (_, value, expected) => {
    const asked = policy({ claims: [{ claim: 'it', header: 'X-It' }] })
    const access = authenticator().ask(asked, 'Authorization', `Bearer ${rs256(claims({ it: value }))}`)
    const fields = expected === undefined ? [] : ['X-It', expected]
    expect(access).toMatchObject({ fields: ['X-User-Id', 'user-7', ...fields] })
  })

  test('a claim is the token’s own, never one that every object has', () => {
    const asked = policy({ claims: [{ claim: 'constructor', header: 'X-It' }] })
    const access = authenticator().ask(asked, 'Authorization', `Bearer ${rs256()}`)
    expect(access).toMatchObject({ fields: ['X-User-Id', 'user-7'] })
  })

  test('two subjects are never one value, and none ends a line', () => {
    const asked = policy()
    const { ask } = authenticator()
    const fieldOf = (sub: string) => {
      const access = ask(asked, 'Authorization', `Bearer ${rs256(claims({ sub }))}`)
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

describe('a token that was verified', () => {
  const bearer = ['Authorization', `Bearer ${rs256(claims({ exp: NOW + 100 }))}`]

  test('is not verified again, until it ends', () => {
    const { ask, at } = authenticator()
    const asked = policy()
    const first = ask(asked, ...bearer)
    expect(ask(asked, ...bearer)).toBe(first)
    at(NOW + 104.9)
    expect(ask(asked, ...bearer)).toBe(first)
    at(NOW + 105)
    expect(ask(asked, ...bearer)).toBeInstanceOf(Refusal)
  })

  test('is verified again after five minutes', () => {
    const { ask, at } = authenticator()
    const asked = policy()
    const long = ['Authorization', `Bearer ${rs256()}`]
    const first = ask(asked, ...long)
    at(NOW + 299)
    expect(ask(asked, ...long)).toBe(first)
    at(NOW + 300)
    expect(ask(asked, ...long)).not.toBe(first)
  })

  test('is verified again where the clock was set back', () => {
    const { ask, at } = authenticator()
    const asked = policy()
    const first = ask(asked, ...bearer)
    at(NOW - 1)
    expect(ask(asked, ...bearer)).not.toBe(first)
  })

  test('holds for no other policy', () => {
    const { ask } = authenticator()
    expect(ask(policy(), ...bearer)).toMatchObject({ userId: 'user-7' })
    expect(ask(policy({ audience: ['other'] }), ...bearer)).toBeInstanceOf(Refusal)
    expect(ask(policy({ requiredScopes: ['a'] }), ...bearer)).toMatchObject({ failure: 'forbidden' })
  })

  test('makes room for others, the one unused for longest first', () => {
    const { ask } = authenticator()
    const secret = Buffer.from(SECRET)
    const asked = policy({ algorithms: ['HS256'], key: { kind: 'secret', variable: 'A', secret: SECRET } })
    const one = (sub: number) =>
      ask(asked, 'Authorization', `Bearer ${signed('HS256', secret, { payload: claims({ sub: `${sub}` }) })}`)
    const [oldest, used] = [one(0), one(1)]
    for (let sub = 2; sub < 10_000; sub++) one(sub)
    expect(one(1)).toBe(used)
    one(10_000)
    expect(one(1)).toBe(used)
    expect(one(0)).not.toBe(oldest)
  })
})

describe('members of one name', () => {
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
  ])('%s: %s', (json, expected) => {
    JSON.parse(json)
    expect(hasDuplicateMembers(json)).toBe(expected)
  })

  test('are in no text that JSON.stringify writes', () => {
    fc.assert(
      fc.property(fc.json(), (json) => {
        expect(hasDuplicateMembers(JSON.stringify(JSON.parse(json)))).toBe(false)
      }),
    )
  })
})
