// The system refuses resources: file descriptors, disk space; and a route that leads back to the gateway (F20).
import { execFileSync } from 'node:child_process'
import net from 'node:net'
import { describe, expect, it, onTestFinished } from 'vitest'
import { adjustableClock, expectCalm } from '../kit/calm.ts'
import { startGateway } from '../kit/gateway.ts'
import { sendRequest } from '../kit/load.ts'
import { freePort, startHttpOrigin, startNamedOrigin, startRawOrigin } from '../kit/origin.ts'
import { startGatewayProcess } from '../kit/process.ts'
import { connectRaw } from '../kit/raw.ts'
import { shop, TO_SERVICE } from '../kit/shop.ts'
import { until } from '../kit/until.ts'

describe('exhausted file descriptors', () => {
  it('make the gateway shed requests without blaming the upstream, and serve again when descriptors are free', async () => {
    const origin = await startHttpOrigin((request, response) => {
      if (request.url === '/quick') response.end('ok')
    })
    const gateway = await startGatewayProcess(
      { legacy: { url: origin.url, connections: 256, queue: 0 }, drain: { noticeMs: 0, limitMs: 1000 } },
      { under: ['prlimit', '--nofile=64'] },
    )
    expect((await sendRequest({ port: gateway.port, path: '/quick' })).status).toBe(200)
    const clients = Array.from({ length: 120 }, () => {
      const socket = net.connect(gateway.port, '127.0.0.1')
      let received = ''
      socket
        .on('error', () => {})
        .on('data', (chunk) => {
          received += chunk
        })
      socket.write('GET /hang HTTP/1.1\r\nHost: a\r\n\r\n')
      onTestFinished(() => void socket.destroy())
      return { socket, received: () => received }
    })
    await until(() => clients.some(({ received }) => received().startsWith('HTTP/1.1 503')))
    const answered = clients.map(({ received }) => received()).filter((text) => text !== '')
    for (const text of answered) expect(text).toMatch(/^HTTP\/1\.1 503 (?:.*\r\n)*retry-after: 1\r\n/i)
    for (const { socket } of clients) socket.destroy()
    await until(async () => (await sendRequest({ port: gateway.port, path: '/quick' })).status === 200)
    await expectCalm(gateway)
    const starved = async () => (await gateway.accessLog()).find(({ error }) => error === 'EMFILE')
    await until(async () => (await starved()) !== undefined)
    expect(await starved()).toMatchObject({ failure: 'overloaded', status: 503 })
    expect(await gateway.metric('strangler_ejections_total{upstream="legacy"}')).toBe(0)
    expect(gateway.log()).toMatch(/limit of open files is 64, and the connections of the map need 10356: raise it/)
    expect(gateway.log().match(/no file descriptor is left/g)?.length).toBeGreaterThan(0)
    expect(await gateway.metric('strangler_open_files_exhausted_total{during="connect"}')).toBeGreaterThan(0)
    expect(gateway.log()).not.toMatch(/[Uu]nhandled|uncaught/)
    gateway.signal('SIGTERM')
    expect(await gateway.exited).toEqual({ code: 0, signal: null })
  })
})

describe('a client connection without a free file descriptor', () => {
  it('is counted and logged, the process survives, and connections are accepted again', async () => {
    const origin = await startNamedOrigin('legacy')
    const gateway = await startGatewayProcess({ legacy: { url: origin.url } })
    const limitTo = (soft: string) => execFileSync('prlimit', [`--pid=${gateway.pid}`, `--nofile=${soft}:`])
    const limitsBefore = execFileSync('prlimit', [`--pid=${gateway.pid}`, '--nofile', '--output=SOFT', '--noheadings'])
    // Below the number of open descriptors: even the spare descriptor of libuv does not help.
    limitTo('5')
    const client = net.connect(gateway.port, '127.0.0.1').on('error', () => {})
    onTestFinished(() => void client.destroy())
    await until(() => gateway.log().includes('no file descriptor is left'))
    limitTo(limitsBefore.toString().trim())
    expect((await sendRequest({ port: gateway.port })).status).toBe(200)
    expect(await gateway.metric('strangler_open_files_exhausted_total{during="accept"}')).toBeGreaterThan(0)
    expect(gateway.log().match(/no file descriptor is left/g)).toHaveLength(1)
  })
})

