// Faults of the shadow side (F18, F19) change neither the client's bytes, its status and the next request on its connection
// nor the gateway's memory, and each eligible request has one outcome.
import http from 'node:http'
import type { Socket } from 'node:net'
import { describe, expect, test, vi } from 'vitest'
import { sendRequest, startLoad } from '../kit/load.ts'
import { freePort, startHttpOrigin, startRawOrigin } from '../kit/origin.ts'
import { startGatewayProcess } from '../kit/process.ts'
import { connectRaw } from '../kit/raw.ts'
import { eligibleIn, readEndings, respondEqually, startShadowed } from '../kit/shadowed.ts'
import { until } from '../kit/until.ts'

// The comparing thread has the lowest priority: on a busy machine it starts late.
vi.setConfig({ testTimeout: 60_000 })

const OK = 'HTTP/1.1 200 OK\r\n'
const ANSWER = { body: JSON.stringify({ price: 12.5, name: 'spade' }), type: 'application/json' }

/** Services that fail in different ways. */
const SHADOWS: readonly (readonly [string, (socket: Socket) => void])[] = [
  ['hangs', () => {}],
  ['resets', (socket) => void socket.resetAndDestroy()],
  ['closes', (socket) => void socket.end()],
  ['answers 500', (socket) => void socket.write('HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n')],
  [
    'answers after two seconds',
    (socket) => void setTimeout(() => socket.write(`${OK}Content-Length: 2\r\n\r\nok`), 2000),
  ],
  ['sends a byte from time to time', dribble],
  ['sends a GiB', (socket) => pour(socket, `${OK}Content-Length: 1073741824\r\n\r\n`)],
  ['sends an endless body', (socket) => pour(socket, `${OK}Connection: close\r\n\r\n`)],
  ['sends garbage', (socket) => void socket.write('\0\x01\x02 garbage\r\n\r\n')],
  ['sends garbage as headers', (socket) => void socket.write(`${OK}a b: c\r\n\0: d\r\n\r\n`)],
  ['sends endless headers', (socket) => pour(socket, `${OK}X: `)],
  ['sends more responses than requests', (socket) => void socket.write(`${OK}Content-Length: 0\r\n\r\n`.repeat(20))],
  [
    'sends a decompression bomb',
    (socket) => pour(socket, `${OK}Content-Encoding: gzip\r\nContent-Length: 500\r\n\r\n`),
  ],
  ['sends endless informational responses', (socket) => pour(socket, '', 'HTTP/1.1 102 Processing\r\n\r\n')],
]

describe('a client gets the same bytes from legacy while the shadow service', () => {
  test.each(SHADOWS)('%s', async (_, script) => {
    const shadow = await startRawOrigin(script)
    const { gateway, legacy, settled, endings } = await startShadowed({
      shadow: { timeoutMs: 500 },
      legacy: (_request, response) => response.writeHead(200, { 'Content-Type': ANSWER.type }).end(ANSWER.body),
      serviceUrl: shadow.url,
    })
    // One after another on one connection: a remainder of one would break the next.
    const client = await connectRaw(gateway.port)
    for (let i = 1; i <= 20; i++) {
      client.send(`GET /products/${i} HTTP/1.1\r\nHost: shop.example\r\nCookie: sid=1\r\n\r\n`)
      await until(() => answersIn(client.received()).length === i)
    }
    expect(answersIn(client.received())).toEqual(Array.from({ length: 20 }, () => `200 ${ANSWER.body}`))
    expect(client.isClosed()).toBe(false)
    client.destroy()
    await settled(20)
    const ended = await endings()
    expect(Object.values(ended).reduce((sum, count) => sum + count, 0)).toBe(20)
    expect(ended.matched, 'none of these says what legacy says').toBeUndefined()
    expect(legacy.real()).toHaveLength(20)
    expect(await gateway.metric('strangler_shadow_captured_bytes'), 'nothing stays behind').toBe(0)
    expect(await gateway.metric('strangler_bugs_total')).toBe(0)
    // Only requests of clients count for the health of an address, not copies.
    expect(await gateway.metric(`strangler_ejections_total{upstream="catalog"}`)).toBe(0)
  })

  test('is not reachable', async () => {
    const { gateway, settled, endings } = await startShadowed({
      legacy: respondEqually,
      serviceUrl: `http://127.0.0.1:${await freePort()}`,
    })
    for (let i = 0; i < 20; i++)
      expect((await sendRequest({ port: gateway.port, path: '/products/1' })).status).toBe(200)
    await settled(20)
    const ended = await endings()
    expect((ended['failed(connect-refused)'] ?? 0) + (ended['failed(unavailable)'] ?? 0)).toBe(20)
  })
})

