// Every wait ends at its configured time, with the right status and the right failure.
import { spawn } from 'node:child_process'
import net from 'node:net'
import { describe, expect, it, onTestFinished } from 'vitest'
import type { TimeoutsConfig } from '../../src/config/define-routes.ts'
import { startGateway } from '../kit/gateway.ts'
import { type Answer, sendRequest } from '../kit/load.ts'
import { startHttpOrigin, startNamedOrigin, startRawOrigin } from '../kit/origin.ts'
import { connectRaw } from '../kit/raw.ts'
import { until } from '../kit/until.ts'

/** A tenth of the time, or the delay of a busy machine. */
function expectAt(tookMs: number, configuredMs: number): void {
  const slackMs = Math.max(250, configuredMs / 10)
  expect(tookMs).toBeGreaterThan(configuredMs - Math.max(20, configuredMs / 10))
  expect(tookMs).toBeLessThan(configuredMs + slackMs)
}

async function startBefore(url: string, timeouts: TimeoutsConfig, more: object = {}) {
  return startGateway({ legacy: { url, timeouts, ...more } })
}

async function failureOf(gateway: Awaited<ReturnType<typeof startGateway>>): Promise<unknown> {
  expect(await gateway.metric('strangler_bugs_total')).toBe(0)
  return (await gateway.accessLine(({ failure }) => failure !== undefined)).failure
}

describe('an upstream that does not accept connections', () => {
  it.each([300, 1400])('fails after connectMs = %i if it never answers the TLS handshake', async (connectMs) => {
    const origin = await startRawOrigin(() => {})
    const gateway = await startBefore(`https://127.0.0.1:${origin.port}`, { connectMs })
    const answer = await sendRequest({ port: gateway.port })
    expect(answer.status).toBe(504)
    expectAt(answer.tookMs, connectMs)
    expect(await failureOf(gateway)).toBe('connect-timeout')
  })

  it('fails after connectMs if its TCP backlog is full', async () => {
    const gateway = await startBefore(`http://127.0.0.1:${await portThatDropsConnections()}`, { connectMs: 500 })
    const answer = await sendRequest({ port: gateway.port })
    expect(answer.status).toBe(504)
    expectAt(answer.tookMs, 500)
    expect(await failureOf(gateway)).toBe('connect-timeout')
  })

  it('fails after the connectMs of the route if the route has its own', async () => {
    const service = await startRawOrigin(() => {})
    const legacy = await startNamedOrigin('legacy')
    const gateway = await startGateway(
      {
        legacy: { url: legacy.url },
        services: { catalog: { url: `https://127.0.0.1:${service.port}`, timeouts: { connectMs: 5000 } } },
        contexts: {
          catalog: {
            owner: 'team',
            service: 'catalog',
            flag: 'on',
            fallback: false,
            routes: [{ path: '/products', timeouts: { connectMs: 400 } }],
          },
        },
      },
      { percentages: { on: 100 } },
    )
    const answer = await sendRequest({ port: gateway.port, path: '/products' })
    expect(answer.status).toBe(504)
    expectAt(answer.tookMs, 400)
  })
})

describe('an upstream that accepts and does not answer', () => {
  it.each([300, 1400, 2200])('fails after headersMs = %i', async (headersMs) => {
    const origin = await startRawOrigin(() => {})
    const gateway = await startBefore(origin.url, { headersMs })
    const answer = await sendRequest({ port: gateway.port })
    expect(answer.status).toBe(504)
    expectAt(answer.tookMs, headersMs)
    expect(await failureOf(gateway)).toBe('response-timeout')
    await until(() => origin.connections.every(({ isClosed }) => isClosed))
  })

  it('gets more time for each piece of the request body that arrives', async () => {
    const origin = await startHttpOrigin((request, response) => {
      request.resume().on('end', () => response.end('whole'))
    })
    const gateway = await startBefore(origin.url, { headersMs: 400 })
    const client = await connectRaw(gateway.port)
    client.send('POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 6\r\n\r\n')
    for (const piece of ['a', 'b', 'c', 'd', 'e', 'f']) {
      await new Promise((resolve) => setTimeout(resolve, 200))
      client.send(piece)
    }
    expect(await client.receives('whole')).toMatch(/^HTTP\/1\.1 200 /)
  })

  it('does not shorten the time of the next request on the same route', async () => {
    const origin = await startHttpOrigin((_request, response) => void setTimeout(() => response.end('late'), 300))
    const gateway = await startBefore(origin.url, { headersMs: 450 })
    for (let i = 0; i < 4; i++)
      expect(await sendRequest({ port: gateway.port })).toMatchObject({ status: 200, body: 'late' })
  })
})

