// A client that leaves ends all work for its request, in every phase of the request.
import { describe, expect, it } from 'vitest'
import { expectCalm } from '../kit/calm.ts'
import { startGateway } from '../kit/gateway.ts'
import { startHttpOrigin, startRawOrigin, untilRequests } from '../kit/origin.ts'
import { startGatewayProcess } from '../kit/process.ts'
import { connectRaw } from '../kit/raw.ts'
import { until } from '../kit/until.ts'

const PHASES = {
  'in its head': { bytes: 'GET /wait HTTP/1.1\r\nHo', waitFor: 0 },
  'in its body': { bytes: 'POST /wait HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\nhalf', waitFor: 1 },
  'waiting for the answer': { bytes: 'GET /wait HTTP/1.1\r\nHost: a\r\n\r\n', waitFor: 1 },
  'waiting after its body': { bytes: 'POST /wait HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nbody', waitFor: 1 },
  'in the middle of the answer': { bytes: 'GET /stream HTTP/1.1\r\nHost: a\r\n\r\n', waitFor: 1 },
} as const

/** An origin that never responds to `/wait`, and whose response to `/stream` never ends. */
function startEndlessOrigin() {
  return startRawOrigin((socket, seen) => {
    if (seen.includes('/stream')) socket.write('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nbegun\r\n')
  })
}

describe('a client that leaves', () => {
  it.each(Object.entries(PHASES))('%s ends its upstream request within a second', async (_name, { bytes, waitFor }) => {
    const origin = await startEndlessOrigin()
    const gateway = await startGateway({ legacy: { url: origin.url } })
    const client = await connectRaw(gateway.port)
    client.send(bytes)
    await untilRequests(origin, waitFor)
    if (bytes.includes('/stream')) await client.receives('begun')
    const leftAt = performance.now()
    client.socket.resetAndDestroy()
    await until(() => origin.connections.every(({ isClosed }) => isClosed))
    expect(performance.now() - leftAt).toBeLessThan(1000)
    expect(origin.requests()).toBe(waitFor)
    if (waitFor > 0) expect(await gateway.accessLine(() => true)).toMatchObject({ failure: 'client-gone', attempts: 1 })
    await expectCalm(gateway)
  })

  it('while the gateway connects ends the attempt', async () => {
    const origin = await startRawOrigin(() => {})
    const url = `https://127.0.0.1:${origin.port}`
    const gateway = await startGateway({ legacy: { url, timeouts: { connectMs: 60_000 } } })
    const sample = `strangler_connections{upstream="legacy",address="${url}",state="in_use"}`
    const client = await connectRaw(gateway.port)
    client.send('GET / HTTP/1.1\r\nHost: a\r\n\r\n')
    await until(() => origin.connections.length === 1)
    expect(await gateway.metric(sample)).toBe(1)
    client.socket.resetAndDestroy()
    await until(() => origin.connections.every(({ isClosed }) => isClosed), 1000)
    expect(await gateway.metric(sample)).toBe(0)
    await expectCalm(gateway)
  })

  it('while it waits for a connection gives its place to the next request', async () => {
    const origin = await startRawOrigin((socket, _seen, number) => {
      if (number > 1) socket.write('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok')
    })
    const gateway = await startGateway({
      legacy: { url: origin.url, connections: 1, queue: 2, timeouts: { queueMs: 5000 } },
    })
    const get = 'GET / HTTP/1.1\r\nHost: a\r\n\r\n'
    const waitingIs = (count: number) =>
      until(
        async () =>
          (await gateway.metric(`strangler_connections{upstream="legacy",address="${origin.url}",state="waiting"}`)) ===
          count,
      )
    const [first, leaver, third] = [
      await connectRaw(gateway.port),
      await connectRaw(gateway.port),
      await connectRaw(gateway.port),
    ]
    first.send(get)
    await untilRequests(origin, 1)
    leaver.send(get)
    await waitingIs(1)
    third.send(get)
    await waitingIs(2)
    leaver.socket.resetAndDestroy()
    await waitingIs(1)
    const fourth = await connectRaw(gateway.port)
    fourth.send(get)
    await waitingIs(2)
    first.socket.resetAndDestroy()
    expect(await third.receives('ok')).toMatch(/ 200 /)
    expect(await fourth.receives('ok')).toMatch(/ 200 /)
    expect(origin.requests()).toBe(3)
    await expectCalm(gateway)
  })

  it('a thousand times at different moments leaves no memory and no connections behind (F12)', async () => {
    const origin = await startHttpOrigin((request, response) => {
      request.resume().on('error', () => {})
      if (request.url === '/stream') response.write('begun')
      else if (request.url === '/now') request.on('end', () => response.end('ok'))
    })
    const gateway = await startGatewayProcess({
      legacy: { url: origin.url, connections: 64, timeouts: { headersMs: 60_000 } },
      drain: { noticeMs: 0, limitMs: 1000 },
    })
    const phases = Object.values(PHASES)
    const abort = async (number: number) => {
      const client = await connectRaw(gateway.port)
      client.send((phases[number % phases.length] as (typeof phases)[number]).bytes)
      // Some leave at once, some after the gateway and the origin have had time for a few turns.
      await new Promise((resolve) => setTimeout(resolve, number % 13))
      if (number % 2 === 0) client.socket.resetAndDestroy()
      else client.destroy()
    }
    const abortMany = async (from: number, to: number) => {
      for (let first = from; first < to; first += 25)
        await Promise.all(Array.from({ length: 25 }, (_, i) => abort(first + i)))
      await until(async () => (await gateway.metric('strangler_requests_in_flight')) === 0)
    }
    await abortMany(0, 200)
    await until(() => openConnections() === 0)
    const files = await gateway.openFiles()
    const memory = await gateway.memory()
    await abortMany(200, 1200)
    await until(() => openConnections() === 0, 2000)
    await until(async () => (await gateway.openFiles()) <= files)
    expect(await gateway.memory()).toBeLessThan(memory * 1.1 + 24 * 1_048_576)
    await expectCalm(gateway)
    expect(gateway.log()).not.toMatch(/[Uu]nhandled|uncaught|"level":"error"/)
    gateway.signal('SIGTERM')
    expect(await gateway.exited).toEqual({ code: 0, signal: null })

    function openConnections(): number {
      let open = 0
      origin.server.getConnections((_error, count) => {
        open = count
      })
      return open
    }
  })
})
