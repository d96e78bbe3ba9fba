import { once } from 'node:events'
import https from 'node:https'
import net, { type AddressInfo, type Socket } from 'node:net'
import type { TLSSocket } from 'node:tls'
import { afterEach, describe, expect, test, vi } from 'vitest'
import { createAuthority } from '../../../test/kit/certificates.ts'
import { until } from '../../../test/kit/until.ts'
import type { CopyRequest } from '../../model/shadow.ts'
import { ByteBudget } from '../capture/byte-budget.ts'
import { CopyClient, type CopyResult } from './copy-client.ts'

const closing: (() => void)[] = []
afterEach(() => {
  for (const close of closing.splice(0)) close()
})

/** A server of raw bytes. `say` gets the socket and the request. */
async function origin(say: (socket: Socket, request: string) => void): Promise<CopyRequest> {
  const server = net.createServer((socket) => {
    socket.on('error', () => {}).on('data', (bytes) => say(socket, bytes.toString('latin1')))
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  closing.push(() => server.close())
  const { port } = server.address() as AddressInfo
  return requestTo(`http://127.0.0.1:${port}`)
}

function requestTo(url: string): CopyRequest {
  return {
    origin: url,
    tls: undefined,
    servername: '',
    method: 'GET',
    path: '/products/1?a=b',
    fields: ['Host', 'shop.example', 'X-Twice', 'a', 'X-Twice', 'b'],
    identityFields: [],
  }
}

const LIMITS = { maxBodyBytes: 1000, timeoutMs: 5000 }

async function ask(
  request: CopyRequest,
  limits = LIMITS,
  budget = new ByteBudget(() => 1e9),
  body?: Uint8Array,
): Promise<CopyResult> {
  const client = new CopyClient({ budget })
  closing.push(() => void client.close())
  return client.send(request, request.fields, body, limits)
}

const OK = 'HTTP/1.1 200 OK\r\n'

test('a copy is sent unchanged, and its response is returned unchanged', async () => {
  let received = ''
  const request = await origin((socket, text) => {
    received = text
    socket.write(`${OK}Content-Length: 5\r\nX-A: 1\r\nx-a: \xe4\r\n\r\nhello`, 'latin1')
  })
  const budget = new ByteBudget(() => 1e9)
  const { answer } = (await ask(request, LIMITS, budget)) as Extract<CopyResult, { kind: 'answered' }>
  expect(received).toContain('GET /products/1?a=b HTTP/1.1\r\n')
  expect(received.toLowerCase()).toContain('host: shop.example\r\n')
  expect(received).toContain('X-Twice: a\r\nX-Twice: b\r\n')
  expect(answer).toMatchObject({ status: 200, isTruncated: false })
  expect(answer.headers).toEqual(['Content-Length', '5', 'X-A', '1', 'x-a', 'ä'])
  expect(Buffer.from(answer.body).toString()).toBe('hello')
  expect(budget.usedBytes, 'reserved until the comparison').toBe(5)
})

describe('a copy ends within its limits', () => {
  test.each<[string, (socket: Socket) => void, object]>([
    ['nothing', () => {}, { kind: 'failed', reason: 'response-timeout' }],
    ['only a head', (it) => it.write(`${OK}Content-Length: 5\r\n\r\n`), { reason: 'response-timeout' }],
    ['a reset', (it) => it.resetAndDestroy(), { kind: 'failed', reason: 'connection-lost' }],
    ['a close', (it) => it.end(), { kind: 'failed', reason: 'connection-lost' }],
    ['garbage', (it) => it.write('SSH-2.0-OpenSSH\r\n\r\n'), { kind: 'failed', reason: 'response-malformed' }],
    ['a garbage head', (it) => it.write(`${OK}a\0b: c\r\n\r\n`), { kind: 'failed', reason: 'response-malformed' }],
    ['an endless head', (it) => flood(it, `${OK}x: `, 'y'.repeat(1000)), { reason: 'response-malformed' }],
    ['half a body', (it) => it.end(`${OK}Content-Length: 5\r\n\r\nab`), { reason: 'response-broken' }],
    ['a GiB with a Content-Length', (it) => it.write(`${OK}Content-Length: 1073741824\r\n\r\na`), truncated()],
    [
      'a GiB without a Content-Length',
      (it) => flood(it, `${OK}Connection: close\r\n\r\n`, 'x'.repeat(500)),
      truncated(),
    ],
    ['a stream', (it) => it.write(`${OK}Content-Type: text/event-stream\r\n\r\ndata: 1\n\n`), truncated()],
  ])('if the side sends %s', async (_, say, expected) => {
    const budget = new ByteBudget(() => 1e9)
    const request = await origin(say)
    expect(await ask(request, { maxBodyBytes: 1000, timeoutMs: 1500 }, budget)).toMatchObject(expected)
    expect(budget.usedBytes).toBe(0)
  })

  test('if a response to HEAD has a large Content-Length: it is complete', async () => {
    const request = await origin((socket) => socket.write(`${OK}Content-Length: 5000\r\n\r\n`))
    expect(await ask({ ...request, method: 'HEAD' })).toMatchObject({
      kind: 'answered',
      answer: { isTruncated: false },
    })
  })

  test('if the side sends single bytes', async () => {
    const request = await origin((socket) => {
      socket.write(`${OK}Content-Length: 500\r\n\r\n`)
      const timer = setInterval(() => socket.write('x'), 20)
      socket.on('close', () => clearInterval(timer))
    })
    const limits = { maxBodyBytes: 1000, timeoutMs: 300 }
    expect(await ask(request, limits)).toEqual({ kind: 'failed', reason: 'response-timeout' })
  })

  test.each<[string, (socket: Socket) => void]>([
    ['a reset', (it) => it.resetAndDestroy()],
    ['a close', (it) => it.end()],
    ['half a body', (it) => it.end(`${OK}Content-Length: 5\r\n\r\nab`)],
    ['a 503', (it) => it.end('HTTP/1.1 503 No\r\nRetry-After: 0\r\nContent-Length: 0\r\n\r\n')],
    ['a 307', (it) => it.end('HTTP/1.1 307 There\r\nLocation: /there\r\nContent-Length: 0\r\n\r\n')],
  ])('without a second request after %s', async (_, say) => {
    let requests = 0
    const request = await origin((socket) => {
      requests++
      say(socket)
    })
    await ask(request)
    await new Promise((resolve) => setTimeout(resolve, 100))
    expect(requests).toBe(1)
  })

  test('if no server listens', async () => {
    const server = net.createServer().listen(0, '127.0.0.1')
    await once(server, 'listening')
    const { port } = server.address() as AddressInfo
    server.close()
    await once(server, 'close')
    expect(await ask(requestTo(`http://127.0.0.1:${port}`))).toEqual({ kind: 'failed', reason: 'connect-refused' })
    expect(await ask(requestTo('http://nowhere.invalid'))).toEqual({ kind: 'failed', reason: 'connect-refused' })
  })

  test('if no server listens repeatedly: the address rests for a while', async () => {
    let connections = 0
    const server = net.createServer((socket) => {
      connections++
      socket.resetAndDestroy()
    })
    const nowhere = requestTo('http://nowhere.invalid')
    const client = new CopyClient({ budget: new ByteBudget(() => 1e9) })
    closing.push(
      () => void client.close(),
      () => server.close(),
    )
    const reasons: unknown[] = []
    for (let i = 0; i < 7; i++) {
      const result = await client.send(nowhere, nowhere.fields, undefined, LIMITS)
      reasons.push(result.kind === 'failed' ? result.reason : result.kind)
    }
    expect(reasons).toEqual([...Array(5).fill('connect-refused'), 'unavailable', 'unavailable'])
    // Other addresses do not rest.
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    const there = requestTo(`http://127.0.0.1:${(server.address() as AddressInfo).port}`)
    expect(await client.send(there, there.fields, undefined, LIMITS)).toMatchObject({ reason: 'connection-lost' })
    expect(connections).toBe(1)
    await until(async () => {
      const result = await client.send(nowhere, nowhere.fields, undefined, LIMITS)
      return result.kind === 'failed' && result.reason === 'connect-refused'
    })
  })

  test('if the response does not fit into the budget', async () => {
    const budget = new ByteBudget(() => 600)
    const request = await origin((it) => it.write(`${OK}Content-Length: 700\r\n\r\n${'x'.repeat(700)}`))
    expect(await ask(request, LIMITS, budget)).toEqual({ kind: 'shed', reason: 'bytes' })
    expect(budget.usedBytes).toBe(0)
  })

  test('if the request is invalid: it is not sent', async () => {
    const request = { ...requestTo('http://127.0.0.1:9'), path: '/a b\r\nX: y' }
    expect(await ask(request)).toEqual({ kind: 'failed', reason: 'internal' })
  })
})

describe('a copy over TLS', () => {
  async function secure(names: string) {
    const authority = await createAuthority()
    const servernames: unknown[] = []
    const server = https.createServer(await authority.sign(names), (request, response) => {
      servernames.push((request.socket as TLSSocket).servername)
      response.end('ok')
    })
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    closing.push(
      () => void server.close(),
      () => server.closeAllConnections(),
    )
    const { port } = server.address() as AddressInfo
    return {
      request: requestTo(`https://127.0.0.1:${port}`),
      tls: { ca: authority.cert, rejectUnauthorized: true },
      asked: servernames,
    }
  }

  test('requests the certificate of the address, not of the Host field of the client', async () => {
    const { request, tls, asked: servernames } = await secure('DNS:catalog.internal')
    const copy = { ...request, tls, servername: 'catalog.internal' }
    expect(await ask(copy)).toMatchObject({ kind: 'answered' })
    expect(servernames).toEqual(['catalog.internal'])
    const another = await ask({ ...copy, servername: 'orders.internal' })
    expect(another).toEqual({ kind: 'failed', reason: 'connect-refused' })
  })

  test('checks an IP address against the certificate', async () => {
    const { request, tls, asked: servernames } = await secure('IP:127.0.0.1')
    expect(await ask({ ...request, tls })).toMatchObject({ kind: 'answered' })
    expect(servernames).toEqual([false])
  })

  test('rejects an unknown certificate, also with NODE_TLS_REJECT_UNAUTHORIZED=0', async () => {
    vi.stubEnv('NODE_TLS_REJECT_UNAUTHORIZED', '0')
    closing.push(() => void vi.unstubAllEnvs())
    const { request, asked: servernames } = await secure('IP:127.0.0.1')
    expect(await ask(request)).toEqual({ kind: 'failed', reason: 'connect-refused' })
    expect(servernames).toEqual([])
  })
})

function truncated(): object {
  return { kind: 'answered', answer: { status: 200, isTruncated: true } }
}

function flood(socket: Socket, head: string, more: string): void {
  socket.write(head)
  const pour = () => {
    while (!socket.destroyed && socket.write(more));
  }
  socket.on('drain', pour)
  pour()
}
