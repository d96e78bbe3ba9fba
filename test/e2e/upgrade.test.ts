// WebSocket through the gateway: the same decision as for a request, a tunnel only after 101, and no leaks.
import { createHash, randomBytes } from 'node:crypto'
import { once } from 'node:events'
import type { IncomingMessage } from 'node:http'
import net, { type Socket } from 'node:net'
import { describe, expect, it, onTestFinished } from 'vitest'
import { WebSocket, WebSocketServer } from 'ws'
import type { RoutesConfig } from '../../src/config/define-routes.ts'
import { startGateway, type TestGateway, type TestGatewayOptions } from '../kit/gateway.ts'
import { freePort, startHttpOrigin, startRawOrigin } from '../kit/origin.ts'
import { connectRaw, exchange } from '../kit/raw.ts'
import { until } from '../kit/until.ts'

const KEY = 'dGhlIHNhbXBsZSBub25jZQ=='
const HANDSHAKE = `Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: ${KEY}\r\n`
const ACCEPT = createHash('sha1').update(`${KEY}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`).digest('base64')
const SWITCHED = `HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ${ACCEPT}\r\n\r\n`

/** An origin that sends its name and then echoes. */
async function startEcho(name: string, options: ConstructorParameters<typeof WebSocketServer>[0] = {}) {
  const requests: IncomingMessage[] = []
  const sockets: WebSocket[] = []
  const origin = await startHttpOrigin((request, response) => response.end(`plain ${name} ${request.headers.upgrade}`))
  const server = new WebSocketServer({ ...options, noServer: true, maxPayload: 64 * 1024 * 1024 })
  origin.server.on('upgrade', (request, socket, early) => {
    requests.push(request)
    server.handleUpgrade(request, socket, early, (webSocket) => {
      sockets.push(webSocket)
      webSocket.send(`hello from ${name} at ${request.url}`)
      webSocket.on('message', (text, isBinary) => webSocket.send(text, { binary: isBinary }))
    })
  })
  onTestFinished(() => server.clients.forEach((client) => void client.terminate()))
  return { ...origin, requests, sockets }
}

function configOf(legacy: string, service: string, more: Partial<RoutesConfig> = {}): RoutesConfig {
  return {
    legacy: { url: legacy },
    services: { orders: { url: service } },
    contexts: {
      orders: {
        owner: 'team-orders',
        service: 'orders',
        flag: 'migrate-orders',
        routes: [{ path: '/live/:room', upgrade: true, rewrite: '/v2/rooms/:room' }, '/plain/*'],
      },
    },
    identity: { session: { cookie: 'sid' } },
    ...more,
  }
}

/** A gateway whose only service is one raw origin, with the flag on for all people. */
async function startOver(url: string, more: Partial<RoutesConfig> = {}, options: TestGatewayOptions = {}) {
  return startGateway(configOf(url, url, more), { percentages: { 'migrate-orders': 100 }, ...options })
}

function open(gateway: TestGateway, path: string, headers: Record<string, string> = {}, protocols: string[] = []) {
  const client = new WebSocket(`ws://127.0.0.1:${gateway.port}${path}`, protocols, { headers })
  const messages: string[] = []
  client.on('message', (message) => void messages.push(message.toString()))
  client.on('error', () => {})
  onTestFinished(() => client.terminate())
  return { client, messages }
}

async function upgradeRaw(gateway: TestGateway, fields = HANDSHAKE, line = 'GET /live/1 HTTP/1.1') {
  const client = await connectRaw(gateway.port)
  onTestFinished(() => client.destroy())
  client.send(`${line}\r\nHost: a\r\n${fields}\r\n`)
  return client
}

async function untilQuiet(gateway: TestGateway) {
  await until(async () => (await gateway.metric('strangler_requests_in_flight')) === 0)
}

