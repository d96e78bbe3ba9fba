// Tokens that somebody made himself, and headers that say who he would like to be: nothing of it reaches an origin.
import { randomBytes } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import type { AuthConfig, JwtConfig, RoutesConfig } from '../../src/config/define-routes.ts'
import { sharedByFile } from '../kit/lifetime.ts'
import { startRawOrigin } from '../kit/origin.ts'
import { connectRaw, type RawResponse } from '../kit/raw.ts'
import { AUDIENCE, base64url, ecPair, goodClaims, ISSUER, jwkOf, pemOf, rsaPair, signed } from '../kit/tokens.ts'
import { request, startTarget, valuesOf } from './attack.ts'

const RSA = rsaPair()
const P256 = ecPair('P-256')
const SECRET = randomBytes(32).toString('hex')
process.env.TOKENS_TEST_SECRET = SECRET

const COMMON = { issuer: ISSUER, audience: AUDIENCE } as const
const RS256: JwtConfig = { ...COMMON, algorithms: ['RS256'], publicKey: pemOf(RSA) }
const CLAIMS = { email: 'X-User-Email', tenant: 'X-Tenant', groups: 'X-Groups' }
const AUTH: AuthConfig = { jwt: RS256, claims: CLAIMS }

/** Two contexts that ask for the same: `orders` is still legacy's, `carts` is the service's. */
const shop = sharedByFile(async () => {
  const service = await startRawOrigin()
  const config: Partial<RoutesConfig> = {
    services: { shop: { url: service.url } },
    contexts: {
      orders: {
        owner: 'team',
        service: 'shop',
        flag: 'orders',
        auth: AUTH,
        routes: [
          '/orders',
          { path: '/es256', auth: { jwt: { ...COMMON, algorithms: ['ES256'], publicKey: pemOf(P256) } } },
          { path: '/hs256', auth: { jwt: { ...COMMON, algorithms: ['HS256'], secretFromEnv: 'TOKENS_TEST_SECRET' } } },
          { path: '/scoped', auth: { jwt: { ...RS256, requiredScopes: ['orders:write'] } } },
          { path: '/maybe', auth: { ...AUTH, optional: true } },
          { path: '/open', auth: false },
          { path: '/live', upgrade: true },
        ],
      },
      carts: { owner: 'team', service: 'shop', flag: 'carts', auth: AUTH, routes: ['/carts'] },
      half: { owner: 'team', service: 'shop', flag: 'half', auth: AUTH, routes: ['/half'] },
    },
    identity: {
      user: { header: 'X-Account', trust: ['127.0.0.1/32'] },
      session: { cookie: 'sid' },
      anonymous: 'ip',
    },
  }
  const target = await startTarget({ config, options: { percentages: { orders: 0, carts: 100, half: 50 } } })
  return { ...target, service }
})

const token = signed('RS256', RSA.privateKey)
const rs256 = (payload: object | string, header: object | string = { alg: 'RS256', typ: 'JWT' }) =>
  signed('RS256', RSA.privateKey, { header, payload })
const [HEAD = '', BODY = '', SIGNATURE = ''] = token.split('.')
const now = Math.floor(Date.now() / 1000)

/** Asks, and says what either origin saw of it. */
async function ask(fields: readonly string[], line = 'GET /orders', body = '') {
  const earlier = shop().service.heads().length
  const { response, heads } = await shop().attack(request(line, fields, body))
  return { response, heads: [...heads, ...shop().service.heads().slice(earlier)] }
}

/** Nothing reached an origin, and the client was told no more than that. */
function expectRefused(response: RawResponse, heads: readonly string[], status: number, challenge: string): void {
  expect(heads).toEqual([])
  expect(response.status, response.head).toBe(status)
  expect(valuesOf(response.head, 'www-authenticate')).toEqual([challenge])
  expect(valuesOf(response.head, 'content-type')).toEqual(['application/problem+json'])
  const { type, title, requestId, ...rest } = JSON.parse(response.body)
  expect({ type, ...rest }).toEqual({ type: 'about:blank', status, rule: status === 403 ? 'scope' : 'token' })
  expect(title).toMatch(/^(A valid access token is required|The access token does not allow this)$/)
  expect(requestId).toMatch(/^[0-9a-f]{32}$/)
}