describe('a copy is shed when', () => {
  test('the limit of copies in progress is reached', async () => {
    const shadow = await startRawOrigin(() => {})
    const { gateway, settled, endings } = await startShadowed({
      shadow: { timeoutMs: 1500 },
      legacy: respondEqually,
      serviceUrl: shadow.url,
      map: { shadowing: { underWay: 5, lagMs: 60_000, cpuShare: 1 } },
    })
    for (let i = 0; i < 20; i++)
      expect((await sendRequest({ port: gateway.port, path: '/products/1' })).status).toBe(200)
    await settled(20)
    expect(await endings()).toEqual({ 'failed(response-timeout)': 5, 'shed(queue)': 15 })
    expect(shadow.requests()).toBeLessThanOrEqual(5)
  })

  test('the memory for bodies is used up, and only until it is free again', async () => {
    const body = 'x'.repeat(10_000)
    const { gateway, service, settled, endings } = await startShadowed({
      legacy: (_request, response) => response.end(body),
      service: (_request, response) => response.end(body),
      map: { shadowing: { captureBytes: 15_000, lagMs: 60_000, cpuShare: 1 } },
    })
    const answers = await Promise.all([1, 2, 3].map((i) => sendRequest({ port: gateway.port, path: `/products/${i}` })))
    expect(answers.map(({ body: got }) => got)).toEqual([body, body, body])
    await settled(3)
    const ended = await endings()
    expect(ended.matched).toBeGreaterThanOrEqual(1)
    expect((ended.matched ?? 0) + (ended['shed(bytes)'] ?? 0)).toBe(3)
    expect(await gateway.metric('strangler_shadow_captured_bytes')).toBe(0)
    await sendRequest({ port: gateway.port, path: '/products/4' })
    await settled(4)
    expect((await endings()).matched).toBe((ended.matched ?? 0) + 1)
    expect(service.copies().length).toBeLessThanOrEqual(4)
  })

  test('the responses in the comparing thread exceed its limit', async () => {
    const MEBIBYTE = 1024 * 1024
    const part = Buffer.alloc(7 * MEBIBYTE, 'x')
    const sockets: Socket[] = []
    const shadow = await startRawOrigin((socket) => {
      sockets.push(socket)
      socket.write(`${OK}Content-Length: ${part.length + 1}\r\n\r\n`)
      socket.write(part)
    })
    const { gateway, settled, endings } = await startShadowed({
      shadow: { timeoutMs: 30_000, maxBodyBytes: 8 * MEBIBYTE },
      legacy: respondEqually,
      serviceUrl: shadow.url,
    })
    await Promise.all(Array.from({ length: 12 }, (_, i) => sendRequest({ port: gateway.port, path: `/products/${i}` })))
    await until(async () => ((await endings())['shed(bytes)'] ?? 0) >= 2, 30_000)
    for (const socket of sockets) socket.write('x')
    await settled(12)
    const ended = await endings()
    expect((ended['shed(bytes)'] ?? 0) + (ended.inconclusive ?? 0), JSON.stringify(ended)).toBe(12)
  })

  test('the event loop is late', async () => {
    const { gateway, settled, endings } = await startShadowed({
      legacy: respondEqually,
      service: respondEqually,
      map: { shadowing: { lagMs: 1 } },
    })
    await sendRequest({ port: gateway.port, path: '/products/1' })
    // The gateway runs in this process, so blocking the process delays it.
    let requestCount = 1
    while ((await endings())['shed(lag)'] === undefined) {
      const until = performance.now() + 300
      while (performance.now() < until);
      await sendRequest({ port: gateway.port, path: '/products/1' })
      requestCount++
      expect(requestCount).toBeLessThan(100)
    }
    await settled(requestCount)
  })
})

test('under load and faults every eligible request gets exactly one shadow outcome', async () => {
  const shadow = await startRawOrigin((socket, _, number) => {
    const [, script] = SHADOWS[number % SHADOWS.length] as (typeof SHADOWS)[number]
    if (number % 3 === 0) socket.write(`${OK}Content-Type: application/json\r\nContent-Length: 2\r\n\r\n{}`)
    else script(socket)
  })
  const { gateway, settled, endings } = await startShadowed({
    shadow: { timeoutMs: 300, sample: 0.7 },
    legacy: (request, response) => {
      if (request.url === '/products/7') response.destroy()
      else respondEqually(request, response)
    },
    serviceUrl: shadow.url,
    map: { shadowing: { underWay: 50 } },
  })
  const load = startLoad(8, (number) => ({ port: gateway.port, path: `/products/${number % 20}` }), 1)
  await until(() => load.answers.length > 1500, 60_000)
  const { answers } = await load.stop()
  const text = await gateway.metrics()
  const eligible = eligibleIn(text)
  await settled(eligible)
  const ended = await endings()
  expect(Object.values(ended).reduce((sum, count) => sum + count, 0)).toBe(eligible)
  // Seven in ten, within four standard deviations.
  const expected = 0.7 * answers.length
  expect(Math.abs(eligible - expected)).toBeLessThan(4 * Math.sqrt(0.7 * 0.3 * answers.length) + 1)
  expect(Object.keys(ended).length, JSON.stringify(ended)).toBeGreaterThan(4)
  expect(readEndings(text)['failed(primary)']).toBeGreaterThan(0)
  expect(answers.filter(({ status }) => status === 0)).toEqual([])
})

