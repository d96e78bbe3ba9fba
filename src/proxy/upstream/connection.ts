// One HTTP/1.1 connection to an upstream: carries one request at a time and passes the response to a handler.
import { readSync } from 'node:fs'
import net, { type Socket } from 'node:net'
import type { Readable } from 'node:stream'
import tls from 'node:tls'
import { TurnBatch } from '../../lib/turn-batch.ts'
import { ResponseError, ResponseParser, type ResponseSink } from './response-parser.ts'

/** A request body as a stream that is read no faster than the connection writes it. */
type UpstreamBody = Readable & {
  /** The client waits for `100 Continue` before it sends, so the head goes out alone. */
  readonly isHeldBack: boolean
}

/** A request for an upstream. Method and path come from a validated head and are written unchanged. */
export type UpstreamRequest = {
  readonly method: string
  readonly path: string
  /** `[name, value, ...]`, with Host and without `Connection` and `Transfer-Encoding`. */
  readonly fields: readonly string[]
  readonly body: UpstreamBody | undefined
  /** Whether the body is sent in chunks; otherwise `fields` contains its length. */
  readonly isChunked: boolean
  /** Called when the body has ended. @returns `[name, value]` pairs to send behind its chunks */
  readonly trailers: (() => readonly (readonly [string, string])[]) | undefined
  /** Whether the connection may serve another request after this one. */
  readonly mayBeReused: boolean
}

/** Receives the response. The bytes are valid during the call only, see {@link ResponseSink}. */
export type ResponseHandler = Pick<ResponseSink, 'onHead'> & {
  /** The connection is open: from here on some of the request may arrive at the upstream. */
  readonly onSent: () => void
  /** @returns whether the buffer may be overwritten; if not, it belongs to the handler from now on */
  readonly onBody: (bytes: Buffer, start: number, end: number) => boolean
  /** @param trailers `[name, value, ...]` */
  readonly onEnd: (trailers: readonly string[]) => void
  /** Called instead of `onEnd`, at any time after `send`. */
  readonly onError: (error: Error) => void
}

/** Where a connection goes. */
export type Destination = {
  readonly isTls: boolean
  readonly host: string
  readonly port: number
  /** The TLS server name, which the certificate must contain; `''` for an IP address. */
  readonly servername: string
  readonly tls: tls.SecureContextOptions & { readonly rejectUnauthorized?: boolean }
  /** Whether a line of a response head may end with LF alone. */
  readonly bareLineFeeds: boolean
  /** The last TLS session. Connections store it here, and the next connection resumes it. */
  session: Buffer | undefined
}

/** Size of the read buffer of a connection. */
const READ_BYTES = 64 * 1024
const KEEP_ALIVE_PROBE_MS = 60_000
const LAST_CHUNK = '0\r\n'

/** Limit of reads after a failed write: more than the kernel buffers for one connection. */
const MAX_LAST_READS = 128

/** A field contains a character that could end it and begin another. This is a bug: validated input cannot contain one. */
export class UnsafeFieldError extends Error {}

/** The upstream closed the connection before anything was written, so the request can go out on another connection. */
export class StaleConnection extends Error {}

export class Connection implements ResponseSink {
  readonly #socket: Socket
  readonly #parser: ResponseParser
  readonly #onIdleClose: (connection: Connection) => void
  #isConnected = false
  #handler: ResponseHandler | undefined = undefined
  #request: UpstreamRequest | undefined = undefined
  #body: UpstreamBody | undefined = undefined
  /** The head of a request with a body, until it is written: together with the first bytes of the body, if they are here. */
  #unsentHead = ''
  /** Some of the request was written. Bytes that arrive before cannot be its response. */
  #isWritten = false
  #isBodySent = true
  /** A request was completed. If the upstream closes the connection now, its keep-alive timeout may be the reason. */
  #hasServed = false
  #isPaused = false
  #buffer: Buffer | undefined = undefined
  /** The connection is closed, or closes soon, and takes no further request. */
  isDone = false
  /** Until when the connection may be used again, once it is idle. Milliseconds on the clock of the pool. */
  idleUntil = 0

