// One exchange over node:http. Express' request and response are node:http's own, so this serves them as well.
import type { IncomingMessage, ServerResponse } from 'node:http'
import { latin1 } from '../../lib/latin1.ts'
import { TurnBatch } from '../../lib/turn-batch.ts'
import type { Failure } from '../../model/failures.ts'
import { sharedFields } from '../policy/run-middleware.ts'
import type { BodyReader, DownstreamExchange, DownstreamObserver } from './downstream-exchange.ts'
import { isRefused, markRefused } from './refused-connections.ts'
import { endAfterBody, writeError } from './respond-error.ts'
import { countSpent } from './spent-buffers.ts'

/** How long the rest of a request body is drained after its response was sent, in milliseconds. */
const LINGER_MS = 2000
/** Up to this size copying costs less than a second buffer in the system call. */
const SMALL_BODY_BYTES = 4096
/** From this size a piece of a body is worth a system call of its own. */
const LARGE_PIECE_BYTES = 16 * 1024

export class NodeExchange implements DownstreamExchange {
  readonly #request: WithExchange<IncomingMessage>
  readonly #response: WithExchange<ServerResponse>
  #observer: DownstreamObserver | undefined = undefined
  #reader: BodyReader | undefined = undefined
  #hasWritten = false
  #isBlocked = false

  constructor(request: IncomingMessage, response: ServerResponse) {
    this.#request = request
    this.#response = response
  }

  observe(observer: DownstreamObserver): void {
    this.#observer = observer
    this.#response[EXCHANGE] = this
    this.#response.on('close', onResponseClose)
  }