describe('a WebSocket', () => {
  it('is decided like a request: by flag and session, with the path of its side', async () => {
    const [legacy, service] = [await startEcho('legacy'), await startEcho('service')]
    const gateway = await startGateway(configOf(legacy.url, service.url), { percentages: { 'migrate-orders': 0 } })
    const greeting = async (session: string) => {
      const { client, messages } = open(gateway, '/live/7?x=1', { cookie: `sid=${session}` })
      await until(() => messages.length === 1)
      client.terminate()
      return messages[0]
    }
    expect(await greeting('a')).toBe('hello from legacy at /live/7?x=1')
    await gateway.setFlags({ 'migrate-orders': 100 })
    expect(await greeting('a')).toBe('hello from service at /v2/rooms/7?x=1')

    await gateway.setFlags({ 'migrate-orders': 50 })
    const sides = new Set<string>()
    for (let i = 0; i < 20; i++) {
      const side = await greeting(`s${i}`)
      const plain = await exchange(gateway.port, `GET /plain/x HTTP/1.1\r\nHost: a\r\nCookie: sid=s${i}\r\n\r\n`)
      expect(side).toContain(/plain (\w+)/.exec(plain.body)?.[1])
      expect(await greeting(`s${i}`)).toBe(side)
      sides.add(side as string)
    }
    expect(sides.size).toBe(2)
  })

  it('keeps a client without a session on its side by the cookie in the 101 response', async () => {
    const [legacy, service] = [await startEcho('legacy'), await startEcho('service')]
    const gateway = await startGateway(configOf(legacy.url, service.url), { percentages: { 'migrate-orders': 50 } })
    for (let i = 0; i < 8; i++) {
      const first = await upgradeRaw(gateway)
      const text = await first.receives(/hello from \w+/)
      const cookie = /\r\nset-cookie: (strangler_id=[^;]+); /i.exec(text)?.[1]
      expect(cookie).toBeDefined()
      const { messages } = open(gateway, '/live/1', { cookie: cookie as string })
      await until(() => messages.length === 1)
      expect(text).toContain(/hello from \w+/.exec(messages[0] as string)?.[0])
    }
  })

  it('carries the fields of the gateway, and no field that a client must not set', async () => {
    const legacy = await startEcho('legacy')
    const gateway = await startOver(legacy.url, { identity: { user: { header: 'x-user-id', trust: ['10.0.0.0/8'] } } })
    const { messages } = open(gateway, '/live/1', {
      'X-User-Id': '1',
      X_User_Id: '1',
      'X-Forwarded-For': '192.0.2.66',
      'X-Request-Id': 'mine',
      'X-Real-IP': '192.0.2.66',
      Cookie: 'a=b',
      Authorization: 'Bearer x',
      'X-Own': 'kept',
    })
    await until(() => messages.length === 1)
    const headers = legacy.requests[0]?.headers ?? {}
    for (const name of ['x-user-id', 'x_user_id', 'x-real-ip']) expect(headers).not.toHaveProperty(name)
    expect(headers).toMatchObject({
      host: `127.0.0.1:${gateway.port}`,
      'x-forwarded-for': '127.0.0.1',
      'x-forwarded-proto': 'http',
      'x-request-id': expect.stringMatching(/^[0-9a-f]{32}$/),
      traceparent: expect.stringMatching(/^00-/),
      via: expect.stringMatching(/^1\.1 strangler-/),
      cookie: 'a=b',
      authorization: 'Bearer x',
      'x-own': 'kept',
    })
  })

  it('negotiates its subprotocol and its compression with the origin', async () => {
    const legacy = await startEcho('legacy', { perMessageDeflate: true, handleProtocols: () => 'v2.orders' })
    const gateway = await startOver(legacy.url)
    const { client, messages } = open(gateway, '/live/1', {}, ['v1.orders', 'v2.orders'])
    await until(() => messages.length === 1)
    expect(client.protocol).toBe('v2.orders')
    expect(client.extensions).toContain('permessage-deflate')
  })

  it('carries many and large messages, complete and in order', async () => {
    const legacy = await startEcho('legacy')
    const gateway = await startOver(legacy.url)
    const { client, messages } = open(gateway, '/live/1')
    await until(() => messages.length === 1)
    for (let i = 0; i < 5000; i++) client.send(`message ${i}`)
    await until(() => messages.length === 5001)
    expect(messages.slice(1)).toEqual(Array.from({ length: 5000 }, (_, i) => `message ${i}`))
    const large = randomBytes(16 * 1024 * 1024)
    const echoed = new Promise<Buffer>((resolve) => client.once('message', (message) => resolve(message as Buffer)))
    client.send(large)
    expect((await echoed).equals(large)).toBe(true)
  })

  it('on a path that no context owns goes to the monolith', async () => {
    const [legacy, service] = [await startEcho('legacy'), await startEcho('service')]
    const gateway = await startGateway(configOf(legacy.url, service.url), { percentages: { 'migrate-orders': 100 } })
    const { messages } = open(gateway, '/elsewhere')
    await until(() => messages.length === 1)
    expect(messages[0]).toBe('hello from legacy at /elsewhere')
  })

  it('is kept apart from many concurrent ones', async () => {
    const [legacy, service] = [await startEcho('legacy'), await startEcho('service')]
    const gateway = await startGateway(configOf(legacy.url, service.url), { percentages: { 'migrate-orders': 50 } })
    const clients = Array.from({ length: 60 }, (_, i) => ({
      i,
      ...open(gateway, `/live/${i}`, { cookie: `sid=s${i}` }),
    }))
    await until(() => clients.every(({ messages }) => messages.length === 1))
    for (const { client, i } of clients) client.send(`mine ${i}`)
    await until(() => clients.every(({ messages }) => messages.length === 2))
    for (const { i, messages } of clients) {
      expect(messages[0]).toMatch(new RegExp(`^hello from (?:legacy at /live/${i}|service at /v2/rooms/${i})$`))
      expect(messages[1]).toBe(`mine ${i}`)
    }
    expect(await gateway.metric('strangler_upgrades_open')).toBe(60)
    for (const { client } of clients) client.close()
    await until(async () => (await gateway.metric('strangler_upgrades_open')) === 0)
    expect(await gateway.metric('strangler_upgrades_total')).toBe(60)
    await untilQuiet(gateway)
  })

  it('has a line in the access log when it ends, with its bytes', async () => {
    const legacy = await startEcho('legacy')
    const gateway = await startOver(legacy.url)
    const { client, messages } = open(gateway, '/live/1?token=secret')
    await until(() => messages.length === 1)
    client.send('x'.repeat(1000))
    await until(() => messages.length === 2)
    expect(await gateway.accessLog()).toEqual([])
    client.close()
    const line = await gateway.accessLine(({ status }) => status === 101)
    expect(line).toMatchObject({
      context: 'orders',
      side: 'service',
      reason: 'flag-on',
      upstream: 'orders',
      route: '/live/:room',
    })
    expect(line.requestBytes).toBeGreaterThan(1000)
    expect(line.responseBytes).toBeGreaterThan(1000)
    expect(JSON.stringify(line)).not.toContain('secret')
  })
})