describe('silence of the upstream in the middle of a response body', () => {
  it.each([300, 1400])('cuts the response after idleMs = %i', async (idleMs) => {
    const origin = await startRawOrigin((socket) => {
      socket.write('HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nbegun')
    })
    const gateway = await startBefore(origin.url, { idleMs })
    const startedAt = performance.now()
    const answer = await sendRequest({ port: gateway.port })
    expectAt(performance.now() - startedAt, idleMs)
    expect(answer).toMatchObject({ status: 200, body: 'begun', error: 'ECONNRESET' })
    expect(await failureOf(gateway)).toBe('response-broken')
  })

  it('is counted from the last byte, so a slow response is not cut', async () => {
    const origin = await startHttpOrigin(async (_request, response) => {
      for (let i = 0; i < 8; i++) {
        response.write(String(i))
        await new Promise((resolve) => setTimeout(resolve, 150))
      }
      response.end()
    })
    const gateway = await startBefore(origin.url, { idleMs: 400 })
    expect(await sendRequest({ port: gateway.port })).toMatchObject({ status: 200, body: '01234567', error: undefined })
  })

  it('is not counted while the client does not read', async () => {
    const megabytes = 24
    const origin = await startHttpOrigin((_request, response) => response.end(Buffer.alloc(megabytes * 1_048_576)))
    const gateway = await startBefore(origin.url, { idleMs: 300 })
    const client = net.connect(gateway.port, '127.0.0.1')
    onTestFinished(() => void client.destroy())
    client.write('GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n')
    await new Promise((resolve) => setTimeout(resolve, 1000))
    let bytes = 0
    client.on('data', (chunk) => {
      bytes += chunk.length
    })
    await new Promise((resolve) => client.once('end', resolve))
    expect(bytes).toBeGreaterThan(megabytes * 1_048_576)
  })
})

describe('a full connection pool', () => {
  it.each([300, 1200])('lets a request wait for at most queueMs = %i', async (queueMs) => {
    const origin = await startRawOrigin(() => {})
    const gateway = await startBefore(origin.url, { queueMs }, { connections: 1, queue: 4 })
    const first = await connectRaw(gateway.port)
    first.send('GET / HTTP/1.1\r\nHost: a\r\n\r\n')
    await until(() => origin.requests() === 1)
    const answer: Answer = await sendRequest({ port: gateway.port })
    first.destroy()
    expect(answer).toMatchObject({ status: 503, headers: { 'retry-after': '1' } })
    expectAt(answer.tookMs, queueMs)
    expect(await failureOf(gateway)).toBe('overloaded')
    expect(origin.requests()).toBe(1)
  })
})

/** A TCP port whose process is stopped and whose backlog is full: the kernel drops further connections. */
async function portThatDropsConnections(): Promise<number> {
  const script = `require('net').createServer().listen({port:0,host:'127.0.0.1',backlog:1},function(){console.log(this.address().port)})`
  const child = spawn(process.execPath, ['-e', script], { stdio: ['ignore', 'pipe', 'inherit'] })
  const sockets: net.Socket[] = []
  onTestFinished(() => {
    for (const socket of sockets) socket.destroy()
    child.kill('SIGKILL')
  })
  const port = Number(await new Promise((resolve) => child.stdout.once('data', (chunk) => resolve(String(chunk)))))
  child.kill('SIGSTOP')
  let isFull = false
  while (!isFull) {
    const socket = net.connect(port, '127.0.0.1')
    sockets.push(socket)
    isFull = await new Promise((resolve) => {
      socket.once('connect', () => resolve(false))
      socket.on('error', () => {})
      setTimeout(resolve, 150, true)
    })
  }
  return port
}
