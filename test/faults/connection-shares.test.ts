// Slow clients are allowed: their uploads and downloads leave connections to the upstream for other requests.
import net, { type Socket } from 'node:net'
import { describe, expect, it, onTestFinished } from 'vitest'
import { expectCalm } from '../kit/calm.ts'
import { startGateway } from '../kit/gateway.ts'
import { sendRequest, startLoad } from '../kit/load.ts'
import { freePort, startHttpOrigin } from '../kit/origin.ts'
import { startGatewayProcess } from '../kit/process.ts'
import { connectRaw } from '../kit/raw.ts'
import { until } from '../kit/until.ts'

const DRAIN = { drain: { noticeMs: 0, limitMs: 500 } }
const echo = () =>
  startHttpOrigin((request, response) => {
    request.resume().on('end', () => response.end('ok'))
  })

/**
 * Slow connections, each opened again when the gateway closes it.
 *
 * @param attack sends the request on a connected socket; returns the piece of work to repeat ten times a second
 */
function startSlowClients(count: number, port: number, attack: (socket: Socket) => () => void): Promise<void> {
  let isOver = false
  const sockets = new Set<Socket>()
  onTestFinished(() => {
    isOver = true
    for (const socket of sockets) socket.destroy()
  })
  const open = (): Promise<void> =>
    new Promise((resolve) => {
      let timer: NodeJS.Timeout | undefined
      const socket = net.connect(port, '127.0.0.1', () => {
        timer = setInterval(attack(socket), 100)
        resolve()
      })
      sockets.add(socket)
      socket.on('error', () => {})
      socket.on('close', () => {
        clearInterval(timer)
        sockets.delete(socket)
        if (!isOver) setTimeout(() => void open(), 1000)
      })
    })
  return Promise.all(Array.from({ length: count }, open)).then(() => {})
}

/** Sends a head and then 400 bytes of the body a second. */
function sendSlowly(socket: Socket): () => void {
  socket.resume()
  socket.write('POST /upload HTTP/1.1\r\nHost: a\r\nContent-Length: 10000000\r\n\r\n')
  return () => void socket.write('x'.repeat(40))
}

/** Reads about 400 bytes of a large response a second. */
function readSlowly(socket: Socket): () => void {
  socket.pause()
  socket.write('GET /big HTTP/1.1\r\nHost: a\r\n\r\n')
  return () => void socket.read(40)
}

/** Runs GET and POST requests of other users until each kind has 1,000 responses, and expects every one to succeed. */
async function expectOthersAreServed(port: number): Promise<void> {
  const gets = startLoad(4, () => ({ port }))
  const posts = startLoad(4, () => ({ port, method: 'POST', body: 'x'.repeat(2000) }))
  await until(() => gets.answers.length >= 1000 && posts.answers.length >= 1000, 30_000)
  const [get, post] = [await gets.stop(), await posts.stop()]
  expect([...get.failed, ...post.failed]).toEqual([])
  expect([...get.answers, ...post.answers].filter(({ status }) => status !== 200)).toEqual([])
}

describe('300 connections that send 400 bytes of a body a second', () => {
  it('leave enough connections to answer every request of other users, with and without a body', async () => {
    const origin = await echo()
    const gateway = await startGatewayProcess({ legacy: { url: origin.url }, ...DRAIN })
    await startSlowClients(300, gateway.port, sendSlowly)
    await until(async () => (await gateway.metric('strangler_requests_in_flight')) >= 64)
    await expectOthersAreServed(gateway.port)
  })
})