describe('the end of a WebSocket', () => {
  it('by the client closes the connection to the origin, with and without a close frame', async () => {
    const legacy = await startEcho('legacy')
    const gateway = await startOver(legacy.url)
    for (const leave of [(client: WebSocket) => client.close(4001, 'bye'), (client: WebSocket) => client.terminate()]) {
      const { client, messages } = open(gateway, '/live/1')
      await until(() => messages.length === 1)
      const server = legacy.sockets.at(-1) as WebSocket
      leave(client)
      await until(() => server.readyState === WebSocket.CLOSED, 1000)
    }
    await untilQuiet(gateway)
  })

  it('by the origin closes the connection of the client with the close frame of the origin', async () => {
    const legacy = await startEcho('legacy')
    const gateway = await startOver(legacy.url)
    const { client, messages } = open(gateway, '/live/1')
    await until(() => messages.length === 1)
    const closed = new Promise<number>((resolve) => client.once('close', resolve))
    legacy.sockets[0]?.close(4002, 'over')
    expect(await closed).toBe(4002)
    const second = open(gateway, '/live/1')
    await until(() => second.messages.length === 1)
    legacy.sockets[1]?.terminate()
    await until(() => second.client.readyState === WebSocket.CLOSED, 1000)
    await untilQuiet(gateway)
  })

  it.each(['reset', 'end'] as const)('by %s, from either side, is the end of the other', async (how) => {
    const leave = (socket: Socket) => (how === 'reset' ? socket.resetAndDestroy() : socket.end())
    // An origin that does not answer a FIN with its own.
    const origin = await startRawOrigin((socket) => {
      socket.allowHalfOpen = true
      socket.write(SWITCHED)
    })
    const gateway = await startOver(origin.url)
    const leaver = await upgradeRaw(gateway)
    await leaver.receives('101')
    leave(leaver.socket)
    await until(
      () => origin.connections[0]?.socket.readableEnded === true || origin.connections[0]?.isClosed === true,
      1000,
    )
    await untilQuiet(gateway)
    const left = await upgradeRaw(gateway)
    await left.receives('101')
    leave(origin.connections[1]?.socket as Socket)
    await until(() => left.isClosed(), 1000)
    await untilQuiet(gateway)
    expect(await gateway.metric('strangler_upgrades_open')).toBe(0)
  })

  it('does not discard bytes that were sent before it, however slowly they are read', async () => {
    const size = 8 * 1024 * 1024
    const origin = await startRawOrigin((socket) => socket.end(SWITCHED + 'x'.repeat(size)))
    const gateway = await startOver(origin.url)
    const client = await connectRaw(gateway.port)
    client.socket.pause()
    client.send(`GET /live/1 HTTP/1.1\r\nHost: a\r\n${HANDSHAKE}\r\n`)
    await until(
      () => origin.connections[0]?.socket.writableLength === 0 || origin.connections[0]?.isClosed === true,
    ).catch(() => {})
    client.socket.resume()
    const text = await client.closes()
    expect(text.length - text.indexOf('\r\n\r\n') - 4).toBe(size)
    await untilQuiet(gateway)
  })
})

