// F16: the issuer's key set is unreachable, slow or changed, or clients flood it with unknown keys. Tokens with a cached key
// are still verified, the issuer gets one request in a cool-down, and only a request with an unknown key waits.
import { generateKeyPairSync } from 'node:crypto'
import http, { type RequestListener } from 'node:http'
import type { AddressInfo, Socket } from 'node:net'
import { describe, expect, it } from 'vitest'
import { adjustableClock, expectCalm } from '../kit/calm.ts'
import { startGateway } from '../kit/gateway.ts'
import { whenOver } from '../kit/lifetime.ts'
import { freePort, startNamedOrigin, startRawOrigin } from '../kit/origin.ts'
import { connectRaw } from '../kit/raw.ts'
import { shop } from '../kit/shop.ts'
import { AUDIENCE, ecPair, goodClaims, ISSUER, jwkOf, type KeyPair, rsaPair, signed } from '../kit/tokens.ts'
import { until } from '../kit/until.ts'

const FIRST = rsaPair()
const SECOND = rsaPair()
const THIRD = ecPair('P-256')
const WEAK: KeyPair = generateKeyPairSync('rsa', { modulusLength: 1024 })

const setOf = (keys: readonly object[]): RequestListener => {
  return (_request, response) => void response.end(JSON.stringify({ keys }))
}

const jwk = (pair: KeyPair, kid: string, more: object = {}) => jwkOf(pair, { kid, ...more })
const tokenOf = (pair: KeyPair, kid: unknown, alg = 'RS256', claims: object = {}) =>
  signed(alg, pair.privateKey, { header: { alg, kid }, payload: goodClaims({ ...claims }) })

/** An issuer's JWKS endpoint that can change its response, go away, and count its requests. */
async function startIssuer(answer: RequestListener = setOf([jwk(FIRST, 'first')])) {
  let current = answer
  let fetches = 0
  const sockets = new Set<Socket>()
  const server = http.createServer((request, response) => {
    fetches++
    current(request, response)
  })
  server.on('connection', (socket) => {
    sockets.add(socket)
    socket.once('close', () => sockets.delete(socket))
  })
  const listen = (port: number) => new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve))
  const stop = () => {
    for (const socket of sockets) socket.destroy()
    return new Promise<void>((resolve) => server.close(() => resolve()))
  }
  await listen(0)
  whenOver(stop)
  const { port } = server.address() as AddressInfo
  return {
    uri: `http://127.0.0.1:${port}/jwks.json`,
    fetches: () => fetches,
    answers: (next: RequestListener) => {
      current = next
    },
    stop,
    start: () => listen(port),
  }
}

async function startShop(jwksUri: string, algorithms: ('RS256' | 'ES256')[] = ['RS256', 'ES256']) {
  const legacy = await startNamedOrigin('legacy')
  const clock = adjustableClock()
  const map = shop({ legacy: legacy.url, service: legacy.url })
  const catalog = {
    ...map.contexts?.catalog,
    auth: { jwt: { issuer: ISSUER, audience: AUDIENCE, algorithms, jwksUri } },
  }
  const config = { ...map, contexts: { catalog } } as typeof map
  const gateway = await startGateway(config, { clock })
  const ask = async (token: string) => {
    const answer = await fetch(`http://127.0.0.1:${gateway.port}/products`, {
      headers: { authorization: `Bearer ${token}` },
    })
    await answer.text()
    return answer.status
  }
  return { gateway, legacy, clock, ask, config }
}

const SECOND_MS = 1000