const NONE = 'Bearer realm="gateway"'
const INVALID = 'Bearer error="invalid_token"'

describe('a request with a forged or invalid token is answered 401:', () => {
  const hs = (key: string | Buffer, header: object = { alg: 'HS256', typ: 'JWT' }) =>
    signed('HS256', Buffer.from(key), { header })
  const es = signed('ES256', P256.privateKey).split('.')
  const unsigned = (header: object) => `${base64url(header)}.${base64url(goodClaims({ sub: 'admin' }))}.`

  it.each<[string, string, string?]>([
    ...['none', 'None', 'NONE', 'nOnE', 'none '].flatMap((alg): [string, string][] => [
      [`B34 alg ${alg}`, unsigned({ alg })],
      [`B34 alg ${alg} with a signature`, `${unsigned({ alg })}${SIGNATURE}`],
    ]),
    ['B34 an empty signature', `${HEAD}.${BODY}.`],
    ['B34 two segments', `${HEAD}.${BODY}`],
    ['B34 four segments', `${token}.${SIGNATURE}`],
    ['B34 padding', `${token}==`],
    ['B34 padding in the header', `${HEAD}=.${BODY}.${SIGNATURE}`],
    [
      'B34 the alphabet of plain base64',
      rs256(goodClaims({ a: '???>>>' }))
        .replaceAll('-', '+')
        .replaceAll('_', '/'),
    ],
    ['B34 an escaped dot', token.replace('.', '%2E')],
    ['B34 two sub members', rs256(`{"sub":"admin",${JSON.stringify(goodClaims()).slice(1)}`)],
    ['B34 two alg members', rs256(goodClaims(), '{"alg":"none","alg":"RS256"}')],
    ['B35 the public key as a secret', hs(pemOf(RSA))],
    ['B35 the public key as a secret, with RS256 in the header', hs(pemOf(RSA), { alg: 'RS256' })],
    ['B35 an ECDSA signature with r = s = 0', `${es[0]}.${es[1]}.${base64url(Buffer.alloc(64))}`, '/es256'],
    ['B35 an ECDSA signature of one byte', `${es[0]}.${es[1]}.AA`, '/es256'],
    ['B35 another curve', signed('ES256', ecPair('P-384').privateKey), '/es256'],
    ['B35 PS256 with the key for RS256', signed('PS256', RSA.privateKey)],
    ['B35 RS256 on a route with HS256', token, '/hs256'],
    ['B35 an empty secret', hs(''), '/hs256'],
    [
      'the key that came along',
      signed('RS256', rsaPair().privateKey, { header: { alg: 'RS256', jwk: jwkOf(rsaPair()) } }),
    ],
    ['B36 exp as a text', rs256(goodClaims({ exp: `${now + 60}` }))],
    ['B36 an infinite exp', rs256(JSON.stringify(goodClaims({ exp: 0 })).replace('"exp":0', '"exp":1e400'))],
    ['B36 exp before 1970', rs256(goodClaims({ exp: -1 }))],
    ['B36 no exp', rs256(goodClaims({ exp: undefined }))],
    ['B36 exp in the past', rs256(goodClaims({ exp: now - 60 }))],
    ['B36 nbf as a text', rs256(goodClaims({ nbf: '0' }))],
    ['B36 an infinite nbf', rs256(JSON.stringify(goodClaims({ nbf: 0 })).replace('"nbf":0', '"nbf":1e400'))],
    ['B36 nbf in the future', rs256(goodClaims({ nbf: now + 600 }))],
    ['B36 iat as a text', rs256(goodClaims({ iat: '0' }))],
    ['B36 iat before 1970', rs256(goodClaims({ iat: -1 }))],
    ['B36 iat in the future', rs256(goodClaims({ iat: now + 600 }))],
    ['B36 no iss', rs256(goodClaims({ iss: undefined }))],
    ['B36 no aud', rs256(goodClaims({ aud: undefined }))],
    ['B36 other audiences', rs256(goodClaims({ aud: ['a', 'b'] }))],
    ['B36 crit', rs256(goodClaims(), { alg: 'RS256', crit: ['exp'], exp: now + 60 })],
    ['B36 b64: false', rs256(goodClaims(), { alg: 'RS256', b64: false, crit: ['b64'] })],
    ['B37 more than 8 KiB', rs256(goodClaims({ a: 'a'.repeat(7500) }))],
  ])('%s', async (_, forged, path = '/orders') => {
    const { response, heads } = await ask([`Authorization: Bearer ${forged}`], `GET ${path}`)
    expectRefused(response, heads, 401, INVALID)
  })

  it('32 KB in size, refused as a head above the limit', async () => {
    const { response, heads } = await ask([`Authorization: Bearer ${rs256(goodClaims({ a: 'a'.repeat(24_000) }))}`])
    expect(heads).toEqual([])
    expect(response.status).toBe(431)
  })

  it.each<[string, string, string]>([
    ['B36 a list of audiences', rs256(goodClaims({ aud: ['other', AUDIENCE] })), '/orders'],
    ['B36 fractions of seconds', rs256(goodClaims({ exp: now + 60.5, nbf: now - 0.5, iat: now - 0.5 })), '/orders'],
    ['ES256', signed('ES256', P256.privateKey), '/es256'],
    ['HS256 with the secret of the environment', hs(SECRET), '/hs256'],
  ])('but a valid token is accepted: %s', async (_, good, path) => {
    const { response, heads } = await ask([`Authorization: Bearer ${good}`], `GET ${path}`)
    expect(response.status, response.head).toBe(200)
    expect(heads).toHaveLength(1)
  })
})