describe('an upgrade that the origin does not accept', () => {
  it.each([
    [
      '200 with an Upgrade field',
      'HTTP/1.1 200 OK\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nContent-Length: 2\r\n\r\nok',
      200,
    ],
    ['403', 'HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\nSet-Cookie: a=1\r\nSet-Cookie: b=2\r\n\r\nno', 403],
    ['426', 'HTTP/1.1 426 Upgrade Required\r\nUpgrade: x\r\nConnection: Upgrade\r\nContent-Length: 0\r\n\r\n', 426],
    [
      '401 in chunks',
      'HTTP/1.1 401 Unauthorized\r\nTransfer-Encoding: chunked\r\nAlt-Svc: h2=":1"\r\n\r\n2\r\nno\r\n0\r\n\r\n',
      401,
    ],
    ['302', 'HTTP/1.1 302 Found\r\nLocation: /login\r\nContent-Length: 0\r\n\r\n', 302],
    ['an HTTP/1.0 answer', 'HTTP/1.0 404 Not Found\r\nContent-Length: 0\r\n\r\n', 404],
  ])('is answered with a plain response, and leaves no tunnel: %s', async (_what, bytes, status) => {
    const origin = await startRawOrigin(bytes)
    const gateway = await startOver(origin.url)
    const client = await upgradeRaw(gateway)
    await client.receives('\r\n\r\n')
    client.send('GET /secret HTTP/1.1\r\nHost: a\r\n\r\n')
    const text = await client.closes()
    expect(text).toMatch(new RegExp(`^HTTP/1\\.1 ${status} `))
    expect(text).not.toMatch(/\r\n(?:upgrade|alt-svc):/i)
    expect(text).toMatch(/\r\nconnection: close\r\n/i)
    expect(text).toMatch(/\r\nx-request-id: [0-9a-f]{32}\r\n/i)
    if (status === 403) expect(text).toMatch(/\r\nset-cookie: a=1\r\nset-cookie: b=2\r\n/i)
    expect(origin.heads()).toHaveLength(1)
    await until(() => origin.connections[0]?.isClosed === true, 1000)
    expect(await gateway.accessLine((line) => line.status === status)).toMatchObject({
      side: 'service',
      upstream: 'orders',
    })
    expect(await gateway.metric('strangler_upgrades_total')).toBe(0)
    await untilQuiet(gateway)
  })

  it.each([
    ['no HTTP', 'SSH-2.0-OpenSSH_9.6\r\n'],
    ['101 without Upgrade', 'HTTP/1.1 101 Switching Protocols\r\n\r\ntunnel'],
    [
      '101 to another protocol',
      'HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\ntunnel',
    ],
    ['an invalid length', 'HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\nok'],
  ])('because its response is malformed is answered with 502, and leaves no tunnel: %s', async (_what, bytes) => {
    const origin = await startRawOrigin(bytes)
    const gateway = await startOver(origin.url)
    const client = await upgradeRaw(gateway)
    const text = await client.closes()
    expect(text).toMatch(/^HTTP\/1\.1 502 Bad Gateway\r\n.*application\/problem\+json/s)
    expect(text).not.toMatch(/101 Switching|tunnel|127\.0\.0\.1|HPE_|Parse Error/)
    await until(() => origin.connections[0]?.isClosed === true, 1000)
    expect(await gateway.accessLine(({ status }) => status === 502)).toMatchObject({ failure: 'response-malformed' })
    await untilQuiet(gateway)
  })

  it.each([
    ['refused', 'HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno'],
    ['malformed', 'SSH-2.0-OpenSSH_9.6\r\n'],
  ])('is closed for a client that keeps sending: %s', async (_what, bytes) => {
    const origin = await startRawOrigin(bytes)
    const gateway = await startOver(origin.url)
    const client = net.connect({ port: gateway.port, host: '127.0.0.1', allowHalfOpen: true })
    onTestFinished(() => void client.destroy())
    client.on('error', () => {}).resume()
    client.write(`GET /live/1 HTTP/1.1\r\nHost: a\r\n${HANDSHAKE}\r\nmore and more`)
    await once(client, 'end')
    client.write('and more')
    await untilQuiet(gateway)
    await gateway.accessLine(() => true)
    expect(await gateway.accessLog()).toHaveLength(1)
  })

  it('because the origin is unreachable is answered with 502, and the connection closes', async () => {
    const gateway = await startOver(`http://127.0.0.1:${await freePort()}`)
    const text = await (await upgradeRaw(gateway)).closes()
    expect(text).toMatch(/^HTTP\/1\.1 502 Bad Gateway\r\n.*"requestId"/s)
    expect(text).not.toMatch(/ECONNREFUSED|127\.0\.0\.1/)
    expect(await gateway.accessLine(({ status }) => status === 502)).toMatchObject({ failure: 'connect-refused' })
    await untilQuiet(gateway)
  })

  it('because the origin closes the connection is answered with 502', async () => {
    const origin = await startRawOrigin((socket) => socket.destroy())
    const gateway = await startOver(origin.url)
    expect(await (await upgradeRaw(gateway)).closes()).toMatch(/^HTTP\/1\.1 502 /)
    expect(await gateway.accessLine(({ status }) => status === 502)).toMatchObject({ failure: 'connection-lost' })
  })

  it('because the origin does not answer is answered with 504 after the timeout of the route', async () => {
    const origin = await startRawOrigin(() => {})
    const gateway = await startOver(origin.url, {
      services: { orders: { url: origin.url, timeouts: { headersMs: 300 } } },
      legacy: { url: origin.url, timeouts: { headersMs: 300 } },
    })
    expect(await (await upgradeRaw(gateway)).closes()).toMatch(/^HTTP\/1\.1 504 /)
    expect(await gateway.accessLine(({ status }) => status === 504)).toMatchObject({ failure: 'response-timeout' })
    await until(() => origin.connections[0]?.isClosed === true, 1000)
  })

  it('because the connection is not accepted in time is answered with 504 connect-timeout', async () => {
    const origin = await startRawOrigin(() => {})
    // The TLS handshake gets no answer.
    const gateway = await startOver(`https://127.0.0.1:${origin.port}`, {
      services: { orders: { url: `https://127.0.0.1:${origin.port}`, timeouts: { connectMs: 200 } } },
      legacy: { url: `https://127.0.0.1:${origin.port}`, timeouts: { connectMs: 200 } },
    })
    expect(await (await upgradeRaw(gateway)).closes()).toMatch(/^HTTP\/1\.1 504 /)
    expect(await gateway.accessLine(({ status }) => status === 504)).toMatchObject({ failure: 'connect-timeout' })
    await untilQuiet(gateway)
  })

  it.each(['reset', 'end'] as const)(
    'and whose client leaves by %s is closed within a second, and logged with 499',
    async (how) => {
      const origin = await startRawOrigin(() => {})
      const gateway = await startOver(origin.url)
      const client = await upgradeRaw(gateway)
      await until(() => origin.requests() === 1)
      if (how === 'reset') client.socket.resetAndDestroy()
      else client.socket.end()
      await until(() => origin.connections[0]?.isClosed === true, 1000)
      expect(await gateway.accessLine(() => true)).toMatchObject({ status: 499, failure: 'client-gone' })
      await untilQuiet(gateway)
    },
  )
})

