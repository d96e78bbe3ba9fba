import { createCipheriv, createHash } from 'node:crypto'
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { AddressInfo, Socket } from 'node:net'
import { PassThrough } from 'node:stream'
import tls, { type TLSSocket } from 'node:tls'
import { describe, expect, it } from 'vitest'
import { createAuthority } from '../../../test/kit/certificates.ts'
import { sharedByFile, whenOver } from '../../../test/kit/lifetime.ts'
import { OK, type RawOrigin, type Script, startRawOrigin } from '../../../test/kit/origin.ts'
import { until } from '../../../test/kit/until.ts'
import { NodeExchange } from '../downstream/node-exchange.ts'
import { RequestBody } from '../forward/request-body.ts'
import {
  Connection,
  type Destination,
  type ResponseHandler,
  StaleConnection,
  UnsafeFieldError,
  type UpstreamRequest,
} from './connection.ts'
import { ResponseError } from './response-parser.ts'

const MIB = 1024 * 1024

/** The calls that a handler got. */
type Recorded = {
  sent: number
  readonly heads: { status: number; reason: string; fields: string[] }[]
  body: string
  ends: number
  trailers: readonly string[]
  readonly errors: Error[]
  isOver: boolean
}

type Recorder = { readonly recorded: Recorded; readonly handler: ResponseHandler }

function createRecorder(more: Partial<ResponseHandler> = {}): Recorder {
  const recorded: Recorded = { sent: 0, heads: [], body: '', ends: 0, trailers: [], errors: [], isOver: false }
  const handler: ResponseHandler = {
    onSent: () => void recorded.sent++,
    onHead: (status, reason, fields) => void recorded.heads.push({ status, reason, fields }),
    onBody: (bytes, start, end) => {
      recorded.body += bytes.toString('latin1', start, end)
      return true
    },
    onEnd: (trailers) => {
      recorded.ends++
      recorded.trailers = trailers
      recorded.isOver = true
    },
    onError: (error) => {
      recorded.errors.push(error)
      recorded.isOver = true
    },
    ...more,
  }
  return { recorded, handler }
}

const GET: UpstreamRequest = {
  method: 'GET',
  path: '/',
  fields: ['Host', 'a'],
  body: undefined,
  isChunked: false,
  trailers: undefined,
  mayBeReused: true,
}

function destination(port: number, more: Partial<Destination> = {}): Destination {
  const plain = { isTls: false, servername: '', tls: {}, bareLineFeeds: false, session: undefined }
  return { ...plain, host: '127.0.0.1', port, ...more }
}

type Open = { readonly connection: Connection; readonly idleClosed: Connection[] }

function open(port: number, more: Partial<Destination> | Destination = {}): Open {
  const idleClosed: Connection[] = []
  const to = 'port' in more ? (more as Destination) : destination(port, more)
  const connection = new Connection(to, (closed) => void idleClosed.push(closed))
  whenOver(() => connection.close())
  return { connection, idleClosed }
}

function send(connection: Connection, request: Partial<UpstreamRequest> = {}, recorder = createRecorder()): Recorded {
  connection.send({ ...GET, ...request }, recorder.handler)
  return recorder.recorded
}

async function ask(connection: Connection, request: Partial<UpstreamRequest> = {}): Promise<Recorded> {
  const recorded = send(connection, request)
  await until(() => recorded.isOver)
  return recorded
}

/** A client's body: what is written to `client` is what the client sends. */
function bodyOf(maxBytes = 100 * MIB) {
  const client = Object.assign(new PassThrough({ highWaterMark: 64 * 1024 }), { complete: false })
  client.on('end', () => {
    client.complete = true
  })
  const downstream = new NodeExchange(client as unknown as IncomingMessage, {} as ServerResponse)
  return { client, body: new RequestBody(downstream, maxBytes, { onRequestBodyEnd: () => {} }) }
}

const socketOf = (origin: RawOrigin, index = 0) => origin.connections[index]?.socket as Socket
const seenBy = (origin: RawOrigin, index = 0) => origin.connections[index]?.bytes.toString('latin1') ?? ''

/** Resolves behind the callbacks of this turn, so that the next poll of the sockets sees a synchronous action. */
const betweenLooks = () => new Promise((resolve) => setImmediate(resolve))

