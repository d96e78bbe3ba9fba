// One HTTP/1.1 connection to an upstream: one request at a time goes out, its response is read and told.
import { readSync } from 'node:fs'
import net, { type Socket } from 'node:net'
import type { Readable } from 'node:stream'
import tls from 'node:tls'
import { TurnBatch } from '../../lib/turn-batch.ts'
import { ResponseError, ResponseParser, type ResponseSink } from './response-parser.ts'

/** A request body as a stream that is read no faster than the connection writes it. */
export type UpstreamBody = Readable & {
  /** The client waits for `100 Continue` before it sends, so the head goes out alone. */
  readonly isHeldBack: boolean
}

/** A request as it goes out: method and path come from a head that was read, and are written as they are. */
export type UpstreamRequest = {
  readonly method: string
  readonly path: string
  /** `[name, value, ...]`, with Host and without the fields of a connection. */
  readonly fields: readonly string[]
  readonly body: UpstreamBody | undefined
  /** How the body is framed; a length is among the fields already. */
  readonly isChunked: boolean
  /** Read when the body has ended: `[name, value]` pairs to send behind its chunks. */
  readonly trailers: (() => readonly (readonly [string, string])[]) | undefined
  /** Whether the connection may serve another request after this one. */
  readonly mayBeReused: boolean
}

/** Who asked. Bytes are only lent, see {@link ResponseSink}. */
export type ResponseHandler = Pick<ResponseSink, 'onHead'> & {
  /** The request has a connection: from here on some of it may arrive. */
  readonly onSent: () => void
  /** @returns whether the bytes were copied or written: if not, they are left to the handler for good */
  readonly onBody: (bytes: Buffer, start: number, end: number) => boolean
  /** @param trailers `[name, value, ...]` */
  readonly onEnd: (trailers: readonly string[]) => void
  /** Instead of `onEnd`, or of everything. */
  readonly onError: (error: Error) => void
}

/** Where a connection goes. */
export type Destination = {
  readonly isTls: boolean
  readonly host: string
  readonly port: number
  /** The name that is asked for in TLS and that the certificate must have; `''` where the address is its own name. */
  readonly servername: string
  readonly tls: tls.SecureContextOptions & { readonly rejectUnauthorized?: boolean }
  /** Whether a line of a response head may end in LF without CR. */
  readonly bareLineFeeds: boolean
  /** The last TLS session, to be resumed; kept here by the connections. */
  session: Buffer | undefined
}

/** What is read at once. */
const READ_BYTES = 64 * 1024
const KEEP_ALIVE_PROBE_MS = 60_000
const LAST_CHUNK = '0\r\n'

/** Reads of what has arrived before a write failed: more than the kernel keeps for one connection. */
const MAX_LAST_READS = 128

/** What would end a field and begin another: a bug of ours, since nothing that was read or configured can hold it. */
export class UnsafeFieldError extends Error {}

/** The other side had closed the connection before anything was written on it: any other will do as well. */
export class StaleConnection extends Error {}

export class Connection implements ResponseSink {
  readonly #socket: Socket
  readonly #parser: ResponseParser
  readonly #onIdleClose: (connection: Connection) => void
  #isConnected = false
  #handler: ResponseHandler | undefined = undefined
  #request: UpstreamRequest | undefined = undefined
  #body: UpstreamBody | undefined = undefined
  /** The head of a request with a body, until it goes out: with the first bytes of the body, if they are there. */
  #unsentHead = ''
  /** Some of the request has gone out. Until then nothing that comes is its answer. */
  #isWritten = false
  #isBodySent = true
  /** A request came to its end on it: what the other side closes now, it may have closed for its age. */
  #hasServed = false
  #isPaused = false
  #buffer: Buffer | undefined = undefined
  /** It can carry nothing more, and is closed or about to be. */
  isDone = false
  /** Until when the connection may be used again, once it is idle. Same clock as the connections'. */
  idleUntil = 0