describe('a full disk', () => {
  it('costs access log lines, which are counted and reported once, and no request', async () => {
    const origin = await startNamedOrigin('legacy')
    const gateway = await startGatewayProcess(
      { legacy: { url: origin.url }, drain: { noticeMs: 0, limitMs: 1000 } },
      { args: ['--access-log=/dev/full'] },
    )
    for (let i = 0; i < 50; i++) expect((await sendRequest({ port: gateway.port })).status).toBe(200)
    await until(async () => (await gateway.metric('strangler_access_log_lost_total')) === 50)
    expect(gateway.log().match(/access log cannot be written/g)).toHaveLength(1)
    await expectCalm(gateway)
    gateway.signal('SIGTERM')
    expect(await gateway.exited).toEqual({ code: 0, signal: null })
  })

  it('and a state folder that cannot be written do not keep the gateway from serving', async () => {
    const origin = await startNamedOrigin('legacy')
    const gateway = await startGatewayProcess(
      { legacy: { url: origin.url }, drain: { noticeMs: 0, limitMs: 1000 } },
      { args: ['--state-dir=/dev/full/state'] },
    )
    expect((await sendRequest({ port: gateway.port })).status).toBe(200)
    expect(gateway.log()).toContain('state cannot be written')
  })
})

describe('an upstream that is the gateway itself', () => {
  it('is detected after one hop', async () => {
    const port = await freePort()
    const gateway = await startGateway({ legacy: { url: `http://127.0.0.1:${port}` } }, { port })
    const answer = await sendRequest({ port })
    expect(answer).toMatchObject({ status: 508 })
    expect(JSON.parse(answer.body)).toMatchObject({ status: 508, title: 'The request came back to this gateway' })
    await gateway.accessLine(({ failure }) => failure === 'loop')
    await gateway.accessLine(({ upstream }) => upstream === 'legacy')
    expect(await gateway.accessLog()).toHaveLength(2)
    await expectCalm(gateway)
  })

  it('by way of another gateway is detected too', async () => {
    const [firstPort, secondPort] = [await freePort(), await freePort()]
    const first = await startGateway({ legacy: { url: `http://127.0.0.1:${secondPort}` } }, { port: firstPort })
    await startGateway({ legacy: { url: `http://127.0.0.1:${firstPort}` } }, { port: secondPort })
    expect((await sendRequest({ port: firstPort })).status).toBe(508)
    await first.accessLine(({ failure }) => failure === 'loop')
    await expectCalm(first)
  })
})

describe('a clock that is set forward or back an hour', () => {
  it('changes nothing for requests in progress and later requests', async () => {
    const clock = adjustableClock()
    let respond = () => {}
    const origin = await startHttpOrigin((_request, response) => {
      respond = () => void response.end('ok')
    })
    const legacy = await startNamedOrigin('legacy')
    const gateway = await startGateway(shop({ legacy: legacy.url, service: origin.url }), { ...TO_SERVICE, clock })
    for (const hour of [3_600_000, -7_200_000]) {
      const waiting = sendRequest({ port: gateway.port, path: '/products' })
      const seen = origin.requests()
      await until(() => origin.requests() === seen + 1)
      clock.advance(hour)
      respond()
      expect(await waiting).toMatchObject({ status: 200, body: 'ok' })
      expect((await sendRequest({ port: gateway.port })).status).toBe(200)
    }
    await expectCalm(gateway)
  })
})

describe('an upstream that closes every connection at once', () => {
  it('gets no storm of connections from waiting requests', async () => {
    const origin = await startRawOrigin((socket) => socket.destroy())
    const gateway = await startGateway({ legacy: { url: origin.url } })
    const client = await connectRaw(gateway.port)
    client.send('POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi')
    expect(await client.receives('requestId')).toMatch(/^HTTP\/1\.1 502 /)
    expect(origin.connections.length).toBe(1)
  })
})