describe('B37 only the Authorization field can contain the token; a request with', () => {
  const bearer = `Authorization: Bearer ${token}`
  it.each<[string, string[], string, string?]>([
    ['no token', [], NONE],
    ['a token in the query', [], NONE, `GET /orders?access_token=${token}&token=${token}`],
    ['a token in a cookie', [`Cookie: access_token=${token}; Authorization=Bearer ${token}`], NONE],
    ['a token in similar fields', [`Authorization_: Bearer ${token}`, `X-Authorization: Bearer ${token}`], NONE],
    ['a token in Proxy-Authorization', [`Proxy-Authorization: Bearer ${token}`], NONE],
    ['another scheme', [`Authorization: Basic ${base64url('a:b')}`], NONE],
    ['the scheme without a token', ['Authorization: Bearer'], INVALID],
    ['a tab instead of the space', [`Authorization: Bearer\t${token}`], NONE],
    ['a tab after the space', [`Authorization: Bearer \t${token}`], INVALID],
    ['two Authorization fields', [bearer, bearer], INVALID],
    ['two Authorization fields, one of them forged', [bearer, `authorization: Bearer ${HEAD}.${BODY}.`], INVALID],
    ['two Authorization fields, one of another scheme', [bearer, `AUTHORIZATION: Basic ${base64url('a:b')}`], INVALID],
    ['two tokens in one field', [`${bearer}, Bearer ${token}`], INVALID],
    [
      'a forged one, with a good one in query and cookie',
      ['Authorization: Bearer x', `Cookie: t=${token}`],
      INVALID,
      `GET /orders?access_token=${token}`,
    ],
    ['an Authorization field that Connection lists', [bearer, 'Connection: Authorization'], NONE],
  ])('%s is answered 401', async (_, fields, challenge, line) => {
    const { response, heads } = await ask(fields, line)
    expectRefused(response, heads, 401, challenge)
  })

  it('a NUL in the field is refused', async () => {
    const { response, heads } = await ask([`Authorization: Bearer\0 ${token}`])
    expect(heads).toEqual([])
    expect(response.status).toBe(400)
  })

  it.each(['Bearer', 'bearer', 'BEARER', 'bEaReR'])(
    'the scheme %s is accepted, and the field is forwarded unchanged',
    async (scheme) => {
      const { response, heads } = await ask([`Authorization: ${scheme} ${token}`])
      expect(response.status, response.head).toBe(200)
      expect(heads.map((head) => valuesOf(head, 'authorization'))).toEqual([[`${scheme} ${token}`]])
    },
  )
})