describe('300 connections that read 400 bytes of a response a second', () => {
  it('leave enough connections to answer every request of other users, with and without a body', async () => {
    const big = Buffer.alloc(64 * 1_048_576)
    const origin = await startHttpOrigin((request, response) => {
      request.resume().on('end', () => response.end(request.url === '/big' ? big : 'ok'))
    })
    const gateway = await startGatewayProcess({ legacy: { url: origin.url }, ...DRAIN })
    await startSlowClients(300, gateway.port, readSlowly)
    // The system's buffers take the first megabytes of each response at full speed. Then every response stalls.
    await until(async () => (await gateway.metric('strangler_requests_in_flight')) >= 128)
    await until(
      async () =>
        (await Promise.all(Array.from({ length: 50 }, () => sendRequest({ port: gateway.port })))).every(
          ({ status }) => status === 200,
        ),
      30_000,
    )
    await expectOthersAreServed(gateway.port)
  })
})

describe('uploads whose body is still arriving', () => {
  /** Sends heads of uploads whose bodies do not come, and waits until the origin has so many of them. */
  async function startUploads(count: number, port: number, atOrigin: number, origin: { requests: () => number }) {
    const earlierRequests = origin.requests()
    const clients = await Promise.all(Array.from({ length: count }, () => connectRaw(port)))
    for (const client of clients) client.send('POST /upload HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n')
    await until(() => origin.requests() === earlierRequests + atOrigin)
    onTestFinished(() => {
      for (const client of clients) client.destroy()
    })
    return clients
  }

  it('use at most half of the connections to an upstream', async () => {
    const origin = await echo()
    const timeouts = { queueMs: 300 }
    const gateway = await startGateway({ legacy: { url: origin.url, connections: 8, timeouts } })
    const clients = await startUploads(6, gateway.port, 4, origin)
    // Two wait longer than `queueMs` and get 503; the four others finish.
    await until(() => clients.filter((client) => client.received().startsWith('HTTP/1.1 503')).length === 2)
    expect(origin.requests()).toBe(4)
    for (const client of clients) client.send('hello')
    await until(() => clients.filter((client) => client.received().startsWith('HTTP/1.1 200')).length === 4)
    await expectCalm(gateway)
  })

  it('use at most uploadsPerClient connections for one client', async () => {
    const origin = await echo()
    const gateway = await startGateway({
      legacy: { url: origin.url },
      limits: { uploadsPerClient: 2 },
      trustedProxies: ['127.0.0.1'],
    })
    const clients = await startUploads(3, gateway.port, 2, origin)
    const other = await connectRaw(gateway.port)
    other.send('POST /upload HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 192.0.2.7\r\nContent-Length: 5\r\n\r\n')
    await until(() => origin.requests() === 3)
    for (const client of [...clients, other]) client.send('hello')
    for (const client of [...clients, other]) expect(await client.receives('ok')).toMatch(/^HTTP\/1\.1 200 /)
    await expectCalm(gateway)
  })

  it('are forwarded as soon as their body is complete, although the share of uploads is used up', async () => {
    const origin = await echo()
    const timeouts = { queueMs: 0 }
    const gateway = await startGateway({ legacy: { url: origin.url, connections: 2, timeouts } })
    await startUploads(1, gateway.port, 1, origin)
    const late = await connectRaw(gateway.port)
    late.send('POST /late HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n')
    const whole = await connectRaw(gateway.port)
    whole.send('POST /whole HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello')
    await whole.receives('ok')
    expect(late.received()).toBe('')
    late.send('hello')
    await late.receives('ok')
  })

  it('give their place back when another address is tried or the upload ends in another way', async () => {
    const origin = await echo()
    const closed = `http://127.0.0.1:${await freePort()}`
    const gateway = await startGateway({
      legacy: { urls: [closed, origin.url], connections: 4, timeouts: { queueMs: 0 } },
      ejection: { consecutiveFailures: 1000 },
      limits: { uploadsPerClient: 2 },
    })
    for (let round = 0; round < 6; round++) {
      const [gone, done] = await startUploads(2, gateway.port, 2, origin)
      gone?.destroy()
      done?.send('hello')
      await done?.receives('ok')
      await until(async () => (await gateway.metric('strangler_requests_in_flight')) === 0)
    }
    await expectCalm(gateway)
  })
})