  /** @param onIdleClose called when the connection ends while it carries nothing */
  constructor(destination: Destination, onIdleClose: (connection: Connection) => void) {
    this.#onIdleClose = onIdleClose
    this.#parser = new ResponseParser(this, destination.bareLineFeeds)
    this.#socket = destination.isTls ? this.#openTls(destination) : this.#openPlain(destination)
    this.#socket
      .on('end', () => this.#onEndOfConnection())
      .on('error', (error) => this.#end(error))
      .on('close', () => this.#end(new Error('the connection was closed')))
  }

  /** `Keep-Alive: timeout=` of the last response, in seconds; undefined where it said none. */
  get keepAliveHint(): number | undefined {
    return this.#parser.keepAliveHint
  }

  /** Sends a request as soon as there is a connection, and as it has been made sure that there still is. */
  send(request: UpstreamRequest, handler: ResponseHandler): void {
    this.#handler = handler
    this.#request = request
    if (this.#isConnected) connectionsToSend.add(this)
  }

  /** Writes what `send` was given, if that has not come to its end meanwhile. */
  sendNow(): void {
    if (this.#request === undefined || this.#handler === undefined) return
    try {
      this.#write(this.#request, this.#handler)
    } catch (error) {
      this.abort(error as Error)
    }
  }

  /** Writes a head whose body has not come in the same turn: an origin may answer before it has the body. */
  sendHeadNow(): void {
    if (this.#unsentHead === '' || this.isDone) return
    this.#isWritten = true
    this.#socket.write(this.#takeHead(), 'latin1')
  }

  pause(): void {
    this.#isPaused = true
    this.#socket.pause()
  }

  resume(): void {
    if (!this.#isPaused) return
    this.#isPaused = false
    this.#socket.resume()
  }

  /** Ends the connection and, with this error, what it carries. */
  abort(error: Error): void {
    const handler = this.#handler
    const wasIdle = handler === undefined && !this.isDone
    this.close()
    if (handler !== undefined) handler.onError(error)
    else if (wasIdle) this.#onIdleClose(this)
  }

  /** Ends the connection, with whatever it carries told nothing. */
  close(): void {
    this.isDone = true
    this.#detach()
    this.#parser.stop()
    this.#socket.destroy()
  }

  // ---- opening ----

  #openPlain({ host, port }: Destination): Socket {
    // One buffer for the life of the connection: Node would make one of 64 KiB for every read.
    this.#buffer = Buffer.allocUnsafeSlow(READ_BYTES)
    const callback = (length: number, bytes: Uint8Array) => {
      this.#onBytes(bytes as Buffer, length)
      return !this.#isPaused
    }
    // A function, and not the buffer itself: asked after every read, it can leave a buffer to whoever still needs it.
    const buffer = () => this.#buffer as Buffer
    const onread = { buffer, callback } as unknown as net.OnReadOpts
    const socket = net.connect({ host, port, ...SOCKET, onread })
    const destroy = socket._destroy
    socket._destroy = (error, done) => {
      if (error !== null) this.#readLast(socket, error)
      destroy.call(socket, error, done)
    }
    return socket.once('connect', () => this.#onConnect())
  }

  #openTls(to: Destination): Socket {
    const { host, port, servername, session } = to
    const resumption = session === undefined ? {} : { session }
    const options = { ...to.tls, ...SOCKET, ...resumption, host, port, servername, ALPNProtocols: ['http/1.1'] }
    return tls
      .connect(options)
      .on('session', (next) => {
        to.session = next
      })
      .once('secureConnect', () => this.#onConnect())
      .on('data', (bytes: Buffer) => this.#onBytes(bytes, bytes.length))
  }

  #onConnect(): void {
    this.#isConnected = true
    this.sendNow()
  }

  // ---- sending ----

  #write(request: UpstreamRequest, handler: ResponseHandler): void {
    this.#parser.expect(request.method === 'HEAD')
    handler.onSent()
    if (this.isDone) return
    const head = headOf(request)
    if (request.body === undefined) {
      this.#isWritten = true
      this.#socket.write(head, 'latin1')
      return
    }
    this.#isBodySent = false
    this.#unsentHead = head
    // Bytes of the body that have arrived with the head go out with it in one write; the head waits for no others.
    if (request.body.isHeldBack) this.sendHeadNow()
    else headsToSend.add(this)
    this.#sendBody(request.body, request)
  }

  #takeHead(): string {
    const head = this.#unsentHead
    this.#unsentHead = ''
    return head
  }

  #sendBody(body: UpstreamBody, request: UpstreamRequest): void {
    const socket = this.#socket
    const { isChunked } = request
    this.#body = body
    const onDrain = () => body.resume()
    socket.on('drain', onDrain)
    body
      .on('data', (chunk: Buffer) => {
        if (this.#body !== body) return
        this.#isWritten = true
        const takesMore = writePiece(socket, this.#takeHead(), chunk, isChunked)
        if (!takesMore) body.pause()
      })
      .once('end', () => {
        if (this.#body === body) this.#endBody(request)
      })
      .once('error', (error) => {
        if (this.#body === body) this.abort(error)
      })
      .once('close', () => socket.off('drain', onDrain))
    // It rests if it was to go out on a connection that was stale.
    body.resume()
  }

  #endBody(request: UpstreamRequest): void {
    try {
      const last = request.isChunked ? `${LAST_CHUNK}${fieldLines(request.trailers?.().flat() ?? [])}\r\n` : ''
      this.#isWritten = true
      const rest = this.#takeHead() + last
      if (rest !== '') this.#socket.write(rest, 'latin1')
      this.#isBodySent = true
    } catch (error) {
      // A trailer that must not go out; thrown among the listeners of a stream it would end the process.
      this.abort(error as Error)
    }
  }

  // ---- receiving ----

  #onBytes(bytes: Buffer, length: number): void {
    // What nobody asked for is nobody's answer (F17).
    if (!this.#isWritten) {
      this.#end(new ResponseError('bytes that nobody asked for'))
      return
    }
    try {
      const taken = this.#parser.read(bytes, length)
      if (this.#parser.isOver) this.#onMessageEnd(taken < length)
    } catch (error) {
      this.abort(error as Error)
    }
  }

  /** For the parser. */
  onHead(status: number, reason: string, fields: string[]): void {
    this.#handler?.onHead(status, reason, fields)
  }

  /** For the parser. */
  onBody(bytes: Buffer, start: number, end: number): void {
    if (this.#handler?.onBody(bytes, start, end) === false && bytes === this.#buffer) {
      this.#buffer = Buffer.allocUnsafeSlow(READ_BYTES)
    }
  }

  #onMessageEnd(hasMore: boolean): void {
    const handler = this.#handler
    if (handler === undefined) return
    const mayBeReused = this.#request?.mayBeReused && this.#parser.keepsAlive && this.#isBodySent
    const { trailers } = this.#parser
    this.#hasServed = true
    // Nor does one stay that ended with the message: the parser does not keep it.
    if (mayBeReused && !hasMore) this.#detach()
    else this.close()
    this.resume()
    try {
      handler.onEnd(trailers)
    } catch (error) {
      // Trailers that nobody may write, or a bug: the message is not passed on whole.
      handler.onError(error as Error)
    }
  }

  #onEndOfConnection(): void {
    this.#parser.endOfConnection()
    if (this.#isWritten && this.#parser.isOver) this.#onMessageEnd(false)
    else this.#end(new Error('the other side closed the connection'))
  }

  /**
   * Reads what has arrived before a write failed, while the socket is still open. An origin may answer and close before
   * it has the whole body; the write of the next piece then fails, and its answer would be lost unread.
   */
  #readLast(socket: Socket, error: Error & { syscall?: string }): void {
    const { fd = -1 } = (socket as Socket & { _handle?: { fd?: number } | null })._handle ?? {}
    if (error.syscall !== 'write' || fd < 0) return
    for (let i = 0; i < MAX_LAST_READS && this.#handler !== undefined; i++) {
      const buffer = this.#buffer as Buffer
      const length = readNow(fd, buffer)
      if (length === undefined) return
      if (length > 0) this.#onBytes(buffer, length)
      else this.#onEndOfConnection()
    }
  }

  /** Not ended by us. */
  #end(error: Error): void {
    const isStale = this.#hasServed && !this.#isWritten
    // None of the body may be lost on its way to another connection.
    if (isStale) this.#body?.pause()
    this.abort(isStale ? new StaleConnection() : error)
  }

  /** Lets go of what was carried. */
  #detach(): void {
    this.#handler = undefined
    this.#request = undefined
    this.#body = undefined
    this.#unsentHead = ''
    this.#isWritten = false
  }
}

/** @returns the number of bytes, 0 at the end of the connection, or undefined where nothing can be read */
function readNow(fd: number, buffer: Buffer): number | undefined {
  try {
    return readSync(fd, buffer)
  } catch {
    return undefined
  }
}

/**
 * Requests go out behind all input that has arrived: the gateway then knows whether the other side has closed the
 * connection. One callback for all requests of a turn costs little.
 */
const connectionsToSend = new TurnBatch<Connection>(setImmediate, (connection) => connection.sendNow())

/** Heads whose body has not come in this turn. */
const headsToSend = new TurnBatch<Connection>(setImmediate, (connection) => connection.sendHeadNow())

const SOCKET = { noDelay: true, keepAlive: true, keepAliveInitialDelay: KEEP_ALIVE_PROBE_MS }

function headOf({ method, path, fields, isChunked, mayBeReused }: UpstreamRequest): string {
  const framing = isChunked ? 'Transfer-Encoding: chunked\r\n' : ''
  const connection = mayBeReused ? 'Connection: keep-alive\r\n' : 'Connection: close\r\n'
  return `${method} ${path} HTTP/1.1\r\n${fieldLines(fields)}${framing}${connection}\r\n`
}

function fieldLines(fields: readonly string[]): string {
  let lines = ''
  for (let i = 0; i < fields.length; i += 2) {
    const value = fields[i + 1] as string
    if (UNSAFE.test(value)) throw new UnsafeFieldError(`a control character in ${fields[i]}`)
    lines += `${fields[i]}: ${value}\r\n`
  }
  return lines
}

/** RFC 9110 section 5.5; and no character that latin1 cuts down to a line end, as it does with U+010A. */
const UNSAFE = /[^\t\x20-\x7e\x80-\xff]/

/** A piece of a body, in a chunk of its own where chunks are sent. @returns whether the socket takes more at once */
function writePiece(socket: Socket, head: string, piece: Buffer, isChunked: boolean): boolean {
  if (head === '' && !isChunked) return socket.write(piece)
  // Gathered, it is one call to the system.
  socket.cork()
  const prefix = isChunked ? `${head}${piece.length.toString(16)}\r\n` : head
  socket.write(prefix, 'latin1')
  let takesMore = socket.write(piece)
  if (isChunked) takesMore = socket.write('\r\n', 'latin1')
  socket.uncork()
  return takesMore
}