describe('an identity header that a client sends', () => {
  const rich = rs256(goodClaims({ email: 'ann@shop.test', tenant: 'Zürich', groups: ['a', 'b'] }))
  const spoofed = [
    'X-User-Id: admin',
    'x-user-id: admin',
    'X-USER-ID: admin',
    'X_User_Id: admin',
    'X-User_Id: admin',
    'X-User-Email: admin',
    'X_USER_EMAIL: admin',
    'X-Tenant: admin',
    'x-tenant: admin',
    'X-TENANT: admin',
    'X_Tenant: admin',
    'X-Groups: admin',
    'x-groups: admin',
  ]

  it.each(['GET /orders', 'GET /carts'])('is replaced by the verified identity: %s', async (line) => {
    const { response, heads } = await ask([...spoofed, `Authorization: Bearer ${rich}`, 'X-Account: admin'], line)
    expect(response.status, response.head).toBe(200)
    const [head = ''] = heads
    expect(valuesOf(head, 'x-user-id')).toEqual(['user-7'])
    expect(valuesOf(head, 'x-user-email')).toEqual(['ann@shop.test'])
    expect(valuesOf(head, 'x-tenant')).toEqual(['Z%C3%BCrich'])
    expect(valuesOf(head, 'x-groups')).toEqual(['a,b'])
    // The user whom a trusted proxy names is no match for one that proved it.
    expect(valuesOf(head, 'x-account')).toEqual(['user-7'])
    expect(head).not.toContain('admin')
    expect(head).not.toMatch(/^[^:]*_[^:]*:/m)
  })

  it.each(['GET /open', 'GET /maybe', 'GET /unowned'])(
    'is dropped from a request without a token: %s',
    async (line) => {
      const { response, heads } = await ask(spoofed, line)
      expect(response.status, response.head).toBe(200)
      expect(heads.join()).not.toContain('admin')
    },
  )

  it('does not remove a field of the edge', async () => {
    const listed = 'Connection: close, X-User-Id, X-User-Email, X-Tenant, X-Account'
    const { heads } = await ask([listed, `Authorization: Bearer ${rich}`])
    expect(heads.map((head) => [valuesOf(head, 'x-user-id'), valuesOf(head, 'x-tenant')])).toEqual([
      [['user-7'], ['Z%C3%BCrich']],
    ])
  })

  it('is dropped from the trailers of a body', async () => {
    const trailers = 'X-User-Id: admin\r\nX-User-Email: admin\r\nX_Tenant: admin\r\nX-Tenant: admin\r\nX-Sum: 1\r\n'
    const fields = [`Authorization: Bearer ${rich}`, 'Transfer-Encoding: chunked', 'Trailer: X-Sum']
    const { response } = await ask([...fields, 'Connection: close'], 'POST /orders', `2\r\nok\r\n0\r\n${trailers}\r\n`)
    expect(response.status, response.head).toBe(200)
    const bytes = shop()
      .origin.connections.map((connection) => connection.bytes.toString('latin1'))
      .join()
    expect(bytes).toContain('X-Sum: 1')
    expect(bytes).not.toContain('admin')
  })

  it('does not change the side of a user, and neither does a cookie', async () => {
    const sides = new Set<string>()
    for (let user = 0; user < 12; user++) {
      const bearer = `Authorization: Bearer ${rs256(goodClaims({ sub: `user-${user}` }))}`
      const seen = new Set<string>()
      for (const cookie of ['a', 'b', 'c']) {
        const earlier = shop().service.heads().length
        await ask([bearer, `Cookie: sid=${cookie}`, `X-Account: ${cookie}`], 'GET /half')
        seen.add(shop().service.heads().length > earlier ? 'service' : 'legacy')
      }
      expect(seen.size).toBe(1)
      for (const side of seen) sides.add(side)
    }
    expect([...sides].sort()).toEqual(['legacy', 'service'])
  })
})