describe('a connection', () => {
  it('carries one request after another', async () => {
    const origin = await startRawOrigin()
    const { connection, idleClosed } = open(origin.port)
    for (let i = 1; i <= 5; i++) {
      const recorded = await ask(connection, { path: `/${i}` })
      expect(recorded).toMatchObject({
        sent: 1,
        heads: [{ status: 200, reason: 'OK' }],
        body: 'ok',
        ends: 1,
        errors: [],
      })
    }
    expect(connection.isDone).toBe(false)
    expect(idleClosed).toEqual([])
    expect(origin.connections).toHaveLength(1)
    expect(origin.heads()).toHaveLength(5)
    expect(origin.heads()[4]).toBe('GET /5 HTTP/1.1\r\nHost: a\r\nConnection: keep-alive\r\n\r\n')
  })

  it('is not reusable after a request that forbids it, and the request announces that', async () => {
    const origin = await startRawOrigin()
    const { connection } = open(origin.port)
    expect((await ask(connection, { mayBeReused: false })).body).toBe('ok')
    expect(connection.isDone).toBe(true)
    expect(seenBy(origin)).toContain('\r\nConnection: close\r\n')
  })

  it('is not reusable after a response with Connection: close', async () => {
    const origin = await startRawOrigin('HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok')
    const { connection } = open(origin.port)
    expect((await ask(connection)).body).toBe('ok')
    expect(connection.isDone).toBe(true)
  })

  it('is not reusable if the upstream closes it together with the response', async () => {
    const origin = await startRawOrigin((socket) => void socket.end('HTTP/1.1 200 OK\r\n\r\nto the end'))
    const { connection, idleClosed } = open(origin.port)
    expect(await ask(connection)).toMatchObject({ body: 'to the end', ends: 1, errors: [] })
    expect(connection.isDone).toBe(true)
    expect(idleClosed).toEqual([])
  })

  it('is not reusable if bytes follow the response, and those bytes are dropped', async () => {
    const forged = 'HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nforged'
    const origin = await startRawOrigin(`${OK}${forged}`)
    const { connection } = open(origin.port)
    expect(await ask(connection)).toMatchObject({ heads: [{ status: 200 }], body: 'ok', ends: 1 })
    expect(connection.isDone).toBe(true)
    await until(() => origin.connections[0]?.isClosed === true)
  })

  it('reports once that the upstream has closed it while it was idle', async () => {
    const origin = await startRawOrigin()
    const { connection, idleClosed } = open(origin.port)
    await ask(connection)
    socketOf(origin).destroy()
    await until(() => idleClosed.length > 0)
    expect(idleClosed).toEqual([connection])
    expect(connection.isDone).toBe(true)
    connection.abort(new Error('again'))
    await betweenLooks()
    expect(idleClosed).toHaveLength(1)
  })

  it('reports nothing when the gateway closes it', async () => {
    const origin = await startRawOrigin()
    const { connection, idleClosed } = open(origin.port)
    await ask(connection)
    connection.close()
    await until(() => origin.connections[0]?.isClosed === true)
    await betweenLooks()
    expect(idleClosed).toEqual([])
  })

  it('reports an error before anything was sent if it cannot be opened', async () => {
    const recorded = await ask(open(1).connection)
    expect(recorded).toMatchObject({ sent: 0, ends: 0, errors: [{ code: 'ECONNREFUSED' }] })
  })
})

describe('a connection that the upstream closed before anything was written', () => {
  it('is reported as stale, and nothing of the request was sent', async () => {
    const origin = await startRawOrigin()
    const { connection, idleClosed } = open(origin.port)
    await ask(connection)
    await betweenLooks()
    socketOf(origin).destroy()
    const recorded = await ask(connection, { method: 'POST' })
    expect(recorded.errors).toEqual([expect.any(StaleConnection)])
    expect(recorded.sent).toBe(0)
    expect(idleClosed).toEqual([])
    expect(origin.requests()).toBe(1)
  })

  it('is reported as stale after a reset too', async () => {
    const origin = await startRawOrigin()
    const { connection } = open(origin.port)
    await ask(connection)
    await betweenLooks()
    socketOf(origin).resetAndDestroy()
    expect((await ask(connection)).errors).toEqual([expect.any(StaleConnection)])
  })

  it('is reported as lost, not as stale, after the request was written', async () => {
    const origin = await startRawOrigin((socket, _seen, number) =>
      number === 1 ? void socket.write(OK) : void socket.destroy(),
    )
    const { connection } = open(origin.port)
    await ask(connection)
    const recorded = await ask(connection)
    expect(recorded).toMatchObject({ sent: 1, errors: [expect.any(Error)] })
    expect(recorded.errors[0]).not.toBeInstanceOf(StaleConnection)
    expect(origin.requests()).toBe(2)
  })

  it('is reported as lost if it never served a request, so that an upstream which closes at once gets no storm of connections', async () => {
    const origin = await startRawOrigin((socket) => void socket.destroy())
    const recorded = await ask(open(origin.port).connection)
    expect(recorded.errors[0]).not.toBeInstanceOf(StaleConnection)
  })
})