describe('F16 an issuer that works', () => {
  it('is requested once for a set that serves every key in it', async () => {
    const issuer = await startIssuer(setOf([jwk(FIRST, 'first'), jwk(SECOND, 'second'), jwk(THIRD, 'third')]))
    const { ask } = await startShop(issuer.uri)
    const tokens = [tokenOf(FIRST, 'first'), tokenOf(SECOND, 'second'), tokenOf(THIRD, 'third', 'ES256')]
    const answers = await Promise.all([...tokens, ...tokens, ...tokens].map(ask))
    expect(answers).toEqual(Array(9).fill(200))
    expect(issuer.fetches()).toBe(1)
  })

  it('may publish its only key without a kid', async () => {
    const issuer = await startIssuer(setOf([jwkOf(FIRST)]))
    const { ask } = await startShop(issuer.uri)
    expect(await ask(tokenOf(FIRST, undefined))).toBe(200)
    expect(await ask(tokenOf(SECOND, undefined))).toBe(401)
    expect(issuer.fetches()).toBe(1)
  })

  it('delays a WebSocket upgrade until its keys are read', async () => {
    const issuer = await startIssuer(setOf([]))
    const legacy = await startRawOrigin(
      'HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n',
    )
    const auth = { jwt: { issuer: ISSUER, audience: AUDIENCE, algorithms: ['RS256'], jwksUri: issuer.uri } } as const
    const live = { owner: 'team', service: 'a', flag: 'live', auth, routes: [{ path: '/live', upgrade: true }] }
    const gateway = await startGateway({
      legacy: { url: legacy.url },
      services: { a: { url: legacy.url } },
      contexts: { live },
    })
    let finish = () => {}
    issuer.answers((request, response) => {
      finish = () => setOf([jwk(FIRST, 'first')])(request, response)
    })
    const handshake = `GET /live HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nAuthorization: Bearer ${tokenOf(FIRST, 'first')}\r\n\r\n`
    const client = await connectRaw(gateway.port)
    const leaves = await connectRaw(gateway.port)
    client.send(handshake)
    leaves.send(handshake)
    await until(() => issuer.fetches() === 1)
    leaves.destroy()
    expect(legacy.requests()).toBe(0)
    finish()
    await client.receives('101 Switching Protocols')
    expect(legacy.heads()[0]).toContain('x-user-id: user-7')
    client.destroy()
    await expectCalm(gateway)
  })

  it('publishes keys that verify only tokens of their own algorithm and use', async () => {
    const issuer = await startIssuer(
      setOf([
        jwk(FIRST, 'other-alg', { alg: 'RS512' }),
        jwk(FIRST, 'for-encryption', { use: 'enc' }),
        jwk(THIRD, 'curve'),
        jwk(WEAK, 'weak'),
        { kty: 'oct', kid: 'oct', k: 'c2VjcmV0' },
        jwk(FIRST, 'twice'),
        jwk(SECOND, 'twice'),
      ]),
    )
    const { ask } = await startShop(issuer.uri)
    expect(await ask(tokenOf(FIRST, 'twice'))).toBe(200)
    for (const kid of ['other-alg', 'for-encryption', 'curve', 'oct', undefined]) {
      expect(await ask(tokenOf(FIRST, kid)), String(kid)).toBe(401)
    }
    expect(await ask(tokenOf(WEAK, 'weak'))).toBe(401)
    expect(await ask(tokenOf(SECOND, 'twice'))).toBe(401)
    expect(await ask(tokenOf(ecPair('P-256'), 'curve', 'ES256'))).toBe(401)
    expect(issuer.fetches()).toBe(1)
  })
})

