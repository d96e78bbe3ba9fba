import { generateKeyPairSync } from 'node:crypto'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, onTestFinished, test } from 'vitest'
import type { AuthConfig, JwtConfig, RoutesConfig } from '../define-routes.ts'
import { compile } from '../load/compile.ts'
import { checkConfig } from '../load/load.ts'
import { formatMistakes } from '../mistake.ts'
import { validate } from './validate.ts'

const pem = (pair: { publicKey: { export: (as: { type: 'spki'; format: 'pem' }) => string | Buffer } }) =>
  pair.publicKey.export({ type: 'spki', format: 'pem' }) as string
const RSA_PAIR = generateKeyPairSync('rsa', { modulusLength: 2048 })
const RSA = pem(RSA_PAIR)
const WEAK = pem(generateKeyPairSync('rsa', { modulusLength: 1024 }))
const P256 = pem(generateKeyPairSync('ec', { namedCurve: 'P-256' }))
const ED25519 = pem(generateKeyPairSync('ed25519'))

const JWKS = 'https://login.example.com/jwks.json'
const JWT: JwtConfig = { issuer: 'https://login.example.com/', audience: 'shop', algorithms: ['RS256'], jwksUri: JWKS }
const { jwksUri: _jwksUri, ...WITHOUT_KEY } = JWT

function withAuth(auth: unknown, more: object = {}): RoutesConfig {
  return {
    legacy: { url: 'http://127.0.0.1:3000' },
    services: { orders: { url: 'http://127.0.0.1:3001' } },
    contexts: {
      orders: {
        owner: 'team',
        service: 'orders',
        flag: 'orders',
        auth: auth as AuthConfig,
        routes: ['/orders', { path: '/open', auth: false }, { path: '/own', auth: { jwt: { ...JWT, issuer: 'own' } } }],
      },
    },
    ...more,
  }
}

const jwt = (changes: object) => withAuth({ jwt: { ...WITHOUT_KEY, ...changes } })

function mistakesIn(config: unknown): string[] {
  const validated = validate(config)
  return validated.ok ? [] : formatMistakes(validated.mistakes).split('\n')
}

async function compiled(config: RoutesConfig, variables: Record<string, string> = {}) {
  const checked = await checkConfig(config, tmpdir(), (name) => variables[name])
  if (!checked.ok) throw new Error(formatMistakes(checked.mistakes))
  return compile(checked.config)
}

async function laterMistakes(config: RoutesConfig, variables: Record<string, string>, folder = tmpdir()) {
  const checked = await checkConfig(config, folder, (name) => variables[name])
  return checked.ok ? [] : formatMistakes(checked.mistakes).split('\n')
}

describe('a token that is asked for', () => {
  test('is asked for by the context’s routes, but where a route has its own or none', async () => {
    const { match } = await compiled(withAuth({ jwt: JWT, claims: { email: 'X-User-Email' } }))
    expect(match('GET', 'a', '/orders').route.auth).toMatchObject({
      issuer: 'https://login.example.com/',
      audience: ['shop'],
      algorithms: ['RS256'],
      key: { kind: 'jwks', uri: JWKS },
      clockToleranceSeconds: 5,
      requiredScopes: [],
      optional: false,
      claims: [{ claim: 'email', header: 'X-User-Email' }],
    })
    expect(match('GET', 'a', '/open').route.auth).toBeUndefined()
    expect(match('GET', 'a', '/own').route.auth).toMatchObject({ issuer: 'own', claims: [] })
    expect(match('GET', 'a', '/nobody').route.auth).toBeUndefined()
  })

  test('has an id that tells policies apart and outlives an edit of the map', async () => {
    const id = async (changes: object) => {
      const { match } = await compiled(jwt({ jwksUri: JWKS, ...changes }))
      return match('GET', 'a', '/orders').route.auth?.id
    }
    expect(await id({})).toBe(await id({}))
    expect(await id({})).not.toBe(await id({ audience: 'other' }))
    expect(await id({})).not.toBe(await id({ requiredScopes: ['a'] }))
  })

  test('reserves its headers on every route, for no client to send', async () => {
    const { identity } = await compiled(withAuth({ jwt: JWT, claims: { email: 'X-Mail', tenant: 'X-Tenant' } }))
    expect([...(identity.claimHeaders ?? [])]).toEqual(['x-user-id', 'x-mail', 'x-tenant'])
  })

  test('reads its secret from the environment and its key from a file', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'strangler-keys-'))
    onTestFinished(() => rm(folder, { recursive: true, force: true }))
    await writeFile(join(folder, 'issuer.pem'), RSA)
    const file = await checkConfig(jwt({ publicKey: 'issuer.pem' }), folder)
    expect(file.ok && file.config.contexts.get('orders')?.routes[0]?.auth?.key).toEqual({
      kind: 'public-key',
      pem: RSA,
    })

    const secret = 's'.repeat(32)
    const { match } = await compiled(jwt({ algorithms: ['HS256'], secretFromEnv: 'SHOP_SECRET' }), {
      SHOP_SECRET: secret,
    })
    expect(match('GET', 'a', '/orders').route.auth?.key).toEqual({ kind: 'secret', variable: 'SHOP_SECRET', secret })
  })

  test.each([
    ['http://127.0.0.1:9/jwks'],
    ['http://localhost/jwks'],
    ['http://[::1]:8/jwks'],
    ['https://a.example/jwks'],
  ])('takes its keys from %s', (uri) => {
    expect(mistakesIn(jwt({ jwksUri: uri }))).toEqual([])
  })
})