describe('a request whose body has not come yet', () => {
  const fields = ['Host', 'a', 'Content-Length', '5']
  const waiting = async () => {
    const origin = await startRawOrigin()
    const { connection } = open(origin.port)
    await ask(connection)
    const { client, body } = bodyOf()
    const recorded = send(connection, { method: 'POST', fields, body })
    await until(() => seenBy(origin).includes('POST'))
    return { origin, client, body, recorded }
  }

  const waitingWithoutResponse = async () => {
    const origin = await startRawOrigin(() => {})
    const { client, body } = bodyOf()
    const recorded = send(open(origin.port).connection, { method: 'POST', fields, body })
    await until(() => seenBy(origin).includes('POST'))
    return { origin, client, recorded }
  }

  it('is lost, not stale, when the upstream closes after its head, because the upstream may have acted on it', async () => {
    const origin = await startRawOrigin(
      (socket, _, number) => void (number === 1 ? socket.write(OK) : socket.destroy()),
    )
    const { connection } = open(origin.port)
    await ask(connection)
    const { body } = bodyOf()
    const recorded = send(connection, { method: 'POST', fields, body })
    await until(() => recorded.isOver)
    expect(recorded.heads).toEqual([])
    expect(recorded.errors[0]).not.toBeInstanceOf(StaleConnection)
  })

  it('gets the response that arrived before a reset, although the next write of its body fails first', async () => {
    const { origin, client, recorded } = await waitingWithoutResponse()
    socketOf(origin).write(OK)
    socketOf(origin).resetAndDestroy()
    // In the same turn: the write fails with the reset before anything was read.
    client.write('hel')
    await until(() => recorded.isOver)
    expect(recorded).toMatchObject({ heads: [{ status: 200 }], body: 'ok', errors: [] })
  })

  it('ends its connection when the response is complete, and the rest of its body is not sent', async () => {
    const { origin, client, recorded } = await waiting()
    await until(() => recorded.isOver)
    expect(recorded).toMatchObject({ heads: [{ status: 200 }], body: 'ok', errors: [] })
    client.write('hello')
    await until(() => origin.connections[0]?.isClosed === true)
    expect(seenBy(origin)).toMatch(/\r\n\r\n$/)
  })

  it('reports its connection as stale if that was closed before its head was written, and its body is complete for the next', async () => {
    const origin = await startRawOrigin()
    const { connection } = open(origin.port)
    await ask(connection)
    await betweenLooks()
    socketOf(origin).destroy()
    const { client, body } = bodyOf()
    const recorded = send(connection, { method: 'POST', fields, body })
    await until(() => recorded.isOver)
    expect(recorded.errors).toEqual([expect.any(StaleConnection)])
    client.write('hel')
    await betweenLooks()
    const again = send(open(origin.port).connection, { method: 'POST', fields, body })
    client.end('lo')
    await until(() => again.isOver && seenBy(origin, 1).includes('POST'))
    expect(again).toMatchObject({ body: 'ok', errors: [] })
    expect(seenBy(origin, 0)).not.toContain('POST')
  })
})

describe('bytes without a request', () => {
  const FORGED = 'HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nforged'

  it('end an idle connection', async () => {
    const origin = await startRawOrigin()
    const { connection, idleClosed } = open(origin.port)
    await ask(connection)
    socketOf(origin).write(FORGED)
    await until(() => idleClosed.length > 0)
    expect(connection.isDone).toBe(true)
    await until(() => origin.connections[0]?.isClosed === true)
  })

  it('are never the response to the next request, which finds the connection stale', async () => {
    // Without delay: or the system holds the bytes back until the answer before them is acknowledged.
    const origin = await startRawOrigin((socket) => void socket.setNoDelay().write(OK))
    const { connection } = open(origin.port)
    await ask(connection)
    await betweenLooks()
    socketOf(origin).write(FORGED)
    const recorded = await ask(connection)
    expect(recorded).toMatchObject({ sent: 0, heads: [], body: '', errors: [expect.any(StaleConnection)] })
    expect(origin.requests()).toBe(1)
  })

  it('end the connection even if they are the empty line that old servers send behind a response', async () => {
    const origin = await startRawOrigin(`${OK}\r\n`)
    const { connection } = open(origin.port)
    expect((await ask(connection)).body).toBe('ok')
    expect(connection.isDone).toBe(true)
  })
})