describe('F16 changing keys', () => {
  it('cost one fetch for a new key, and the old key stays valid while it is published and at most five minutes longer', async () => {
    const issuer = await startIssuer()
    const { ask, clock } = await startShop(issuer.uri)
    expect(await ask(tokenOf(FIRST, 'first'))).toBe(200)

    issuer.answers(setOf([jwk(FIRST, 'first'), jwk(SECOND, 'second')]))
    clock.advance(31 * SECOND_MS)
    expect(await ask(tokenOf(SECOND, 'second'))).toBe(200)
    expect(await ask(tokenOf(FIRST, 'first'))).toBe(200)
    expect(issuer.fetches()).toBe(2)

    issuer.answers(setOf([jwk(SECOND, 'second')]))
    const used = tokenOf(FIRST, 'first', 'RS256', { jti: 'used' })
    expect(await ask(used)).toBe(200)
    clock.advance(301 * SECOND_MS)
    // The set is old: a request uses the cached keys, and the set is read again in the background.
    expect(await ask(tokenOf(SECOND, 'second', 'RS256', { jti: '1' }))).toBe(200)
    await until(() => issuer.fetches() === 3)
    await until(async () => (await ask(used)) === 401)
    expect(await ask(tokenOf(SECOND, 'second'))).toBe(200)
  })

  it('are read again before use if the set is older than ten minutes', async () => {
    const issuer = await startIssuer()
    const { ask, clock } = await startShop(issuer.uri)
    const token = tokenOf(FIRST, 'first')
    expect(await ask(token)).toBe(200)
    issuer.answers(setOf([jwk(SECOND, 'second')]))
    clock.advance(601 * SECOND_MS)
    expect(await ask(token)).toBe(401)
    expect(issuer.fetches()).toBe(2)
  })

  it('survive an edit of the map without a fetch', async () => {
    const issuer = await startIssuer()
    const { ask, gateway, config } = await startShop(issuer.uri)
    expect(await ask(tokenOf(FIRST, 'first'))).toBe(200)
    await issuer.stop()
    await gateway.writeConfig({ ...config, limits: { bodyBytes: 1000 } })
    await until(async () => (await gateway.readyz()).body.edition === 2)
    expect(await ask(tokenOf(FIRST, 'first', 'RS256', { jti: 'new' }))).toBe(200)
  })
})

describe('F16 a flood of tokens with unknown keys', () => {
  it('costs one fetch in a cool-down, and valid tokens are still accepted', async () => {
    const issuer = await startIssuer()
    const { ask, clock, gateway, legacy } = await startShop(issuer.uri)
    expect(await ask(tokenOf(FIRST, 'first'))).toBe(200)
    clock.advance(31 * SECOND_MS)
    // One signature for all tokens: the kid is looked up before the signature is verified.
    const [, payload, signature] = tokenOf(SECOND, 'x').split('.')
    const client = await connectRaw(gateway.port)
    const flood = (count: number, name: string) => {
      for (let i = 0; i < count; i++) {
        const header = Buffer.from(JSON.stringify({ alg: 'RS256', kid: `${name}-${i}` })).toString('base64url')
        client.send(
          `GET /products HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer ${header}.${payload}.${signature}\r\n\r\n`,
        )
      }
    }
    const answered = () => client.received().split('HTTP/1.1 401').length - 1
    for (let round = 1; round <= 20; round++) {
      // Below the limit of pipelined requests on one connection.
      flood(50, `round-${round}`)
      await until(() => answered() === round * 50)
      if (round % 5 === 0) expect(await ask(tokenOf(FIRST, 'first', 'RS256', { jti: round }))).toBe(200)
    }
    expect(issuer.fetches()).toBe(2)
    expect(legacy.requests()).toBe(5)

    issuer.answers(setOf([jwk(FIRST, 'first'), jwk(SECOND, 'second')]))
    expect(await ask(tokenOf(SECOND, 'second'))).toBe(401)
    expect(issuer.fetches()).toBe(2)
    clock.advance(31 * SECOND_MS)
    expect(await ask(tokenOf(SECOND, 'second'))).toBe(200)
    expect(issuer.fetches()).toBe(3)
    await expectCalm(gateway)
  })

  it.each(['../../../etc/passwd', '__proto__', 'constructor', '', "' OR 1=1 --", 'k'.repeat(256), 'http://127.0.0.1/'])(
    'uses the kid %s only as a key of the set',
    async (kid) => {
      const issuer = await startIssuer()
      const paths: (string | undefined)[] = []
      issuer.answers((request, response) => {
        paths.push(request.url)
        setOf([jwk(FIRST, 'first')])(request, response)
      })
      const { ask } = await startShop(issuer.uri)
      expect(await ask(tokenOf(FIRST, kid))).toBe(401)
      expect(await ask(tokenOf(FIRST, 'first'))).toBe(200)
      expect(paths).toEqual(['/jwks.json'])
    },
  )

  it('costs no fetch for a kid of 10 KB, a kid that is not text, jku, x5u and tokens for other algorithms', async () => {
    const issuer = await startIssuer()
    const { ask } = await startShop(issuer.uri)
    const header = { alg: 'RS256', kid: 'first', jku: issuer.uri, x5u: issuer.uri }
    expect(await ask(tokenOf(FIRST, 'k'.repeat(7000)))).toBe(401)
    expect(await ask(tokenOf(FIRST, 'k'.repeat(257)))).toBe(401)
    expect(await ask(tokenOf(FIRST, ['first']))).toBe(401)
    expect(await ask(signed('RS512', FIRST.privateKey, { header: { alg: 'RS512', kid: 'first' } }))).toBe(401)
    expect(issuer.fetches()).toBe(0)
    expect(await ask(signed('RS256', SECOND.privateKey, { header }))).toBe(401)
    expect(issuer.fetches()).toBe(1)
  })
})