  get isRefused(): boolean {
    return isRefused(this.#request.socket)
  }

  // ---- the request body ----

  get isBodyComplete(): boolean {
    return this.#request.complete
  }

  get isBodyPaused(): boolean {
    return this.#request.isPaused()
  }

  get requestTrailers(): readonly string[] {
    return this.#request.rawTrailers
  }

  readBody(reader: BodyReader): void {
    this.#reader = reader
    this.#request[EXCHANGE] = this
    this.#request.on('data', onBodyBytes).on('end', onBodyEnd).on('close', onBodyClose).on('error', ignoreError)
  }

  pauseBody(): void {
    this.#request.pause()
  }

  resumeBody(): void {
    this.#request.resume()
  }

  discardBody(): void {
    const request = this.#request
    if (this.#reader !== undefined) {
      this.#reader = undefined
      request.off('data', onBodyBytes).off('end', onBodyEnd).off('close', onBodyClose)
    }
    if (!request.complete && !request.destroyed) request.resume()
  }

  /** Called by the listeners of the request. */
  get reader(): BodyReader | undefined {
    return this.#reader
  }

  // ---- the response ----

  get sentStatus(): number | undefined {
    return this.#response.headersSent ? this.#response.statusCode : undefined
  }

  get isSent(): boolean {
    return this.#response.writableFinished
  }

  get isBlocked(): boolean {
    return this.#isBlocked
  }

  get waitingBytes(): number {
    return this.#response.writableLength
  }

  middlewareFields(): string[] {
    return sharedFields(this.#response)
  }

  inform(status: number, fields: string[]): void {
    const response = this.#response
    if (status === 100) {
      if (!response.headersSent && !response.destroyed) response.writeContinue()
      return
    }
    // HTTP/1.0 has no informational responses; Express applications may bring a response class without the method.
    if (this.#request.httpVersionMinor === 0 || typeof response.writeInformation !== 'function') return
    response.writeInformation(status, fields)
  }

  respond(status: number, reason: string, fields: string[]): void {
    this.#response.writeHead(status, reason, fields)
    if (this.#request.method !== 'HEAD') headsToFlush.add(this)
  }

  /** Sends a head that no body followed in the same turn: a slow page, an event stream. */
  flushHead(): void {
    const response = this.#response
    if (!this.#hasWritten && !response.writableEnded && !response.destroyed) response.flushHeaders()
  }

  closeAfterResponse(): void {
    const { socket } = this.#request
    markRefused(socket, 'early-answer')
    // Node would close the connection at once. While the client sends, the kernel then resets the connection, and the
    // reset overtakes the response.
    socket.destroySoon = () => socket.end()
  }

  write(bytes: Buffer, start: number, end: number): boolean {
    const response = this.#response
    const length = end - start
    const isFirst = !this.#hasWritten
    this.#hasWritten = true
    if (length < LARGE_PIECE_BYTES) {
      // Node sends head and body as one string in one write if the body is latin1 text: one byte for each character.
      const isTaken =
        isFirst && length <= SMALL_BODY_BYTES
          ? response.write(latin1(bytes, start, end), 'latin1')
          : response.write(Buffer.from(bytes.subarray(start, end)))
      if (!isTaken) this.#block()
      return true
    }
    // Node keeps pieces until the end of the turn. A large piece is sent at once, and if the system has taken all of it,
    // there is nothing to wait for.
    response.cork()
    const isTaken = response.write(bytes.subarray(start, end))
    response.uncork()
    if (response.writableLength === 0) return true
    countSpent(bytes.length)
    if (!isTaken) this.#block()
    return false
  }

  end(trailers: readonly (readonly [string, string])[], text?: string): void {
    const response = this.#response
    if (trailers.length > 0) response.addTrailers(trailers as [string, string][])
    // Uncorked, head and body are one string and go out in one plain write. `end` would write them together with the
    // empty string that it appends, as a vector, at twice the price.
    if (!response.chunkedEncoding) response.socket?.uncork()
    response.end(text)
  }

  respondError(failure: Failure, requestId: string, close: boolean): void {
    const response = this.#response
    if (response.destroyed) return
    writeError(response, failure, requestId, close)
    // A client that has timed out already is not drained.
    if (failure === 'slow-request') response.end()
    else endAfterBody(this.#request, response)
  }

  abort(): void {
    const response = this.#response
    // Bytes that were passed on before the failure still wait for the end of the turn; the client gets them.
    response.flushHeaders()
    response.uncork()
    const { socket, httpVersionMinor } = this.#request
    // A chunked body and a body of known length show that they are cut. The body of an HTTP/1.0 response ends with the
    // connection, so only a reset shows it.
    if (httpVersionMinor === 0) socket.resetAndDestroy()
    else socket.destroy()
  }

  /** Called by the listener of the response. */
  onDrain(): void {
    this.#isBlocked = false
    this.#observer?.onDrain()
  }

  /** Called by the listener of the response. */
  onClose(): void {
    this.#observer?.onGone()
    const request = this.#request
    if (!request.complete && !request.socket.destroyed) closeAfterLinger(request)
  }

  #block(): void {
    if (this.#isBlocked) return
    this.#isBlocked = true
    this.#response.once('drain', onResponseDrain)
  }
}

/**
 * The listeners are shared by all requests and find the exchange on their emitter. A property and not a WeakMap: entries
 * of a WeakMap outlive every minor collection, and the garbage collector took 16 % of a profile instead of 3 %.
 */
const EXCHANGE = Symbol('exchange')

type WithExchange<Emitter> = Emitter & { [EXCHANGE]?: NodeExchange }

function onResponseClose(this: WithExchange<ServerResponse>): void {
  this[EXCHANGE]?.onClose()
}

function onResponseDrain(this: WithExchange<ServerResponse>): void {
  this[EXCHANGE]?.onDrain()
}

function onBodyBytes(this: WithExchange<IncomingMessage>, bytes: Buffer): void {
  this[EXCHANGE]?.reader?.onBodyBytes(bytes)
}

function onBodyEnd(this: WithExchange<IncomingMessage>): void {
  this[EXCHANGE]?.reader?.onBodyEnd()
}

function onBodyClose(this: WithExchange<IncomingMessage>): void {
  this[EXCHANGE]?.reader?.onBodyClose()
}

function ignoreError(): void {
  // 'close' follows and reports the same; without a listener the error would be thrown.
}

const headsToFlush = new TurnBatch<NodeExchange>(queueMicrotask, (exchange) => exchange.flushHead())

/** Drains the rest of a request whose response was sent, for a limited time, and closes the connection. */
function closeAfterLinger(request: IncomingMessage): void {
  const { socket } = request
  const timer = setTimeout(() => socket.destroy(), LINGER_MS)
  timer.unref()
  request.once('end', () => socket.destroy())
  request.once('close', () => clearTimeout(timer))
}