  /** @param onIdleClose called when the connection closes while it carries no request */
  constructor(destination: Destination, onIdleClose: (connection: Connection) => void) {
    this.#onIdleClose = onIdleClose
    this.#parser = new ResponseParser(this, destination.bareLineFeeds)
    this.#socket = destination.isTls ? this.#openTls(destination) : this.#openPlain(destination)
    this.#socket
      .on('end', () => this.#onEndOfConnection())
      .on('error', (error) => this.#end(error))
      .on('close', () => this.#end(new Error('the connection was closed')))
  }

  /** `Keep-Alive: timeout=` of the last response, in seconds; undefined without one. */
  get keepAliveHint(): number | undefined {
    return this.#parser.keepAliveHint
  }

  /** Sends a request: when the connection is open, and behind all input that has arrived, which may include its end. */
  send(request: UpstreamRequest, handler: ResponseHandler): void {
    this.#handler = handler
    this.#request = request
    if (this.#isConnected) connectionsToSend.add(this)
  }

  /** Writes the request that `send` got, unless it was aborted meanwhile. */
  sendNow(): void {
    if (this.#request === undefined || this.#handler === undefined) return
    try {
      this.#write(this.#request, this.#handler)
    } catch (error) {
      this.abort(error as Error)
    }
  }

  /** Writes a head whose body has not come in the same turn: an upstream may respond before it has the body. */
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

  /** Ends the connection and, with this error, the request on it. */
  abort(error: Error): void {
    const handler = this.#handler
    const wasIdle = handler === undefined && !this.isDone
    this.close()
    if (handler !== undefined) handler.onError(error)
    else if (wasIdle) this.#onIdleClose(this)
  }

  /** Ends the connection without a call to the handler. */
  close(): void {
    this.isDone = true
    this.#detach()
    this.#parser.stop()
    this.#socket.destroy()
  }

  // ---- opening ----

  #openPlain({ host, port }: Destination): Socket {
    // One buffer for the life of the connection: Node would allocate 64 KiB for every read.
    this.#buffer = Buffer.allocUnsafeSlow(READ_BYTES)
    const callback = (length: number, bytes: Uint8Array) => {
      this.#onBytes(bytes as Buffer, length)
      return !this.#isPaused
    }
    // A function and not the buffer itself: Node calls it before every read, so a handler that keeps a buffer gets it
    // replaced.
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
    // Bytes of the body that have arrived with the head are written together with it. The head does not wait for others.
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
    // The body is paused if a stale connection was to carry it before.
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
      // A trailer that must not be sent. Thrown in a listener of a stream, the error would end the process.
      this.abort(error as Error)
    }
  }

  // ---- receiving ----

  #onBytes(bytes: Buffer, length: number): void {
    // Bytes without a request are not a response (F17).
    if (!this.#isWritten) {
      this.#end(new ResponseError('bytes arrived without a request'))
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
    // The parser does not keep a connection whose end is the end of the message.
    if (mayBeReused && !hasMore) this.#detach()
    else this.close()
    this.resume()
    try {
      handler.onEnd(trailers)
    } catch (error) {
      // A trailer that cannot be written, or a bug: the message was not passed on completely.
      handler.onError(error as Error)
    }
  }

  #onEndOfConnection(): void {
    this.#parser.endOfConnection()
    if (this.#isWritten && this.#parser.isOver) this.#onMessageEnd(false)
    else this.#end(new Error('the upstream closed the connection'))
  }

  /**
   * Reads all bytes that arrived before a write failed, while the socket is still open. An upstream may respond and close
   * before it has the whole body. The write of the next piece then fails, and the response would be lost.
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

  /** The connection ended, and the gateway did not end it. */
  #end(error: Error): void {
    const isStale = this.#hasServed && !this.#isWritten
    // The body goes out on another connection: none of it may be lost.
    if (isStale) this.#body?.pause()
    this.abort(isStale ? new StaleConnection() : error)
  }

  /** Forgets the request. */
  #detach(): void {
    this.#handler = undefined
    this.#request = undefined
    this.#body = undefined
    this.#unsentHead = ''
    this.#isWritten = false
  }
}

/** @returns the number of bytes, 0 at the end of the connection, or undefined if nothing can be read */
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

/** RFC 9110 section 5.5. Characters beyond latin1 are unsafe too: latin1 turns U+010A into a line feed. */
const UNSAFE = /[^\t\x20-\x7e\x80-\xff]/

/** Writes a piece of a body, as a chunk if the body is chunked. @returns whether the socket takes more at once */
function writePiece(socket: Socket, head: string, piece: Buffer, isChunked: boolean): boolean {
  if (head === '' && !isChunked) return socket.write(piece)
  // Corked, all parts are one system call.
  socket.cork()
  const prefix = isChunked ? `${head}${piece.length.toString(16)}\r\n` : head
  socket.write(prefix, 'latin1')
  let takesMore = socket.write(piece)
  if (isChunked) takesMore = socket.write('\r\n', 'latin1')
  socket.uncork()
  return takesMore
}