describe('a route', () => {
  it('with required scopes answers 403 to a valid token without them', async () => {
    const { response, heads } = await ask([`Authorization: Bearer ${token}`], 'GET /scoped')
    expectRefused(response, heads, 403, 'Bearer error="insufficient_scope"')
    const scoped = rs256(goodClaims({ scope: 'orders:read orders:write' }))
    expect((await ask([`Authorization: Bearer ${scoped}`], 'GET /scoped')).response.status).toBe(200)
  })

  it('with an optional token refuses an invalid token', async () => {
    const { response, heads } = await ask(['Authorization: Bearer x.y.z'], 'GET /maybe')
    expectRefused(response, heads, 401, INVALID)
  })
})

describe('the refusal of a token', () => {
  it('keeps the connection of a request without a body, and the next request is served', async () => {
    const client = await connectRaw(shop().gateway.port)
    client.send(request('GET /orders'))
    await client.receives(/requestId[^}]*\}\n$/)
    client.send(request('GET /orders', [`Authorization: Bearer ${token}`, 'Connection: close']))
    expect(await client.closes()).toMatch(/^HTTP\/1\.1 401 [\s\S]*\nHTTP\/1\.1 200 OK\r\n/)
  })

  it('closes the connection of a request with a body, which is never read as a request', async () => {
    const smuggled = request('GET /open')
    const { response, heads } = await ask([`Content-Length: ${smuggled.length}`], 'POST /orders', smuggled)
    expectRefused(response, heads, 401, NONE)
    expect(response.isClosed).toBe(true)
  })

  it('is counted and logged by its name and without the token', async () => {
    const { gateway } = shop()
    const earlier = await gateway.metric('strangler_refusals_total{failure="unauthenticated"}')
    const forged = rs256(goodClaims({ aud: 'S3CR3T', iss: 'S3CR3T' }))
    await ask([`Authorization: Bearer ${forged}`], 'GET /orders')
    const line = await gateway.accessLine(({ error }) => String(error).startsWith('jwt audience invalid'))
    expect(line).toMatchObject({ status: 401, failure: 'unauthenticated' })
    expect(await gateway.metric('strangler_refusals_total{failure="unauthenticated"}')).toBe(earlier + 1)
    const log = JSON.stringify(await gateway.accessLog())
    for (const part of [...forged.split('.'), SIGNATURE, 'S3CR3T']) expect(log).not.toContain(part)
  })
})

describe('a WebSocket', () => {
  const handshake = (...fields: string[]) =>
    request('GET /live', [
      'Connection: Upgrade',
      'Upgrade: websocket',
      'Sec-WebSocket-Version: 13',
      'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==',
      ...fields,
    ])

  it.each<[string, string[], string]>([
    ['without a token', [], NONE],
    ['with a forged token', [`Authorization: Bearer ${HEAD}.${BODY}.AAAA`], INVALID],
    ['with a token in the protocol', [`Sec-WebSocket-Protocol: ${token}`], NONE],
  ])('is not opened %s', async (_, fields, challenge) => {
    const { response, heads } = await shop().attack(handshake(...fields))
    expectRefused(response, heads, 401, challenge)
    expect(response.isClosed).toBe(true)
  })

  it('is forwarded with its verified user', async () => {
    const bearer = `Authorization: Bearer ${token}`
    const { heads } = await shop().attack(handshake(bearer, 'X-User-Id: admin', 'X-Tenant: admin'))
    expect(heads).toHaveLength(1)
    const [head = ''] = heads
    expect(head).toContain('GET /live')
    expect(valuesOf(head, 'x-user-id')).toEqual(['user-7'])
    expect(head).not.toContain('admin')
  })
})