describe('a WebSocket to a service that cannot answer', () => {
  const ON = { percentages: { 'migrate-orders': 100 } }
  const TIMEOUTS = { connectMs: 200, headersMs: 200 }

  async function startFallingBack(service: string, fallback: 'reads' | false = 'reads') {
    const legacy = await startEcho('legacy')
    const { contexts } = configOf(legacy.url, service)
    const gateway = await startGateway(
      configOf(legacy.url, service, {
        services: { orders: { url: service, timeouts: TIMEOUTS } },
        contexts: { orders: { ...contexts!.orders!, fallback } },
      }),
      ON,
    )
    return { legacy, gateway }
  }

  it.each<[string, () => Promise<string>]>([
    ['connect-refused', async () => `http://127.0.0.1:${await freePort()}`],
    ['connect-timeout', async () => `https://127.0.0.1:${(await startRawOrigin(() => {})).port}`],
    ['connection-lost', async () => (await startRawOrigin((socket) => socket.resetAndDestroy())).url],
    ['response-timeout', async () => (await startRawOrigin(() => {})).url],
  ])('falls back to legacy after %s, like a GET', async (failure, startService) => {
    const { legacy, gateway } = await startFallingBack(await startService())
    const { client, messages } = open(gateway, '/live/7')
    await until(() => messages.length === 1)
    // Legacy gets the path of the client, because a rewrite applies only to the service.
    expect(messages[0]).toBe('hello from legacy at /live/7')
    const large = 'x'.repeat(300_000)
    client.send(large)
    await until(() => messages.length === 2)
    expect(messages[1]).toBe(large)
    client.close()
    await once(client, 'close')
    expect(await gateway.accessLine(() => true)).toMatchObject({
      status: 101,
      side: 'legacy',
      reason: 'fell-back',
      fellBack: failure,
      upstream: 'legacy',
    })
    expect(legacy.requests).toHaveLength(1)
    await untilQuiet(gateway)
  })

  it('keeps the bytes that the client sent with its handshake', async () => {
    const { gateway } = await startFallingBack(`http://127.0.0.1:${await freePort()}`)
    // A masked text frame "hi".
    const frame = '\x81\x82\x00\x00\x00\x00hi'
    const client = await connectRaw(gateway.port)
    onTestFinished(() => client.destroy())
    client.send(Buffer.from(`GET /live/1 HTTP/1.1\r\nHost: shop\r\n${HANDSHAKE}\r\n${frame}`, 'latin1'))
    await until(() => client.received().endsWith('\x81\x02hi'))
  })

  it('does not fall back with fallback false', async () => {
    const { legacy, gateway } = await startFallingBack(`http://127.0.0.1:${await freePort()}`, false)
    expect(await (await upgradeRaw(gateway)).closes()).toMatch(/^HTTP\/1\.1 502 /)
    expect(legacy.requests).toHaveLength(0)
  })

  it('does not fall back once the service has answered', async () => {
    const service = await startRawOrigin(
      'HTTP/1.1 101 Switching Protocols\r\nUpgrade: other\r\nConnection: Upgrade\r\n\r\n',
    )
    const { legacy, gateway } = await startFallingBack(service.url)
    expect(await (await upgradeRaw(gateway)).closes()).toMatch(/^HTTP\/1\.1 502 /)
    expect(legacy.requests).toHaveLength(0)
    await untilQuiet(gateway)
  })

  it('answers the failure of legacy if legacy fails too', async () => {
    const dead = `http://127.0.0.1:${await freePort()}`
    const gateway = await startGateway(configOf(dead, dead), ON)
    expect(await (await upgradeRaw(gateway)).closes()).toMatch(/^HTTP\/1\.1 502 /)
    await untilQuiet(gateway)
  })
})