describe('a request', () => {
  it('with a body is sent as one head, followed by the bytes of the body as they arrive', async () => {
    const origin = await startRawOrigin(() => {})
    const { connection } = open(origin.port)
    const { client, body } = bodyOf()
    const recorded = send(connection, { method: 'POST', fields: ['Host', 'a', 'Content-Length', '10'], body })
    await until(() => recorded.sent === 1)
    client.write('first')
    await until(() => seenBy(origin).endsWith('first'))
    client.end('other')
    await until(() => seenBy(origin).endsWith('firstother'))
    expect(seenBy(origin)).toBe(
      'POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\nConnection: keep-alive\r\n\r\nfirstother',
    )
    socketOf(origin).write(OK)
    await until(() => recorded.isOver)
    expect(recorded.body).toBe('ok')
    expect(connection.isDone).toBe(false)
  })

  it('with a chunked body ends with its trailers', async () => {
    const origin = await startRawOrigin(() => {})
    const { connection } = open(origin.port)
    const { client, body } = bodyOf()
    const trailers = () => [['X-Sum', '1'] as const, ['X-More', '2'] as const]
    const recorded = send(connection, { method: 'POST', body, isChunked: true, trailers })
    client.write('hello')
    await until(() => seenBy(origin).endsWith('\r\nhello\r\n'))
    client.end('0123456789abcdef')
    await until(() => seenBy(origin).endsWith('\r\n\r\n'))
    expect(seenBy(origin)).toBe(
      'POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nConnection: keep-alive\r\n\r\n' +
        '5\r\nhello\r\n10\r\n0123456789abcdef\r\n0\r\nX-Sum: 1\r\nX-More: 2\r\n\r\n',
    )
    socketOf(origin).write(OK)
    await until(() => recorded.isOver)
    expect(connection.isDone).toBe(false)
  })

  it('with a chunked body of no bytes has an empty body', async () => {
    const origin = await startRawOrigin()
    const { connection } = open(origin.port)
    const { client, body } = bodyOf()
    client.end()
    expect((await ask(connection, { method: 'POST', body, isChunked: true })).body).toBe('ok')
    expect(seenBy(origin)).toMatch(/\r\n\r\n0\r\n\r\n$/)
  })

  it('with Expect: 100-continue is sent without its body, which follows after the interim response', async () => {
    const origin = await startRawOrigin(() => {})
    const { connection } = open(origin.port)
    const { client, body } = bodyOf()
    body.isHeldBack = true
    const fields = ['Host', 'a', 'Content-Length', '5', 'Expect', '100-continue']
    const recorded = send(connection, { method: 'POST', fields, body })
    await until(() => origin.requests() === 1)
    socketOf(origin).write('HTTP/1.1 100 Continue\r\n\r\n')
    await until(() => recorded.heads.length === 1)
    client.end('hello')
    await until(() => seenBy(origin).endsWith('\r\n\r\nhello'))
    socketOf(origin).write(OK)
    await until(() => recorded.isOver)
    expect(recorded.heads.map(({ status }) => status)).toEqual([100, 200])
    expect(connection.isDone).toBe(false)
    expect((await ask2(connection, origin)).body).toBe('ok')
  })

  it('whose response comes before the end of its body leaves a connection that is not reusable', async () => {
    const origin = await startRawOrigin()
    const { connection } = open(origin.port)
    const { client, body } = bodyOf()
    client.write('half')
    const fields = ['Host', 'a', 'Content-Length', '8']
    const recorded = await ask(connection, { method: 'POST', fields, body })
    expect(recorded).toMatchObject({ body: 'ok', ends: 1, errors: [] })
    expect(connection.isDone).toBe(true)
    await until(() => origin.connections[0]?.isClosed === true)
    client.end('rest')
    await betweenLooks()
    expect(seenBy(origin)).toMatch(/\r\n\r\nhalf$/)
  })

  it('is sent no faster than the upstream reads', async () => {
    const origin = await startRawOrigin((socket) => void socket.pause())
    const { connection } = open(origin.port)
    const { client, body } = bodyOf()
    const fields = ['Host', 'a', 'Content-Length', String(64 * MIB)]
    const recorded = send(connection, { method: 'POST', fields, body })
    const piece = Buffer.alloc(64 * 1024, 'x')
    let written = 0
    const pour = () => {
      while (written < 64 * MIB) {
        written += piece.length
        if (!client.write(piece)) return void client.once('drain', pour)
      }
      client.end()
    }
    pour()
    await until(() => body.isPaused())
    expect(written).toBeLessThan(64 * MIB)
    let received = 0
    socketOf(origin).removeAllListeners('data')
    socketOf(origin).on('data', (chunk) => {
      received += chunk.length
    })
    socketOf(origin).resume()
    await until(() => received >= 64 * MIB - MIB && client.complete)
    socketOf(origin).write(OK)
    await until(() => recorded.isOver)
    expect(recorded.errors).toEqual([])
  })

  it('leaves no listener of its body on the connection', async () => {
    const origin = await startRawOrigin()
    const { connection } = open(origin.port)
    const warnings: Error[] = []
    const onWarning = (warning: Error) => void warnings.push(warning)
    process.on('warning', onWarning)
    whenOver(() => process.off('warning', onWarning))
    for (let i = 0; i < 15; i++) {
      const { client, body } = bodyOf()
      client.end('hello')
      const fields = ['Host', 'a', 'Content-Length', '5']
      expect((await ask(connection, { method: 'POST', fields, body })).body).toBe('ok')
      await until(() => body.closed)
    }
    await betweenLooks()
    expect(origin.connections).toHaveLength(1)
    expect(warnings).toEqual([])
  })

  it('whose body fails ends the connection with the reason, and the upstream never gets the end of the body', async () => {
    const origin = await startRawOrigin(() => {})
    const { connection } = open(origin.port)
    const { client, body } = bodyOf(10)
    const recorded = send(connection, { method: 'POST', body, isChunked: true })
    client.write('hello')
    await until(() => seenBy(origin).endsWith('hello\r\n'))
    client.write('and too much')
    await until(() => recorded.isOver)
    expect(recorded.errors).toMatchObject([{ failure: 'body-too-large' }])
    await until(() => origin.connections[0]?.isClosed === true)
    expect(seenBy(origin)).not.toContain('\r\n0\r\n')
  })

  it.each(['\r\nX-Forged: 1', '\n', '\r', '\0', '\x7f', '\u010a', '\u{1f600}'])(
    'with the field value %j is not sent at all',
    async (bad) => {
      const origin = await startRawOrigin()
      const { connection } = open(origin.port)
      const recorded = await ask(connection, { fields: ['Host', 'a', 'X-Value', `a${bad}b`] })
      expect(recorded.errors).toEqual([expect.any(UnsafeFieldError)])
      expect(recorded.heads).toEqual([])
      expect(connection.isDone).toBe(true)
      expect(origin.requests()).toBe(0)
    },
  )

  it('whose trailer would begin another field is cut before its end', async () => {
    const origin = await startRawOrigin(() => {})
    const { connection } = open(origin.port)
    const { client, body } = bodyOf()
    const recorded = send(connection, {
      method: 'POST',
      body,
      isChunked: true,
      trailers: () => [['X-Sum', '1\r\nX-Forged: 1']],
    })
    client.end('hello')
    await until(() => recorded.isOver)
    expect(recorded.errors).toEqual([expect.any(UnsafeFieldError)])
    await until(() => origin.connections.every(({ isClosed }) => isClosed))
    expect(seenBy(origin)).not.toContain('\r\n0\r\n')
  })
})