test('uploads of any size leave no memory behind while the shadow service is unreachable (F19)', async () => {
  const MEBIBYTE = 1024 * 1024
  const [uploads, megabytes] = [20, 100]
  let received = 0
  const legacy = await startHttpOrigin((request, response) => {
    request.on('data', (bytes: Buffer) => {
      received += bytes.length
    })
    request.on('end', () => response.end('stored'))
  })
  const dead = await startRawOrigin(() => {})
  const gateway = await startGatewayProcess(
    {
      legacy: { url: legacy.url },
      services: { files: { url: dead.url } },
      contexts: {
        files: {
          owner: 'team-files',
          service: 'files',
          flag: 'migrate-files',
          routes: ['/files/*'],
          shadow: { sample: 1, writes: 'dry-run' },
        },
      },
    },
    { percentages: { 'migrate-files': 0 } },
  )
  await upload(gateway.port, MEBIBYTE)
  // The comparing thread has started, and its comparison with the service has failed.
  const first = 'strangler_shadow_outcomes_total{context="files",outcome="failed",reason="not-dry-run"}'
  await until(async () => (await gateway.metric(first)) === 1)
  const memoryBefore = await gateway.memory()
  let most = memoryBefore
  const watch = setInterval(async () => {
    most = Math.max(most, await gateway.memory())
  }, 50)
  for (let i = 0; i < uploads; i += 4) {
    const statuses = await Promise.all([1, 2, 3, 4].map(() => upload(gateway.port, megabytes * MEBIBYTE)))
    expect(statuses).toEqual([200, 200, 200, 200])
  }
  clearInterval(watch)
  expect(received).toBe((uploads * megabytes + 1) * MEBIBYTE)
  expect((most - memoryBefore) / MEBIBYTE).toBeLessThan(64)
  const sample = 'strangler_shadow_outcomes_total{context="files",outcome="shed",reason="request-too-large"}'
  await until(async () => (await gateway.metric(sample)) === uploads)
  expect(dead.heads().filter((head) => !head.startsWith('OPTIONS '))).toEqual([])
})

/** @returns the status */
function upload(port: number, bytes: number): Promise<number> {
  const chunk = Buffer.alloc(64 * 1024, 'x')
  return new Promise((resolve, reject) => {
    const headers = { 'Content-Length': bytes }
    const request = http.request({ port, method: 'PUT', path: '/files/1', headers, agent: false }, (response) => {
      response.resume().on('end', () => resolve(response.statusCode ?? 0))
    })
    request.on('error', reject)
    let left = bytes
    const write = () => {
      while (left > 0) {
        left -= chunk.length
        if (!request.write(chunk)) return void request.once('drain', write)
      }
      request.end()
    }
    write()
  })
}

/** The complete responses among the bytes of one connection, as status and body. */
function answersIn(text: string): string[] {
  const answers: string[] = []
  const head = /HTTP\/1\.1 (\d{3})[^\r]*\r\n((?:[^\r\n]+\r\n)*)\r\n/g
  for (let match = head.exec(text); match !== null; match = head.exec(text)) {
    const length = Number(/content-length: (\d+)/i.exec(match[2] as string)?.[1] ?? Number.NaN)
    const isChunked = /transfer-encoding: chunked/i.test(match[2] as string)
    const from = head.lastIndex
    if (isChunked) {
      const end = text.indexOf('\r\n0\r\n\r\n', from)
      if (end === -1) break
      answers.push(`${match[1]} ${text.slice(text.indexOf('\r\n', from) + 2, end)}`)
      head.lastIndex = end + 7
    } else {
      if (text.length < from + length) break
      answers.push(`${match[1]} ${text.slice(from, from + length)}`)
      head.lastIndex = from + length
    }
  }
  return answers
}

function dribble(socket: Socket): void {
  socket.write(`${OK}Content-Length: 500\r\n\r\n`)
  const timer = setInterval(() => socket.write('x'), 100)
  socket.on('close', () => clearInterval(timer))
}

function pour(socket: Socket, head: string, more = 'x'.repeat(64 * 1024)): void {
  socket.write(head)
  const on = () => {
    for (let i = 0; i < 100 && !socket.destroyed; i++) if (!socket.write(more)) return
    setImmediate(on)
  }
  socket.on('drain', on)
  on()
}