describe('F16 an issuer that is down', () => {
  it('costs no request while its keys are cached, at any age', async () => {
    const issuer = await startIssuer()
    const { ask, clock, gateway } = await startShop(issuer.uri)
    expect(await ask(tokenOf(FIRST, 'first'))).toBe(200)
    await issuer.stop()
    clock.advance(301 * SECOND_MS)
    for (let minute = 0; minute < 30; minute++) {
      clock.advance(60 * SECOND_MS)
      const startedAt = performance.now()
      expect(
        await ask(tokenOf(FIRST, 'first', 'RS256', { jti: minute, exp: Math.floor(clock.wallTime() / 1000) + 60 })),
      ).toBe(200)
      expect(performance.now() - startedAt).toBeLessThan(1000)
    }
    await issuer.start()
    issuer.answers(setOf([jwk(SECOND, 'second')]))
    clock.advance(31 * SECOND_MS)
    expect(await ask(tokenOf(SECOND, 'second', 'RS256', { exp: 5_000_000_000 }))).toBe(200)
    await expectCalm(gateway)
  })

  it('makes the gateway answer 503 if its keys were never read, until it is up again', async () => {
    const port = await freePort()
    const { ask, clock, gateway } = await startShop(`http://127.0.0.1:${port}/`)
    const token = tokenOf(FIRST, 'first')
    expect(await ask(token)).toBe(503)
    const server = http.createServer(setOf([jwk(FIRST, 'first')]))
    await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve))
    whenOver(() => {
      server.closeAllConnections()
      server.close()
    })
    expect(await ask(token)).toBe(503)
    expect(await gateway.accessLine(({ status }) => status === 503)).toMatchObject({ failure: 'keys-unreachable' })
    expect(await gateway.metric('strangler_refusals_total{failure="keys-unreachable"}')).toBe(2)
    clock.advance(6 * SECOND_MS)
    expect(await ask(token)).toBe(200)
    await expectCalm(gateway)
  })

  it.each<[string, RequestListener]>([
    [
      '500',
      (_request, response) => void response.writeHead(500).end(JSON.stringify({ keys: [jwk(SECOND, 'second')] })),
    ],
    ['a page', (_request, response) => void response.end('<html>')],
    ['no keys', setOf([])],
    ['invalid keys', (_request, response) => void response.end('{"keys":[null,7,{"kty":"RSA"}]}')],
    ['keys that are not a list', (_request, response) => void response.end('{"keys":{"length":1}}')],
    ['hundreds of keys', setOf(Array(200).fill(jwk(SECOND, 'second')))],
    ['keys that are too short', setOf([jwk(WEAK, 'weak')])],
    [
      'a redirect',
      (request, response) => {
        if (request.url === '/jwks.json') response.writeHead(302, { location: '/elsewhere' }).end()
        else setOf([jwk(SECOND, 'second')])(request, response)
      },
    ],
    [
      'a megabyte',
      (_request, response) =>
        void response.end(JSON.stringify({ keys: [jwk(SECOND, 'second')], x: 'x'.repeat(2 ** 20) })),
    ],
    [
      'half of an answer',
      (_request, response) =>
        void response.writeHead(200, { 'content-length': 100 }).end('{', () => response.destroy()),
    ],
  ])('does not replace the last valid set if it answers with %s', async (_, answer) => {
    const issuer = await startIssuer()
    const { ask, clock, gateway } = await startShop(issuer.uri)
    expect(await ask(tokenOf(FIRST, 'first'))).toBe(200)
    issuer.answers(answer)
    clock.advance(31 * SECOND_MS)
    expect(await ask(tokenOf(SECOND, 'second'))).toBe(401)
    expect(issuer.fetches()).toBe(2)
    expect(await ask(tokenOf(FIRST, 'first', 'RS256', { jti: 'new' }))).toBe(200)
    await expectCalm(gateway)
  })
})