/** Sends one more request and responds to it. */
async function ask2(connection: Connection, origin: RawOrigin): Promise<Recorded> {
  const earlierRequests = origin.requests()
  const recorded = send(connection)
  await until(() => origin.requests() > earlierRequests)
  socketOf(origin).write(OK)
  await until(() => recorded.isOver)
  return recorded
}

describe('a request that is aborted', () => {
  it('before the connection is open is never sent', async () => {
    const origin = await startRawOrigin()
    const { connection } = open(origin.port)
    const recorded = send(connection)
    connection.abort(new Error('gone'))
    expect(recorded).toMatchObject({ sent: 0, errors: [{ message: 'gone' }] })
    expect((await ask(open(origin.port).connection)).body).toBe('ok')
    expect(origin.requests()).toBe(1)
  })

  it('in the turn before it would be written is never sent', async () => {
    const origin = await startRawOrigin()
    const { connection, idleClosed } = open(origin.port)
    await ask(connection)
    const recorded = send(connection)
    connection.abort(new Error('gone'))
    await until(() => origin.connections[0]?.isClosed === true)
    expect(recorded).toMatchObject({ sent: 0, errors: [{ message: 'gone' }] })
    expect(idleClosed).toEqual([])
    expect(origin.requests()).toBe(1)
  })

  it('by its handler in onSent is never sent', async () => {
    const origin = await startRawOrigin()
    const { connection } = open(origin.port)
    const recorder = createRecorder({ onSent: () => connection.abort(new Error('gone')) })
    send(connection, {}, recorder)
    await until(() => recorder.recorded.isOver)
    expect((await ask(open(origin.port).connection)).body).toBe('ok')
    expect(recorder.recorded.errors).toMatchObject([{ message: 'gone' }])
    expect(origin.requests()).toBe(1)
  })

  it('by its handler in onSent leaves its body complete', async () => {
    const origin = await startRawOrigin(() => {})
    const { connection } = open(origin.port)
    const { client, body } = bodyOf()
    const recorder = createRecorder({ onSent: () => connection.abort(new Error('gone')) })
    const request = { method: 'POST', fields: ['Host', 'a', 'Content-Length', '5'], body }
    send(connection, request, recorder)
    await until(() => recorder.recorded.isOver)
    client.write('hel')
    await betweenLooks()
    await until(() => origin.connections[0]?.isClosed === true)
    send(open(origin.port).connection, request)
    client.end('lo')
    await until(() => seenBy(origin, 1).endsWith('\r\n\r\nhello'))
  })

  it('by close() gets no further call', async () => {
    const origin = await startRawOrigin('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok')
    const { connection, idleClosed } = open(origin.port)
    const recorder = createRecorder({ onHead: () => connection.close() })
    send(connection, {}, recorder)
    await until(() => origin.connections[0]?.isClosed === true)
    await betweenLooks()
    expect(recorder.recorded).toMatchObject({ sent: 1, body: '', ends: 0, errors: [] })
    expect(idleClosed).toEqual([])
  })

  it('in the middle of its body sends no more of it, and its connection closes', async () => {
    const origin = await startRawOrigin(() => {})
    const { connection } = open(origin.port)
    const { client, body } = bodyOf()
    const recorded = send(connection, { method: 'POST', body, isChunked: true })
    client.write('hello')
    await until(() => seenBy(origin).endsWith('hello\r\n'))
    connection.abort(new Error('gone'))
    client.end('more')
    await until(() => origin.connections[0]?.isClosed === true)
    expect(recorded.errors).toMatchObject([{ message: 'gone' }])
    expect(seenBy(origin)).toMatch(/\r\n5\r\nhello\r\n$/)
  })

  it('in the middle of its response gets no more of it', async () => {
    const origin = await startRawOrigin(
      'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n1\r\nb\r\n1\r\nc\r\n',
    )
    const { connection } = open(origin.port)
    const receivedPieces: string[] = []
    const recorder = createRecorder({
      onBody: (bytes, start, end) => {
        receivedPieces.push(bytes.toString('latin1', start, end))
        connection.abort(new Error('gone'))
        return true
      },
    })
    send(connection, {}, recorder)
    await until(() => origin.connections[0]?.isClosed === true)
    expect(receivedPieces).toEqual(['a'])
    expect(recorder.recorded).toMatchObject({ ends: 0, errors: [{ message: 'gone' }] })
  })

  it('while its response is paused gets one error, and its connection closes', async () => {
    const origin = await startRawOrigin('HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello')
    const { connection } = open(origin.port)
    const recorder = createRecorder({
      onHead: () => connection.pause(),
    })
    send(connection, {}, recorder)
    await until(() => origin.requests() === 1)
    connection.abort(new Error('gone'))
    await until(() => origin.connections[0]?.isClosed === true)
    expect(recorder.recorded.errors).toMatchObject([{ message: 'gone' }])
  })
})