describe('a mistake says where it is and what to write', () => {
  const AT = 'contexts.orders.auth'
  test.each<[string, RoutesConfig, string[]]>([
    ['nothing', withAuth({}), [`${AT}.jwt: is missing; it must be an object such as {`]],
    ['false on a context', withAuth(false), [`${AT}: must be an object such as { jwt:`, `${AT}.jwt: is missing`]],
    ['a misspelt key', withAuth({ jwt: JWT, optonal: true }), [`${AT}.optonal: unknown key; did you mean "optional"?`]],
    [
      'an empty token',
      withAuth({ jwt: {} }),
      [
        `${AT}.jwt.issuer: is missing`,
        `${AT}.jwt.audience: is missing`,
        `${AT}.jwt.algorithms: is missing`,
        `${AT}.jwt: names no key; write "jwksUri"`,
      ],
    ],
    ['an empty audience', jwt({ jwksUri: JWKS, audience: [] }), [`${AT}.jwt.audience: must be the "aud"`]],
    ['no algorithm', jwt({ jwksUri: JWKS, algorithms: [] }), [`${AT}.jwt.algorithms: must name the algorithm`]],
    ['none', jwt({ jwksUri: JWKS, algorithms: ['nOnE'] }), [`${AT}.jwt.algorithms[0]: must not be "none"`]],
    ['lower case', jwt({ jwksUri: JWKS, algorithms: ['rs256'] }), [`algorithms[0]: must be upper-case; write "RS256"`]],
    ['EdDSA', jwt({ jwksUri: JWKS, algorithms: ['EdDSA'] }), ['algorithms[0]: is not supported; write one of HS256']],
    ['a name of every object', jwt({ jwksUri: JWKS, algorithms: ['toString'] }), ['algorithms[0]: is not supported']],
    [
      'HMAC beside RSA',
      jwt({ jwksUri: JWKS, algorithms: ['RS256', 'HS256'] }),
      [
        `${AT}.jwt.algorithms: must not mix HS* with other algorithms: everybody who knows the public key could then sign tokens`,
      ],
    ],
    [
      'HMAC with a public key',
      jwt({ publicKey: RSA, algorithms: ['HS256'] }),
      [
        'algorithms: is HMAC, which needs a secret, but the key is in "publicKey"',
        'publicKey: is of the type rsa, which HS256',
      ],
    ],
    ['HMAC with a key set', jwt({ jwksUri: JWKS, algorithms: ['HS512'] }), ['the key is in "jwksUri"']],
    [
      'a secret for RSA',
      jwt({ secretFromEnv: 'A' }),
      ['algorithms: needs a public key; write "jwksUri" or "publicKey"'],
    ],
    [
      'two families for a key',
      jwt({ publicKey: RSA, algorithms: ['RS256', 'PS256'] }),
      ['names 2 families for one key'],
    ],
    ['two keys', jwt({ jwksUri: JWKS, publicKey: RSA }), [`${AT}.jwt: names more than one key (jwksUri, publicKey)`]],
    ['a curve that is not the algorithm’s', jwt({ publicKey: P256, algorithms: ['ES384'] }), ['its algorithms: ES256']],
    [
      'an RSA key for ECDSA',
      jwt({ publicKey: RSA, algorithms: ['ES256'] }),
      ['is of the type rsa, which ES256 cannot'],
    ],
    [
      'a key of a type that no algorithm uses',
      jwt({ publicKey: ED25519 }),
      ['is of the type ed25519', 'no supported algorithm uses it'],
    ],
    ['a short RSA key', jwt({ publicKey: WEAK }), ['publicKey: has 1024 bits']],
    [
      'no key',
      jwt({ publicKey: '-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----' }),
      ['is not a public key in PEM'],
    ],
    [
      'the secret itself',
      jwt({ algorithms: ['HS256'], secretFromEnv: 's3cr3t!' }),
      ['must be the name of an environment'],
    ],
    ['a key set without TLS', jwt({ jwksUri: 'http://login.example.com/' }), ['jwksUri: must begin with "https://"']],
    [
      'a name that begins like loopback',
      jwt({ jwksUri: 'http://127.0.0.1.evil.example/' }),
      ['must begin with "https'],
    ],
    ['a key set with a password', jwt({ jwksUri: 'https://u:p@a.example/' }), ['must have no user and password']],
    ['a key set that is no address', jwt({ jwksUri: 'file:///etc/passwd' }), ['jwksUri: must be an address such as']],
    ['a tolerance of hours', jwt({ jwksUri: JWKS, clockToleranceSeconds: 7200 }), ['a whole number from 0 to 300']],
    ['a scope with a space', jwt({ jwksUri: JWKS, requiredScopes: ['a b'] }), ['requiredScopes[0]: must be one scope']],
    [
      'claims in a list',
      withAuth({ jwt: JWT, claims: ['email'] }),
      [`${AT}.claims: must be an object with a header for each claim`],
    ],
    [
      'a claim as X-User-Id',
      withAuth({ jwt: JWT, claims: { uid: 'x-user-ID' } }),
      [`${AT}.claims.uid: is already the header of`],
    ],
    ['a claim as Authorization', withAuth({ jwt: JWT, claims: { a: 'Authorization' } }), ['must begin with "X-"']],
    ['a claim as X-Forwarded-For', withAuth({ jwt: JWT, claims: { a: 'X-Forwarded-For' } }), ['already has a meaning']],
    ['a claim as X-Original-URL', withAuth({ jwt: JWT, claims: { a: 'X-Original-URL' } }), ['already has a meaning']],
    ['an underscore', withAuth({ jwt: JWT, claims: { a: 'X-User_Email' } }), ['must have no "_"']],
    ['a line end', withAuth({ jwt: JWT, claims: { a: 'X-A\r\nX-B' } }), ['must be a header name']],
    [
      'one header twice',
      withAuth({ jwt: JWT, claims: { a: 'X-A', b: 'x-a' } }),
      [`${AT}.claims.b: is already the header`],
    ],
    [
      'the header of the proxy in front',
      withAuth(
        { jwt: JWT, claims: { a: 'X-Account' } },
        { identity: { user: { header: 'x-account', trust: ['loopback'] } } },
      ),
      [`${AT}.claims.a: is the header of identity.user`],
    ],
  ])('%s', (_, config, expected) => {
    const mistakes = mistakesIn(config)
    for (const part of expected) expect(mistakes.join('\n')).toContain(part)
    expect(mistakes.length).toBeLessThanOrEqual(Math.max(4, expected.length))
    expect(mistakes).not.toEqual([])
  })

  test('a private key is neither taken nor shown', () => {
    const written = RSA_PAIR.privateKey.export({ type: 'pkcs8', format: 'pem' }) as string
    const mistakes = mistakesIn(jwt({ publicKey: written }))
    expect(mistakes).toEqual([expect.stringContaining('publicKey: is a private key')])
    expect(mistakes.join('')).not.toContain(written.slice(40, 80))
  })

  test.each([
    ['HS256', 32],
    ['HS384', 48],
    ['HS512', 64],
  ])('a secret for %s has %i bytes or more, and is not shown', async (name, least) => {
    const config = jwt({ algorithms: [name], secretFromEnv: 'SHOP_SECRET' })
    const short = 'ü'.repeat(least / 2 - 1)
    const [mistake = ''] = await laterMistakes(config, { SHOP_SECRET: short })
    expect(mistake).toContain(
      `jwt.secretFromEnv: names a secret that is too short for ${name}, which need at least ${least}`,
    )
    expect(mistake).not.toContain('ü')
    expect(await laterMistakes(config, { SHOP_SECRET: 's'.repeat(least) })).toEqual([])
  })

  test('a variable that is not set, and files that are not there, are told together and once', async () => {
    const config = withAuth(
      { jwt: { ...WITHOUT_KEY, algorithms: ['HS256'], secretFromEnv: 'SHOP_SECRET' } },
      {
        legacy: { url: 'https://127.0.0.1:3000', tls: { ca: 'not-there.pem' } },
      },
    )
    expect(await laterMistakes(config, {})).toEqual([
      expect.stringContaining('legacy.tls.ca: cannot be read'),
      'contexts.orders.auth.jwt.secretFromEnv: is an environment variable that is not set; set it (found "SHOP_SECRET")',
    ])
  })
})