/** Responds byte by byte, so that it is never silent and never complete. */
const dribble: RequestListener = (_request, response) => {
  const bytes = setInterval(() => response.write(' '), 100)
  response.on('close', () => clearInterval(bytes))
}

describe('F16 a slow issuer', () => {
  it('delays no request whose key is cached, at any age', async () => {
    const issuer = await startIssuer()
    const { ask, clock } = await startShop(issuer.uri)
    expect(await ask(tokenOf(FIRST, 'first'))).toBe(200)
    issuer.answers(dribble)
    const far = { exp: 5_000_000_000 }
    clock.advance(301 * SECOND_MS)
    let startedAt = performance.now()
    expect(await ask(tokenOf(FIRST, 'first', 'RS256', { ...far, jti: 'old' }))).toBe(200)
    expect(performance.now() - startedAt).toBeLessThan(1500)
    await until(() => issuer.fetches() === 2)
    // Requests with an unknown key wait until this fetch has failed; it is not repeated for the others.
    expect(await ask(tokenOf(SECOND, 'second', 'RS256', far))).toBe(401)
    clock.advance(900 * SECOND_MS)
    startedAt = performance.now()
    expect(await ask(tokenOf(FIRST, 'first', 'RS256', { ...far, jti: 'older' }))).toBe(200)
    expect(performance.now() - startedAt).toBeLessThan(1500)
    await until(() => issuer.fetches() === 3)
  })

  it('delays requests with an unknown key, together and for two seconds, and no others', async () => {
    const issuer = await startIssuer()
    const { ask, clock, gateway } = await startShop(issuer.uri)
    expect(await ask(tokenOf(FIRST, 'first'))).toBe(200)
    issuer.answers(dribble)
    clock.advance(31 * SECOND_MS)
    const startedAt = performance.now()
    const waiting = Array.from({ length: 20 }, (_, i) => ask(tokenOf(SECOND, `second-${i}`)))
    await until(() => issuer.fetches() === 2)
    expect(await ask(tokenOf(FIRST, 'first', 'RS256', { jti: 'new' }))).toBe(200)
    expect(performance.now() - startedAt).toBeLessThan(1500)
    expect(await Promise.all(waiting)).toEqual(Array(20).fill(401))
    expect(performance.now() - startedAt).toBeGreaterThan(1500)
    expect(performance.now() - startedAt).toBeLessThan(4000)
    expect(issuer.fetches()).toBe(2)
    await expectCalm(gateway)
  })

  it('costs nothing for a client that leaves meanwhile', async () => {
    let finish = () => {}
    const issuer = await startIssuer((_request, response) => {
      finish = () => setOf([jwk(FIRST, 'first')])(_request, response)
    })
    const { gateway, legacy, ask } = await startShop(issuer.uri)
    const client = await connectRaw(gateway.port)
    client.send(`GET /products HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer ${tokenOf(FIRST, 'first')}\r\n\r\n`)
    await until(() => issuer.fetches() === 1)
    client.destroy()
    // A later request gets its response, so the gateway has noticed the leaving before the key is there.
    await until(async () => (await fetch(`http://127.0.0.1:${gateway.port}/unowned`)).ok)
    finish()
    expect(await ask(tokenOf(FIRST, 'first', 'RS256', { jti: 'other' }))).toBe(200)
    const line = await gateway.accessLine(({ failure }) => failure === 'client-gone')
    expect(line).toMatchObject({ status: 499 })
    expect(legacy.requests()).toBe(2)
    await expectCalm(gateway)
  })
})