describe('a response on a connection', () => {
  it('is passed on with its informational responses and its trailers', async () => {
    const origin = await startRawOrigin(
      'HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 102 Processing\r\n\r\n' +
        'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nX-Sum: 1\r\nX-Sum: 2\r\n\r\n',
    )
    const { connection } = open(origin.port)
    const recorded = await ask(connection)
    expect(recorded.heads).toEqual([
      { status: 103, reason: 'Early Hints', fields: ['Link', '</a>'] },
      { status: 102, reason: 'Processing', fields: [] },
      { status: 200, reason: 'OK', fields: ['Transfer-Encoding', 'chunked'] },
    ])
    expect(recorded).toMatchObject({ body: 'ok', ends: 1, trailers: ['X-Sum', '1', 'X-Sum', '2'] })
    expect(connection.isDone).toBe(false)
  })

  it('to HEAD has no body, and the next response belongs to the next request', async () => {
    const origin = await startRawOrigin((socket, _seen, number) => {
      socket.write(number === 1 ? 'HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n' : OK)
    })
    const { connection } = open(origin.port)
    expect(await ask(connection, { method: 'HEAD' })).toMatchObject({ heads: [{ status: 200 }], body: '', ends: 1 })
    expect(await ask(connection)).toMatchObject({ body: 'ok', ends: 1 })
    expect(origin.connections).toHaveLength(1)
  })

  it.each([
    ['that is not HTTP', 'SSH-2.0-x\r\n\r\n'],
    ['whose chunk is broken', 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\nzz\r\n'],
  ])('%s is an error, and the connection closes', async (_, bytes) => {
    const origin = await startRawOrigin(bytes)
    const { connection, idleClosed } = open(origin.port)
    const recorded = await ask(connection)
    expect(recorded).toMatchObject({ ends: 0, errors: [expect.any(ResponseError)] })
    expect(connection.isDone).toBe(true)
    expect(idleClosed).toEqual([])
    await until(() => origin.connections[0]?.isClosed === true)
  })

  it.each<[string, (socket: Socket) => void]>([
    ['ended', (socket) => void socket.end()],
    ['reset', (socket) => void socket.resetAndDestroy()],
  ])('that is %s halfway ends with an error', async (_, die) => {
    const origin = await startRawOrigin('HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf')
    const { connection } = open(origin.port)
    const recorded = send(connection)
    await until(() => recorded.body === 'half')
    die(socketOf(origin))
    await until(() => recorded.isOver)
    expect(recorded).toMatchObject({ ends: 0, errors: [expect.any(Error)] })
    await betweenLooks()
    expect(recorded.errors).toHaveLength(1)
  })

  it('whose handler fails in onEnd is reported to onError', async () => {
    const origin = await startRawOrigin()
    const { connection } = open(origin.port)
    const recorder = createRecorder({
      onEnd: () => {
        throw new Error('a trailer that cannot be written')
      },
    })
    send(connection, {}, recorder)
    await until(() => recorder.recorded.isOver)
    expect(recorder.recorded.errors).toMatchObject([{ message: 'a trailer that cannot be written' }])
  })

  it('whose handler fails in onBody ends the connection', async () => {
    const origin = await startRawOrigin()
    const { connection } = open(origin.port)
    const recorder = createRecorder({
      onHead: () => {
        throw new Error('a field that cannot be written')
      },
    })
    send(connection, {}, recorder)
    await until(() => recorder.recorded.isOver)
    expect(recorder.recorded).toMatchObject({
      body: '',
      ends: 0,
      errors: [{ message: 'a field that cannot be written' }],
    })
    expect(connection.isDone).toBe(true)
  })

  it('that ends while it is paused does not leave the connection paused', async () => {
    const origin = await startRawOrigin()
    const { connection } = open(origin.port)
    const recorder = createRecorder({
      onBody: () => {
        connection.pause()
        return true
      },
    })
    send(connection, {}, recorder)
    await until(() => recorder.recorded.ends === 1)
    expect((await ask(connection)).body).toBe('ok')
    expect(origin.connections).toHaveLength(1)
  })

  it('reports for how long the connection may stay idle', async () => {
    const origin = await startRawOrigin('HTTP/1.1 200 OK\r\nKeep-Alive: timeout=7\r\nContent-Length: 0\r\n\r\n')
    const { connection } = open(origin.port)
    await ask(connection)
    expect(connection.keepAliveHint).toBe(7)
  })
})

describe('the buffer of a connection', () => {
  const SIZE = 20 * MIB
  const noise = (seed: number) =>
    createCipheriv('aes-128-ctr', Buffer.alloc(16, seed), Buffer.alloc(16)).update(Buffer.alloc(SIZE))
  const hashOf = (bytes: Buffer) => createHash('sha256').update(bytes).digest('hex')

  /** Responds to `/1` with one body and `/2` with another: by length, or in chunks of all sizes. */
  const script =
    (isChunked: boolean): Script =>
    (socket, seen) => {
      const bytes = noise(seen.includes('GET /1 ') ? 1 : 2)
      if (!isChunked) {
        socket.write(`HTTP/1.1 200 OK\r\nContent-Length: ${SIZE}\r\n\r\n`)
        socket.write(bytes)
        return
      }
      socket.write('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n')
      for (let offset = 0, size = 1; offset < SIZE; offset += size, size = (size * 7 + 13) % 150_000) {
        const piece = bytes.subarray(offset, offset + size)
        socket.write(`${piece.length.toString(16)}\r\n`)
        socket.write(piece)
        socket.write('\r\n')
      }
      socket.write('0\r\n\r\n')
    }

  /** Keeps the buffers it owns, as a full socket does, and reads them only after bytes have come on other connections. */
  function slowReader(connection: Connection) {
    const hash = createHash('sha256')
    let keptPieces: Buffer[] = []
    let turns = 0
    let most = 0
    const read = () => {
      for (const piece of keptPieces) hash.update(piece)
      keptPieces = []
      connection.resume()
    }
    const recorder = createRecorder({
      onBody: (bytes, start, end) => {
        // Some pieces are taken at once, as when the system takes all of a piece; but nothing overtakes the pieces that are kept.
        if (keptPieces.length === 0 && (end - start) % 3 === 0) {
          hash.update(bytes.subarray(start, end))
          return true
        }
        keptPieces.push(bytes.subarray(start, end))
        most = Math.max(most, keptPieces.length)
        if (keptPieces.length >= 3) {
          connection.pause()
          turns++
          setImmediate(() => setImmediate(read))
        }
        return false
      },
    })
    return {
      ...recorder,
      digest: () => {
        read()
        return hash.digest('hex')
      },
      turns: () => turns,
      most: () => most,
    }
  }

  it.each([
    ['by length', false],
    ['in chunks', true],
  ])('%s: passes 20 MiB unchanged to each of two slow readers whose connections take turns', async (_, chunked) => {
    const origin = await startRawOrigin(script(chunked))
    const [first, second] = [open(origin.port).connection, open(origin.port).connection]
    const readers = [slowReader(first), slowReader(second)] as const
    send(first, { path: '/1' }, readers[0])
    send(second, { path: '/2' }, readers[1])
    await until(() => readers.every(({ recorded }) => recorded.isOver))
    expect(readers.map(({ recorded }) => recorded.errors)).toEqual([[], []])
    expect(readers.map(({ digest }) => digest())).toEqual([hashOf(noise(1)), hashOf(noise(2))])
    for (const { turns } of readers) expect(turns()).toBeGreaterThan(10)
  })

  it('gets no more bytes while the reader is paused', async () => {
    const origin = await startRawOrigin(script(false))
    const { connection } = open(origin.port)
    let bytes = 0
    const recorder = createRecorder({
      onBody: (_bytes, start, end) => {
        bytes += end - start
        connection.pause()
        return true
      },
    })
    send(connection, { path: '/1' }, recorder)
    for (let reads = 1; reads <= 20; reads++) {
      await until(() => bytes > 0)
      expect(bytes).toBeLessThanOrEqual(64 * 1024)
      await betweenLooks()
      await betweenLooks()
      expect(bytes).toBeLessThanOrEqual(64 * 1024)
      bytes = 0
      connection.resume()
    }
  })
})

describe('a connection over TLS', () => {
  const authority = sharedByFile(createAuthority)

  async function startTlsOrigin(answer: (socket: TLSSocket) => void = (socket) => void socket.write(OK)) {
    const sockets: TLSSocket[] = []
    const certificate = await authority().sign('IP:127.0.0.1')
    const server = tls.createServer({ ...certificate, ALPNProtocols: ['http/1.1'] }, (socket) => {
      sockets.push(socket)
      socket.on('error', () => {})
      socket.on('data', () => answer(socket))
    })
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    whenOver(() => {
      for (const socket of sockets) socket.destroy()
      server.close()
    })
    const { port } = server.address() as AddressInfo
    return { port, sockets, to: destination(port, { isTls: true, tls: { ca: authority().cert } }) }
  }

  it('carries requests and responses as a plain connection does, and is reusable', async () => {
    const origin = await startTlsOrigin()
    const { connection } = open(origin.port, origin.to)
    for (let i = 0; i < 3; i++) expect((await ask(connection)).body).toBe('ok')
    expect(origin.sockets).toHaveLength(1)
    expect(origin.sockets[0]?.alpnProtocol).toBe('http/1.1')
  })

  it('resumes the session of the last connection', async () => {
    const origin = await startTlsOrigin()
    for (let i = 0; i < 3; i++) {
      const { connection } = open(origin.port, origin.to)
      expect((await ask(connection)).body).toBe('ok')
      await until(() => origin.to.session !== undefined)
    }
    expect(origin.sockets.map((socket) => socket.isSessionReused())).toEqual([false, true, true])
  })

  it('reports an error for an untrusted certificate, and nothing was sent', async () => {
    const origin = await startTlsOrigin()
    const recorded = await ask(open(origin.port, { isTls: true }).connection)
    expect(recorded).toMatchObject({ sent: 0, errors: [{ code: 'UNABLE_TO_VERIFY_LEAF_SIGNATURE' }] })
  })

  it('ends when bytes without a request arrive', async () => {
    const origin = await startTlsOrigin()
    const { connection, idleClosed } = open(origin.port, origin.to)
    await ask(connection)
    origin.sockets[0]?.write(OK)
    await until(() => idleClosed.length > 0)
    expect(connection.isDone).toBe(true)
  })

  it('reports that the upstream has closed it while it was idle', async () => {
    const origin = await startTlsOrigin()
    const { connection, idleClosed } = open(origin.port, origin.to)
    await ask(connection)
    origin.sockets[0]?.end()
    await until(() => idleClosed.length > 0)
    expect(connection.isDone).toBe(true)
  })

  it('does not overwrite the bytes that a handler keeps, and passes nothing to a paused reader', async () => {
    const bytes = createCipheriv('aes-128-ctr', Buffer.alloc(16, 3), Buffer.alloc(16)).update(Buffer.alloc(4 * MIB))
    const origin = await startTlsOrigin((socket) => {
      socket.write(`HTTP/1.1 200 OK\r\nContent-Length: ${bytes.length}\r\n\r\n`)
      socket.write(bytes)
    })
    const { connection } = open(origin.port, origin.to)
    const keptPieces: Buffer[] = []
    let isPaused = false
    let whilePaused = 0
    const recorder = createRecorder({
      onBody: (piece, start, end) => {
        if (isPaused) whilePaused++
        keptPieces.push(piece.subarray(start, end))
        isPaused = true
        connection.pause()
        setImmediate(() =>
          setImmediate(() => {
            isPaused = false
            connection.resume()
          }),
        )
        return false
      },
    })
    send(connection, {}, recorder)
    await until(() => recorder.recorded.isOver)
    expect(recorder.recorded.errors).toEqual([])
    expect(Buffer.concat(keptPieces).equals(bytes)).toBe(true)
    expect(whilePaused).toBe(0)
  })
})
