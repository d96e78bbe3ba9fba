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

/** What a handler was told. */
type Heard = {
  sent: number
  readonly heads: { status: number; reason: string; fields: string[] }[]
  body: string
  ends: number
  trailers: readonly string[]
  readonly errors: Error[]
  isOver: boolean
}

type Listener = { readonly heard: Heard; readonly handler: ResponseHandler }

function listener(more: Partial<ResponseHandler> = {}): Listener {
  const heard: Heard = { sent: 0, heads: [], body: '', ends: 0, trailers: [], errors: [], isOver: false }
  const handler: ResponseHandler = {
    onSent: () => void heard.sent++,
    onHead: (status, reason, fields) => void heard.heads.push({ status, reason, fields }),
    onBody: (bytes, start, end) => {
      heard.body += bytes.toString('latin1', start, end)
      return true
    },
    onEnd: (trailers) => {
      heard.ends++
      heard.trailers = trailers
      heard.isOver = true
    },
    onError: (error) => {
      heard.errors.push(error)
      heard.isOver = true
    },
    ...more,
  }
  return { heard, handler }
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

function send(connection: Connection, request: Partial<UpstreamRequest> = {}, told = listener()): Heard {
  connection.send({ ...GET, ...request }, told.handler)
  return told.heard
}

async function ask(connection: Connection, request: Partial<UpstreamRequest> = {}): Promise<Heard> {
  const heard = send(connection, request)
  await until(() => heard.isOver)
  return heard
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

const socketOf = (origin: RawOrigin, at = 0) => origin.connections[at]?.socket as Socket
const seenBy = (origin: RawOrigin, at = 0) => origin.connections[at]?.bytes.toString('latin1') ?? ''

/** Behind this, what is done at once is seen by the next look at the sockets, and not by one that is under way. */
const betweenLooks = () => new Promise((resolve) => setImmediate(resolve))

describe('a connection', () => {
  it('carries one request after the other', async () => {
    const origin = await startRawOrigin()
    const { connection, idleClosed } = open(origin.port)
    for (let i = 1; i <= 5; i++) {
      const heard = await ask(connection, { path: `/${i}` })
      expect(heard).toMatchObject({ sent: 1, heads: [{ status: 200, reason: 'OK' }], body: 'ok', ends: 1, errors: [] })
    }
    expect(connection.isDone).toBe(false)
    expect(idleClosed).toEqual([])
    expect(origin.connections).toHaveLength(1)
    expect(origin.heads()).toHaveLength(5)
    expect(origin.heads()[4]).toBe('GET /5 HTTP/1.1\r\nHost: a\r\nConnection: keep-alive\r\n\r\n')
  })

  it('is not used again by a request that forbids it, and says so', async () => {
    const origin = await startRawOrigin()
    const { connection } = open(origin.port)
    expect((await ask(connection, { mayBeReused: false })).body).toBe('ok')
    expect(connection.isDone).toBe(true)
    expect(seenBy(origin)).toContain('\r\nConnection: close\r\n')
  })

  it('is not used again when the response says that it ends', async () => {
    const origin = await startRawOrigin('HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok')
    const { connection } = open(origin.port)
    expect((await ask(connection)).body).toBe('ok')
    expect(connection.isDone).toBe(true)
  })

  it('is not used again when its end came with the answer', async () => {
    const origin = await startRawOrigin((socket) => void socket.end('HTTP/1.1 200 OK\r\n\r\nto the end'))
    const { connection, idleClosed } = open(origin.port)
    expect(await ask(connection)).toMatchObject({ body: 'to the end', ends: 1, errors: [] })
    expect(connection.isDone).toBe(true)
    expect(idleClosed).toEqual([])
  })

  it('is not used again when there were bytes behind the answer, and they are nobody’s', async () => {
    const forged = 'HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nforged'
    const origin = await startRawOrigin(`${OK}${forged}`)
    const { connection } = open(origin.port)
    expect(await ask(connection)).toMatchObject({ heads: [{ status: 200 }], body: 'ok', ends: 1 })
    expect(connection.isDone).toBe(true)
    await until(() => origin.connections[0]?.isClosed === true)
  })

  it('tells of its end while it is idle, once', async () => {
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

  it('tells nobody when it is we who close it', async () => {
    const origin = await startRawOrigin()
    const { connection, idleClosed } = open(origin.port)
    await ask(connection)
    connection.close()
    await until(() => origin.connections[0]?.isClosed === true)
    await betweenLooks()
    expect(idleClosed).toEqual([])
  })

  it('that cannot be made is an error, before anything was sent', async () => {
    const heard = await ask(open(1).connection)
    expect(heard).toMatchObject({ sent: 0, ends: 0, errors: [{ code: 'ECONNREFUSED' }] })
  })
})

describe('a connection that the other side closed before anything was written', () => {
  it('is stale, and nothing of the request has gone out', async () => {
    const origin = await startRawOrigin()
    const { connection, idleClosed } = open(origin.port)
    await ask(connection)
    await betweenLooks()
    socketOf(origin).destroy()
    const heard = await ask(connection, { method: 'POST' })
    expect(heard.errors).toEqual([expect.any(StaleConnection)])
    expect(heard.sent).toBe(0)
    expect(idleClosed).toEqual([])
    expect(origin.requests()).toBe(1)
  })

  it('by a reset is stale as well', async () => {
    const origin = await startRawOrigin()
    const { connection } = open(origin.port)
    await ask(connection)
    await betweenLooks()
    socketOf(origin).resetAndDestroy()
    expect((await ask(connection)).errors).toEqual([expect.any(StaleConnection)])
  })

  it('is lost, and not stale, once the request is out', async () => {
    const origin = await startRawOrigin((socket, _seen, number) =>
      number === 1 ? void socket.write(OK) : void socket.destroy(),
    )
    const { connection } = open(origin.port)
    await ask(connection)
    const heard = await ask(connection)
    expect(heard).toMatchObject({ sent: 1, errors: [expect.any(Error)] })
    expect(heard.errors[0]).not.toBeInstanceOf(StaleConnection)
    expect(origin.requests()).toBe(2)
  })

  it('is lost as soon as it was made: whoever closes at once gets no storm', async () => {
    const origin = await startRawOrigin((socket) => void socket.destroy())
    const heard = await ask(open(origin.port).connection)
    expect(heard.errors[0]).not.toBeInstanceOf(StaleConnection)
  })
})

describe('a request whose body has not come yet', () => {
  const fields = ['Host', 'a', 'Content-Length', '5']
  const waiting = async () => {
    const origin = await startRawOrigin()
    const { connection } = open(origin.port)
    await ask(connection)
    const { client, body } = bodyOf()
    const heard = send(connection, { method: 'POST', fields, body })
    await until(() => seenBy(origin).includes('POST'))
    return { origin, client, body, heard }
  }

  const waitingWithoutResponse = async () => {
    const origin = await startRawOrigin(() => {})
    const { client, body } = bodyOf()
    const heard = send(open(origin.port).connection, { method: 'POST', fields, body })
    await until(() => seenBy(origin).includes('POST'))
    return { origin, client, heard }
  }

  it('is lost, not stale, when the other side closes behind its head, which it may have acted upon', async () => {
    const origin = await startRawOrigin(
      (socket, _, number) => void (number === 1 ? socket.write(OK) : socket.destroy()),
    )
    const { connection } = open(origin.port)
    await ask(connection)
    const { body } = bodyOf()
    const heard = send(connection, { method: 'POST', fields, body })
    await until(() => heard.isOver)
    expect(heard.heads).toEqual([])
    expect(heard.errors[0]).not.toBeInstanceOf(StaleConnection)
  })

  it('gets the response that arrived before a reset, though the next write of its body fails first', async () => {
    const { origin, client, heard } = await waitingWithoutResponse()
    socketOf(origin).write(OK)
    socketOf(origin).resetAndDestroy()
    // In the same turn: the write meets the reset before anything was read.
    client.write('hel')
    await until(() => heard.isOver)
    expect(heard).toMatchObject({ heads: [{ status: 200 }], body: 'ok', errors: [] })
  })

  it('ends its connection when it is answered, and the rest of its body stays out', async () => {
    const { origin, client, heard } = await waiting()
    await until(() => heard.isOver)
    expect(heard).toMatchObject({ heads: [{ status: 200 }], body: 'ok', errors: [] })
    client.write('hello')
    await until(() => origin.connections[0]?.isClosed === true)
    expect(seenBy(origin)).toMatch(/\r\n\r\n$/)
  })

  it('finds its connection stale when that was closed before its head went out, and its body whole for the next', async () => {
    const origin = await startRawOrigin()
    const { connection } = open(origin.port)
    await ask(connection)
    await betweenLooks()
    socketOf(origin).destroy()
    const { client, body } = bodyOf()
    const heard = send(connection, { method: 'POST', fields, body })
    await until(() => heard.isOver)
    expect(heard.errors).toEqual([expect.any(StaleConnection)])
    client.write('hel')
    await betweenLooks()
    const again = send(open(origin.port).connection, { method: 'POST', fields, body })
    client.end('lo')
    await until(() => again.isOver && seenBy(origin, 1).includes('POST'))
    expect(again).toMatchObject({ body: 'ok', errors: [] })
    expect(seenBy(origin, 0)).not.toContain('POST')
  })
})

describe('bytes that nobody asked for', () => {
  const FORGED = 'HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nforged'

  it('on an idle connection end it', async () => {
    const origin = await startRawOrigin()
    const { connection, idleClosed } = open(origin.port)
    await ask(connection)
    socketOf(origin).write(FORGED)
    await until(() => idleClosed.length > 0)
    expect(connection.isDone).toBe(true)
    await until(() => origin.connections[0]?.isClosed === true)
  })

  it('are never the answer to the request that is about to go out: it finds the connection stale', async () => {
    // Without delay: or the system holds the bytes back until the answer before them is acknowledged.
    const origin = await startRawOrigin((socket) => void socket.setNoDelay().write(OK))
    const { connection } = open(origin.port)
    await ask(connection)
    await betweenLooks()
    socketOf(origin).write(FORGED)
    const heard = await ask(connection)
    expect(heard).toMatchObject({ sent: 0, heads: [], body: '', errors: [expect.any(StaleConnection)] })
    expect(origin.requests()).toBe(1)
  })

  it('are none: an empty line behind an answer, as old servers send it, ends the connection too', async () => {
    const origin = await startRawOrigin(`${OK}\r\n`)
    const { connection } = open(origin.port)
    expect((await ask(connection)).body).toBe('ok')
    expect(connection.isDone).toBe(true)
  })
})

describe('a request', () => {
  it('with a body goes out as one head, and its body as it comes', async () => {
    const origin = await startRawOrigin(() => {})
    const { connection } = open(origin.port)
    const { client, body } = bodyOf()
    const heard = send(connection, { method: 'POST', fields: ['Host', 'a', 'Content-Length', '10'], body })
    await until(() => heard.sent === 1)
    client.write('first')
    await until(() => seenBy(origin).endsWith('first'))
    client.end('other')
    await until(() => seenBy(origin).endsWith('firstother'))
    expect(seenBy(origin)).toBe(
      'POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\nConnection: keep-alive\r\n\r\nfirstother',
    )
    socketOf(origin).write(OK)
    await until(() => heard.isOver)
    expect(heard.body).toBe('ok')
    expect(connection.isDone).toBe(false)
  })

  it('in chunks ends with its trailers', async () => {
    const origin = await startRawOrigin(() => {})
    const { connection } = open(origin.port)
    const { client, body } = bodyOf()
    const trailers = () => [['X-Sum', '1'] as const, ['X-More', '2'] as const]
    const heard = send(connection, { method: 'POST', body, isChunked: true, trailers })
    client.write('hello')
    await until(() => seenBy(origin).endsWith('\r\nhello\r\n'))
    client.end('0123456789abcdef')
    await until(() => seenBy(origin).endsWith('\r\n\r\n'))
    expect(seenBy(origin)).toBe(
      'POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nConnection: keep-alive\r\n\r\n' +
        '5\r\nhello\r\n10\r\n0123456789abcdef\r\n0\r\nX-Sum: 1\r\nX-More: 2\r\n\r\n',
    )
    socketOf(origin).write(OK)
    await until(() => heard.isOver)
    expect(connection.isDone).toBe(false)
  })

  it('in chunks that has no bytes after all is an empty body', async () => {
    const origin = await startRawOrigin()
    const { connection } = open(origin.port)
    const { client, body } = bodyOf()
    client.end()
    expect((await ask(connection, { method: 'POST', body, isChunked: true })).body).toBe('ok')
    expect(seenBy(origin)).toMatch(/\r\n\r\n0\r\n\r\n$/)
  })

  it('whose body waits for the word goes out with its head alone, and goes on when it is told', async () => {
    const origin = await startRawOrigin(() => {})
    const { connection } = open(origin.port)
    const { client, body } = bodyOf()
    body.isHeldBack = true
    const fields = ['Host', 'a', 'Content-Length', '5', 'Expect', '100-continue']
    const heard = send(connection, { method: 'POST', fields, body })
    await until(() => origin.requests() === 1)
    socketOf(origin).write('HTTP/1.1 100 Continue\r\n\r\n')
    await until(() => heard.heads.length === 1)
    client.end('hello')
    await until(() => seenBy(origin).endsWith('\r\n\r\nhello'))
    socketOf(origin).write(OK)
    await until(() => heard.isOver)
    expect(heard.heads.map(({ status }) => status)).toEqual([100, 200])
    expect(connection.isDone).toBe(false)
    expect((await ask2(connection, origin)).body).toBe('ok')
  })

  it('whose answer comes before its body has ended leaves a connection that nobody uses again', async () => {
    const origin = await startRawOrigin()
    const { connection } = open(origin.port)
    const { client, body } = bodyOf()
    client.write('half')
    const fields = ['Host', 'a', 'Content-Length', '8']
    const heard = await ask(connection, { method: 'POST', fields, body })
    expect(heard).toMatchObject({ body: 'ok', ends: 1, errors: [] })
    expect(connection.isDone).toBe(true)
    await until(() => origin.connections[0]?.isClosed === true)
    client.end('rest')
    await betweenLooks()
    expect(seenBy(origin)).toMatch(/\r\n\r\nhalf$/)
  })

  it('is sent no faster than the other side reads', async () => {
    const origin = await startRawOrigin((socket) => void socket.pause())
    const { connection } = open(origin.port)
    const { client, body } = bodyOf()
    const fields = ['Host', 'a', 'Content-Length', String(64 * MIB)]
    const heard = send(connection, { method: 'POST', fields, body })
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
    await until(() => heard.isOver)
    expect(heard.errors).toEqual([])
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

  it('whose body breaks ends the connection with the reason, and the other side never sees its end', async () => {
    const origin = await startRawOrigin(() => {})
    const { connection } = open(origin.port)
    const { client, body } = bodyOf(10)
    const heard = send(connection, { method: 'POST', body, isChunked: true })
    client.write('hello')
    await until(() => seenBy(origin).endsWith('hello\r\n'))
    client.write('and too much')
    await until(() => heard.isOver)
    expect(heard.errors).toMatchObject([{ failure: 'body-too-large' }])
    await until(() => origin.connections[0]?.isClosed === true)
    expect(seenBy(origin)).not.toContain('\r\n0\r\n')
  })

  it.each(['\r\nX-Forged: 1', '\n', '\r', '\0', '\x7f', '\u010a', '\u{1f600}'])(
    'whose field holds %j does not go out at all',
    async (bad) => {
      const origin = await startRawOrigin()
      const { connection } = open(origin.port)
      const heard = await ask(connection, { fields: ['Host', 'a', 'X-Value', `a${bad}b`] })
      expect(heard.errors).toEqual([expect.any(UnsafeFieldError)])
      expect(heard.heads).toEqual([])
      expect(connection.isDone).toBe(true)
      expect(origin.requests()).toBe(0)
    },
  )

  it('whose trailer would begin another field is cut before its end', async () => {
    const origin = await startRawOrigin(() => {})
    const { connection } = open(origin.port)
    const { client, body } = bodyOf()
    const heard = send(connection, {
      method: 'POST',
      body,
      isChunked: true,
      trailers: () => [['X-Sum', '1\r\nX-Forged: 1']],
    })
    client.end('hello')
    await until(() => heard.isOver)
    expect(heard.errors).toEqual([expect.any(UnsafeFieldError)])
    await until(() => origin.connections.every(({ isClosed }) => isClosed))
    expect(seenBy(origin)).not.toContain('\r\n0\r\n')
  })
})

/** One more request, answered by hand. */
async function ask2(connection: Connection, origin: RawOrigin): Promise<Heard> {
  const before = origin.requests()
  const heard = send(connection)
  await until(() => origin.requests() > before)
  socketOf(origin).write(OK)
  await until(() => heard.isOver)
  return heard
}

describe('a request that is given up', () => {
  it('before there is a connection never goes out', async () => {
    const origin = await startRawOrigin()
    const { connection } = open(origin.port)
    const heard = send(connection)
    connection.abort(new Error('gone'))
    expect(heard).toMatchObject({ sent: 0, errors: [{ message: 'gone' }] })
    expect((await ask(open(origin.port).connection)).body).toBe('ok')
    expect(origin.requests()).toBe(1)
  })

  it('in the moment before it would be written never goes out', async () => {
    const origin = await startRawOrigin()
    const { connection, idleClosed } = open(origin.port)
    await ask(connection)
    const heard = send(connection)
    connection.abort(new Error('gone'))
    await until(() => origin.connections[0]?.isClosed === true)
    expect(heard).toMatchObject({ sent: 0, errors: [{ message: 'gone' }] })
    expect(idleClosed).toEqual([])
    expect(origin.requests()).toBe(1)
  })

  it('by its handler when it hears of the connection never goes out', async () => {
    const origin = await startRawOrigin()
    const { connection } = open(origin.port)
    const told = listener({ onSent: () => connection.abort(new Error('gone')) })
    send(connection, {}, told)
    await until(() => told.heard.isOver)
    expect((await ask(open(origin.port).connection)).body).toBe('ok')
    expect(told.heard.errors).toMatchObject([{ message: 'gone' }])
    expect(origin.requests()).toBe(1)
  })

  it('by its handler when it hears of the connection leaves its body whole', async () => {
    const origin = await startRawOrigin(() => {})
    const { connection } = open(origin.port)
    const { client, body } = bodyOf()
    const told = listener({ onSent: () => connection.abort(new Error('gone')) })
    const request = { method: 'POST', fields: ['Host', 'a', 'Content-Length', '5'], body }
    send(connection, request, told)
    await until(() => told.heard.isOver)
    client.write('hel')
    await betweenLooks()
    await until(() => origin.connections[0]?.isClosed === true)
    send(open(origin.port).connection, request)
    client.end('lo')
    await until(() => seenBy(origin, 1).endsWith('\r\n\r\nhello'))
  })

  it('by closing its connection is told nothing more at all', async () => {
    const origin = await startRawOrigin('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok')
    const { connection, idleClosed } = open(origin.port)
    const told = listener({ onHead: () => connection.close() })
    send(connection, {}, told)
    await until(() => origin.connections[0]?.isClosed === true)
    await betweenLooks()
    expect(told.heard).toMatchObject({ sent: 1, body: '', ends: 0, errors: [] })
    expect(idleClosed).toEqual([])
  })

  it('in the middle of its body sends no more of it, and closes', async () => {
    const origin = await startRawOrigin(() => {})
    const { connection } = open(origin.port)
    const { client, body } = bodyOf()
    const heard = send(connection, { method: 'POST', body, isChunked: true })
    client.write('hello')
    await until(() => seenBy(origin).endsWith('hello\r\n'))
    connection.abort(new Error('gone'))
    client.end('more')
    await until(() => origin.connections[0]?.isClosed === true)
    expect(heard.errors).toMatchObject([{ message: 'gone' }])
    expect(seenBy(origin)).toMatch(/\r\n5\r\nhello\r\n$/)
  })

  it('in the middle of its answer hears no more of it', async () => {
    const origin = await startRawOrigin(
      'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n1\r\nb\r\n1\r\nc\r\n',
    )
    const { connection } = open(origin.port)
    const heardBytes: string[] = []
    const told = listener({
      onBody: (bytes, start, end) => {
        heardBytes.push(bytes.toString('latin1', start, end))
        connection.abort(new Error('gone'))
        return true
      },
    })
    send(connection, {}, told)
    await until(() => origin.connections[0]?.isClosed === true)
    expect(heardBytes).toEqual(['a'])
    expect(told.heard).toMatchObject({ ends: 0, errors: [{ message: 'gone' }] })
  })

  it('while its answer is paused is told once, and the connection goes', async () => {
    const origin = await startRawOrigin('HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello')
    const { connection } = open(origin.port)
    const told = listener({
      onHead: () => connection.pause(),
    })
    send(connection, {}, told)
    await until(() => origin.requests() === 1)
    connection.abort(new Error('gone'))
    await until(() => origin.connections[0]?.isClosed === true)
    expect(told.heard.errors).toMatchObject([{ message: 'gone' }])
  })
})

describe('an answer', () => {
  it('comes with what came before it, and with its trailers', async () => {
    const origin = await startRawOrigin(
      'HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 102 Processing\r\n\r\n' +
        'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nX-Sum: 1\r\nX-Sum: 2\r\n\r\n',
    )
    const { connection } = open(origin.port)
    const heard = await ask(connection)
    expect(heard.heads).toEqual([
      { status: 103, reason: 'Early Hints', fields: ['Link', '</a>'] },
      { status: 102, reason: 'Processing', fields: [] },
      { status: 200, reason: 'OK', fields: ['Transfer-Encoding', 'chunked'] },
    ])
    expect(heard).toMatchObject({ body: 'ok', ends: 1, trailers: ['X-Sum', '1', 'X-Sum', '2'] })
    expect(connection.isDone).toBe(false)
  })

  it('to HEAD has no body, and the next answer is the next one’s', async () => {
    const origin = await startRawOrigin((socket, _seen, number) => {
      socket.write(number === 1 ? 'HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n' : OK)
    })
    const { connection } = open(origin.port)
    expect(await ask(connection, { method: 'HEAD' })).toMatchObject({ heads: [{ status: 200 }], body: '', ends: 1 })
    expect(await ask(connection)).toMatchObject({ body: 'ok', ends: 1 })
    expect(origin.connections).toHaveLength(1)
  })

  it.each([
    ['that is none', 'SSH-2.0-x\r\n\r\n'],
    ['whose chunk is broken', 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\nzz\r\n'],
  ])('%s is an error, and the connection goes', async (_, bytes) => {
    const origin = await startRawOrigin(bytes)
    const { connection, idleClosed } = open(origin.port)
    const heard = await ask(connection)
    expect(heard).toMatchObject({ ends: 0, errors: [expect.any(ResponseError)] })
    expect(connection.isDone).toBe(true)
    expect(idleClosed).toEqual([])
    await until(() => origin.connections[0]?.isClosed === true)
  })

  it.each<[string, (socket: Socket) => void]>([
    ['ended', (socket) => void socket.end()],
    ['reset', (socket) => void socket.resetAndDestroy()],
  ])('that is %s halfway is an error, and no end', async (_, die) => {
    const origin = await startRawOrigin('HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf')
    const { connection } = open(origin.port)
    const heard = send(connection)
    await until(() => heard.body === 'half')
    die(socketOf(origin))
    await until(() => heard.isOver)
    expect(heard).toMatchObject({ ends: 0, errors: [expect.any(Error)] })
    await betweenLooks()
    expect(heard.errors).toHaveLength(1)
  })

  it('whose handler fails at its end is told as broken', async () => {
    const origin = await startRawOrigin()
    const { connection } = open(origin.port)
    const told = listener({
      onEnd: () => {
        throw new Error('a trailer that nobody may write')
      },
    })
    send(connection, {}, told)
    await until(() => told.heard.isOver)
    expect(told.heard.errors).toMatchObject([{ message: 'a trailer that nobody may write' }])
  })

  it('whose handler fails in its middle ends the connection', async () => {
    const origin = await startRawOrigin()
    const { connection } = open(origin.port)
    const told = listener({
      onHead: () => {
        throw new Error('a field that nobody may write')
      },
    })
    send(connection, {}, told)
    await until(() => told.heard.isOver)
    expect(told.heard).toMatchObject({ body: '', ends: 0, errors: [{ message: 'a field that nobody may write' }] })
    expect(connection.isDone).toBe(true)
  })

  it('that ends while it is paused does not leave the connection paused', async () => {
    const origin = await startRawOrigin()
    const { connection } = open(origin.port)
    const told = listener({
      onBody: () => {
        connection.pause()
        return true
      },
    })
    send(connection, {}, told)
    await until(() => told.heard.ends === 1)
    expect((await ask(connection)).body).toBe('ok')
    expect(origin.connections).toHaveLength(1)
  })

  it('tells how long the connection may be kept', async () => {
    const origin = await startRawOrigin('HTTP/1.1 200 OK\r\nKeep-Alive: timeout=7\r\nContent-Length: 0\r\n\r\n')
    const { connection } = open(origin.port)
    await ask(connection)
    expect(connection.keepAliveHint).toBe(7)
  })
})

describe('bytes that are lent', () => {
  const SIZE = 20 * MIB
  const noise = (seed: number) =>
    createCipheriv('aes-128-ctr', Buffer.alloc(16, seed), Buffer.alloc(16)).update(Buffer.alloc(SIZE))
  const hashOf = (bytes: Buffer) => createHash('sha256').update(bytes).digest('hex')

  /** Answers `/1` with one body and `/2` with another: by length, or in chunks of all sizes. */
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
      for (let at = 0, size = 1; at < SIZE; at += size, size = (size * 7 + 13) % 150_000) {
        const piece = bytes.subarray(at, at + size)
        socket.write(`${piece.length.toString(16)}\r\n`)
        socket.write(piece)
        socket.write('\r\n')
      }
      socket.write('0\r\n\r\n')
    }

  /** Keeps what it is left, as a socket does that is full, and reads it only after more has come on other connections. */
  function slowReader(connection: Connection) {
    const hash = createHash('sha256')
    let kept: Buffer[] = []
    let turns = 0
    let most = 0
    const read = () => {
      for (const piece of kept) hash.update(piece)
      kept = []
      connection.resume()
    }
    const told = listener({
      onBody: (bytes, start, end) => {
        // Some is taken at once, as where the system took all of it; but nothing overtakes what is kept.
        if (kept.length === 0 && (end - start) % 3 === 0) {
          hash.update(bytes.subarray(start, end))
          return true
        }
        kept.push(bytes.subarray(start, end))
        most = Math.max(most, kept.length)
        if (kept.length >= 3) {
          connection.pause()
          turns++
          setImmediate(() => setImmediate(read))
        }
        return false
      },
    })
    return {
      ...told,
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
  ])(
    '%s: 20 MiB arrive byte for byte at two slow readers at once, whose connections take turns',
    async (_, chunked) => {
      const origin = await startRawOrigin(script(chunked))
      const [one, two] = [open(origin.port).connection, open(origin.port).connection]
      const readers = [slowReader(one), slowReader(two)] as const
      send(one, { path: '/1' }, readers[0])
      send(two, { path: '/2' }, readers[1])
      await until(() => readers.every(({ heard }) => heard.isOver))
      expect(readers.map(({ heard }) => heard.errors)).toEqual([[], []])
      expect(readers.map(({ digest }) => digest())).toEqual([hashOf(noise(1)), hashOf(noise(2))])
      for (const { turns } of readers) expect(turns()).toBeGreaterThan(10)
    },
  )

  it('stop coming while the reader is paused', async () => {
    const origin = await startRawOrigin(script(false))
    const { connection } = open(origin.port)
    let bytes = 0
    const told = listener({
      onBody: (_bytes, start, end) => {
        bytes += end - start
        connection.pause()
        return true
      },
    })
    send(connection, { path: '/1' }, told)
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

describe('over TLS', () => {
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

  it('requests and answers go as they do without, and the connection is used again', async () => {
    const origin = await startTlsOrigin()
    const { connection } = open(origin.port, origin.to)
    for (let i = 0; i < 3; i++) expect((await ask(connection)).body).toBe('ok')
    expect(origin.sockets).toHaveLength(1)
    expect(origin.sockets[0]?.alpnProtocol).toBe('http/1.1')
  })

  it('the next connection resumes the session of the last', async () => {
    const origin = await startTlsOrigin()
    for (let i = 0; i < 3; i++) {
      const { connection } = open(origin.port, origin.to)
      expect((await ask(connection)).body).toBe('ok')
      await until(() => origin.to.session !== undefined)
    }
    expect(origin.sockets.map((socket) => socket.isSessionReused())).toEqual([false, true, true])
  })

  it('a certificate that nobody vouches for is an error, and nothing was sent', async () => {
    const origin = await startTlsOrigin()
    const heard = await ask(open(origin.port, { isTls: true }).connection)
    expect(heard).toMatchObject({ sent: 0, errors: [{ code: 'UNABLE_TO_VERIFY_LEAF_SIGNATURE' }] })
  })

  it('bytes that nobody asked for end the connection', async () => {
    const origin = await startTlsOrigin()
    const { connection, idleClosed } = open(origin.port, origin.to)
    await ask(connection)
    origin.sockets[0]?.write(OK)
    await until(() => idleClosed.length > 0)
    expect(connection.isDone).toBe(true)
  })

  it('a connection that was closed while it was idle is noticed', async () => {
    const origin = await startTlsOrigin()
    const { connection, idleClosed } = open(origin.port, origin.to)
    await ask(connection)
    origin.sockets[0]?.end()
    await until(() => idleClosed.length > 0)
    expect(connection.isDone).toBe(true)
  })

  it('what is kept stays what it was, and a paused reader gets no more', async () => {
    const bytes = createCipheriv('aes-128-ctr', Buffer.alloc(16, 3), Buffer.alloc(16)).update(Buffer.alloc(4 * MIB))
    const origin = await startTlsOrigin((socket) => {
      socket.write(`HTTP/1.1 200 OK\r\nContent-Length: ${bytes.length}\r\n\r\n`)
      socket.write(bytes)
    })
    const { connection } = open(origin.port, origin.to)
    const kept: Buffer[] = []
    let isPaused = false
    let whilePaused = 0
    const told = listener({
      onBody: (piece, start, end) => {
        if (isPaused) whilePaused++
        kept.push(piece.subarray(start, end))
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
    send(connection, {}, told)
    await until(() => told.heard.isOver)
    expect(told.heard.errors).toEqual([])
    expect(Buffer.concat(kept).equals(bytes)).toBe(true)
    expect(whilePaused).toBe(0)
  })
})