describe('an upgrade request that is not a WebSocket handshake', () => {
  it.each([
    ['a bad key', HANDSHAKE.replace(KEY, 'short'), 'GET /live/1 HTTP/1.1'],
    ['no key', HANDSHAKE.replace(/Sec-WebSocket-Key.*\r\n/, ''), 'GET /live/1 HTTP/1.1'],
    ['another version', HANDSHAKE.replace('13', '99'), 'GET /live/1 HTTP/1.1'],
    ['no Connection', HANDSHAKE.replace('Connection: Upgrade\r\n', ''), 'GET /live/1 HTTP/1.1'],
    ['another protocol', HANDSHAKE.replace('websocket', 'telnet'), 'GET /live/1 HTTP/1.1'],
    [
      'HTTP/2 without TLS',
      'Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n',
      'GET /live/1 HTTP/1.1',
    ],
    ['POST', HANDSHAKE, 'POST /live/1 HTTP/1.1'],
    ['HTTP/1.0', HANDSHAKE, 'GET /live/1 HTTP/1.0'],
    ['a route without upgrade', HANDSHAKE, 'GET /plain/x HTTP/1.1'],
  ])('is forwarded as a plain request without Upgrade: %s', async (_what, fields, line) => {
    const origin = await startRawOrigin(
      'HTTP/1.1 200 OK\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nContent-Length: 2\r\n\r\nok',
    )
    const gateway = await startOver(origin.url)
    const client = await upgradeRaw(gateway, fields, line)
    const text = await client.receives(/\r\n\r\nok|HTTP\/1\.1 4/)
    expect(text).toMatch(/^HTTP\/1\.1 200 /)
    expect(text).not.toMatch(/\r\nupgrade:/i)
    const [head = ''] = origin.heads()
    expect(head).not.toMatch(/\r\nupgrade:|\r\nconnection: upgrade/i)
    expect(await gateway.metric('strangler_upgrades_total')).toBe(0)
  })
})

describe('the bytes of a tunnel', () => {
  it('are forwarded unchanged in both directions, also those that arrive with the 101', async () => {
    let upstream: Socket | undefined
    const origin = await startRawOrigin((socket) => {
      upstream = socket
      socket.write(`${SWITCHED}\x81\x05first`)
    })
    const gateway = await startOver(origin.url)
    const client = await upgradeRaw(gateway)
    expect(await client.receives('first')).toContain(`\r\nsec-websocket-accept: ${ACCEPT}\r\n`)
    client.send('GET /not-a-request HTTP/1.1\r\n\r\n\xff\0')
    await until(() => origin.connections[0]?.bytes.toString('latin1').endsWith('\r\n\r\n\xff\0') === true)
    upstream?.write(Buffer.from([0, 255, 13, 10]))
    await client.receives('\0\xff\r\n')
  })
})
