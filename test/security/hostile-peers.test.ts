// Attacks that need no malformed byte: a client that leaves at the wrong moment, a client that makes a service look ill,
// an origin that says what nobody asked for.
import { describe, expect, it } from 'vitest'
import { startGateway } from '../kit/gateway.ts'
import { startHttpOrigin, startRawOrigin } from '../kit/origin.ts'
import { connectRaw, exchange } from '../kit/raw.ts'
import { until } from '../kit/until.ts'

const TO_SERVICE = { percentages: { f: 100 } }

function map(legacy: string, service: string, more: object = {}) {
  return {
    legacy: { url: legacy },
    services: { a: { url: service, ...more } },
    contexts: { a: { owner: 'x', service: 'a', flag: 'f', routes: ['/a', { path: '/ws/*', upgrade: true }] } },
    identity: { session: { cookie: 'sid' } },
  }
}

describe('a client that resets its connection', () => {
  // Node hands the socket of a CONNECT or an upgrade over without the listener that an 'error' needs.
  it.each([
    ['after CONNECT', 'CONNECT a:80 HTTP/1.1\r\nHost: a:80\r\n\r\n'],
    [
      'after CONNECT behind a slow request',
      'GET /slow HTTP/1.1\r\nHost: a\r\n\r\nCONNECT a:80 HTTP/1.1\r\nHost: a:80\r\n\r\n',
    ],
    [
      'after an upgrade that is refused',
      'GET /ws/%2f HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n',
    ],
  ])('%s does not affect other connections', async (_name, bytes) => {
    const origin = await startHttpOrigin((request, response) => {
      if (request.url !== '/slow') response.end('ok')
    })
    const gateway = await startGateway(map(origin.url, origin.url), TO_SERVICE)
    const crashes: unknown[] = []
    const crashed = (error: unknown) => void crashes.push(error)
    process.on('uncaughtException', crashed)
    try {
      for (let i = 0; i < 40; i++) {
        const client = await connectRaw(gateway.port)
        client.send(bytes)
        if (i % 2 === 0) await new Promise((resolve) => setImmediate(resolve))
        client.socket.resetAndDestroy()
        await client.closes()
      }
      await until(async () => (await gateway.metric('strangler_requests_in_flight')) === 0)
    } finally {
      process.off('uncaughtException', crashed)
    }
    expect(crashes).toEqual([])
  })
})

describe('a client cannot cause the ejection of a healthy service', () => {
  const isAvailable = (gateway: Awaited<ReturnType<typeof startGateway>>, url: string) =>
    gateway.metric(`strangler_address_available{upstream="a",address="${url}"}`)

  it('by upgrades that the service drops', async () => {
    const service = await startHttpOrigin((_request, response) => void response.end('ok'))
    service.server.on('upgrade', (_request, socket) => socket.destroy())
    const gateway = await startGateway(map(service.url, service.url), TO_SERVICE)
    for (let i = 0; i < 8; i++) {
      const answer = await exchange(
        gateway.port,
        'GET /ws/x HTTP/1.1\r\nHost: a\r\nCookie: sid=1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n',
      )
      expect(answer.status).toBe(502)
    }
    expect(await isAvailable(gateway, service.url)).toBe(1)
  })

  it('by bodies that it never completes, so that the service times out', async () => {
    const service = await startHttpOrigin((request, response) => {
      if (request.method === 'GET') response.end('ok')
      else request.once('data', () => request.socket.destroy())
    })
    const gateway = await startGateway(map(service.url, service.url), TO_SERVICE)
    for (let i = 0; i < 8; i++) {
      const answer = await exchange(
        gateway.port,
        'POST /a HTTP/1.1\r\nHost: a\r\nCookie: sid=1\r\nContent-Length: 100\r\n\r\nhalf',
      )
      expect(answer.status).toBe(502)
    }
    expect(await isAvailable(gateway, service.url)).toBe(1)
  })
})

describe('one connection', () => {
  it('has one forwarded request at a time, however many requests it pipelines', async () => {
    const waiting: (() => void)[] = []
    const origin = await startHttpOrigin((_request, response) => {
      waiting.push(() => response.end('ok'))
    })
    const gateway = await startGateway(map(origin.url, origin.url), TO_SERVICE)
    const client = await connectRaw(gateway.port)
    client.send('GET /x HTTP/1.1\r\nHost: a\r\n\r\n'.repeat(20))
    for (let answered = 1; answered <= 20; answered++) {
      await until(() => waiting.length > 0)
      expect(waiting).toHaveLength(1)
      waiting.pop()?.()
      await until(() => client.received().split('HTTP/1.1 200').length === answered + 1)
    }
    client.destroy()
  })
})

describe('an origin that answers Expect: 100-continue', () => {
  const expecting = 'POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n'

  it('with a status below 100 causes a 502 and no crash', async () => {
    const origin = await startRawOrigin('HTTP/1.1 099 S\r\n\r\n')
    const gateway = await startGateway(map(origin.url, origin.url), TO_SERVICE)
    const client = await connectRaw(gateway.port)
    client.send(expecting)
    await client.receives(/^HTTP\/1\.1 502 /)
    client.destroy()
    expect(await gateway.metric('strangler_bugs_total')).toBe(0)
  })

  it('with a 101 causes a 502, and its connection leaves the pool', async () => {
    const origin = await startRawOrigin('HTTP/1.1 101 S\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n')
    const gateway = await startGateway(map(origin.url, origin.url), TO_SERVICE)
    const client = await connectRaw(gateway.port)
    client.send(expecting)
    await client.receives(/^HTTP\/1\.1 502 /)
    client.destroy()
    const inUse = `strangler_connections{upstream="legacy",address="${origin.url}",state="in_use"}`
    await until(async () => (await gateway.metric(inUse)) === 0)
  })
})
