// One try at one address: takes a connection or waits for one, sends the request, and passes the response to its exchange.
import { FAILURES, type Failure } from '../../model/failures.ts'
import type { Side, Timeouts } from '../../model/route.ts'
import type { Uploads } from '../downstream/uploads.ts'
import { upstreamPath } from '../policy/path.ts'
import { type Connection, type ResponseHandler, StaleConnection, type UpstreamRequest } from '../upstream/connection.ts'
import type { ConnectionPool, Waiter } from '../upstream/connection-pool.ts'
import { blamesTarget } from '../upstream/health.ts'
import type { Address, LiveUpstream } from '../upstream/upstreams.ts'
import { classifyError, UpstreamTimeout } from './classify-error.ts'
import type { ForwardDependencies, Forwarding } from './forwarding.ts'
import { type AttemptPhase, nextAttemptPhase } from './phase.ts'
import type { RequestBody } from './request-body.ts'
import { expectsBody, isChunked, requestFields, requestTrailers } from './request-fields.ts'

/** The exchange, as far as its attempts use it. */
export type AttemptOwner = {
  readonly dependencies: ForwardDependencies
  readonly forwarding: Forwarding
  readonly uploads: Uploads
  readonly side: Side
  readonly body: RequestBody | undefined
  readonly isBodyArriving: boolean
  /** Bytes of the response body that were passed to the client. */
  readonly responseBytes: number
  /** @returns false when all places for uploads are taken */
  readonly takeUploadSlot: (pool: ConnectionPool) => boolean
  /** The attempt has a connection. */
  readonly onAttemptSent: () => void
  /** @returns whether this was the final head and it was passed to the client */
  readonly onResponseHead: (status: number, reason: string, raw: string[]) => boolean
  /** @returns whether the bytes may be overwritten */
  readonly onResponseBody: (bytes: Buffer, start: number, end: number) => boolean
  readonly onResponseEnd: (raw: readonly string[]) => void
  /** The attempt cannot be completed. The exchange releases it. */
  readonly onAttemptFailed: (failure: Failure, cause: unknown) => void
}

/**
 * It is the request that the connection writes, the handler of the response and the waiter in the queue, so that an
 * attempt costs one object and no closures.
 */
export class Attempt implements UpstreamRequest, ResponseHandler, Waiter {
  readonly live: LiveUpstream
  readonly address: Address
  readonly #owner: AttemptOwner
  #phase: AttemptPhase = 'new'
  /** Set and cleared by the queue of the address. */
  isWaiting = false
  #queueTimer: NodeJS.Timeout | undefined = undefined
  #connection: Connection | undefined = undefined
  /** Milliseconds for which the gateway has waited for the upstream without progress. */
  #silentMs = 0
  #movedBytes = 0

  constructor(owner: AttemptOwner, live: LiveUpstream, address: Address) {
    this.#owner = owner
    this.live = live
    this.address = address
  }

  start(): void {
    if (this.#owner.isBodyArriving && !this.#owner.takeUploadSlot(this.address.pool)) this.#hold()
    else this.#takeConnection()
  }

  /** As `start`, on a connection that was opened for this attempt. */
  startOn(connection: Connection): void {
    this.#owner.onAttemptSent()
    this.#send(connection)
  }

  // ---- getting a connection ----

  /** Waits, at most `queueMs`, for the rest of the body or for the end of another upload. */
  #hold(): void {
    if (!this.#owner.uploads.hold()) {
      this.#owner.onAttemptFailed('overloaded', undefined)
      return
    }
    this.#enter('held')
    this.#startQueueTimer()
  }

  /** Called by the sweep. */
  sweepHeld(): void {
    if (this.#phase !== 'held') return
    if (this.#owner.isBodyArriving && !this.#owner.takeUploadSlot(this.address.pool)) return
    this.#owner.uploads.release()
    this.#takeConnection()
  }

  #takeConnection(): void {
    const connection = this.address.pool.take(this)
    if (connection === 'full') {
      this.#owner.onAttemptFailed('overloaded', undefined)
    } else if (connection === 'queued') {
      this.#enter('queued')
      this.#startQueueTimer()
    } else {
      this.startOn(connection)
    }
  }

  /** For the queue. */
  onConnection(connection: Connection): void {
    this.startOn(connection)
  }

  #startQueueTimer(): void {
    if (this.#queueTimer !== undefined) return
    const queueMs = this.#limitMs('queueMs')
    if (queueMs > 0) this.#queueTimer = setTimeout(onQueueTimeout, queueMs, this)
  }

  onQueueTimeout(): void {
    this.#stopWaiting()
    this.#owner.onAttemptFailed('overloaded', undefined)
  }

  #stopWaiting(): void {
    clearTimeout(this.#queueTimer)
    this.#queueTimer = undefined
    this.address.pool.leave(this)
    if (this.#phase === 'held') this.#owner.uploads.release()
  }

  // ---- the request that the connection writes ----

  #send(connection: Connection): void {
    if (this.#queueTimer !== undefined) clearTimeout(this.#queueTimer)
    this.#queueTimer = undefined
    this.#enter('connecting')
    this.#connection = connection
    this.#silentMs = 0
    const { body } = this
    // A client that has waited long enough may send its body without `100 Continue`; then the body is sent on.
    if (body !== undefined && this.#owner.forwarding.head.fields.expect !== undefined) body.isHeldBack = true
    connection.send(this, this)
  }

  get method(): string {
    return this.#owner.forwarding.head.method
  }

  get path(): string {
    const { head, match } = this.#owner.forwarding
    return upstreamPath(head, match, this.#owner.side)
  }

  /** Built when the connection writes the head. */
  get fields(): readonly string[] {
    const { dependencies, forwarding, body } = this.#owner
    return requestFields(forwarding, dependencies.viaName, this.live.upstream, this.address.authority, body)
  }

  get body(): RequestBody | undefined {
    return this.#owner.body
  }

  get isChunked(): boolean {
    return isChunked(this.#owner.forwarding, this.body)
  }

  trailers(): readonly (readonly [string, string])[] {
    return requestTrailers(this.#owner.forwarding, this.body)
  }

  get mayBeReused(): boolean {
    return this.live.upstream.reuse && (this.body === undefined || expectsBody(this.method))
  }

  // ---- the handler of the response ----

  onSent(): void {
    this.#enter('awaiting-head')
    this.#silentMs = 0
  }

  onHead(status: number, reason: string, raw: string[]): void {
    if (status >= 200) this.#silentMs = 0
    if (this.#owner.onResponseHead(status, reason, raw)) this.#enter('receiving')
  }

  onBody(bytes: Buffer, start: number, end: number): boolean {
    return this.#owner.onResponseBody(bytes, start, end)
  }

  onEnd(raw: readonly string[]): void {
    this.#owner.onResponseEnd(raw)
  }

  onError(error: Error): void {
    if (error instanceof StaleConnection) this.#resend()
    else this.#owner.onAttemptFailed(classifyError(error, this.#phase !== 'connecting'), error)
  }

  /** Nothing was written on the stale connection, so this is not a second attempt. */
  #resend(): void {
    this.#send(this.address.pool.replace(this.#connection as Connection))
  }

  // ---- control by the exchange ----

  get hasConnection(): boolean {
    return this.#connection !== undefined
  }

  pause(): void {
    this.#connection?.pause()
  }

  resume(): void {
    this.#connection?.resume()
  }

  /** Ends the connection; the error comes back as `onAttemptFailed`. */
  abort(error: Error): void {
    this.#connection?.abort(error)
  }

  /** Gives the connection back. Idempotent. */
  release(): void {
    if (this.#phase === 'finished') return
    this.#enter('finished')
    const connection = this.#connection
    if (connection === undefined) return
    this.#connection = undefined
    this.address.pool.release(connection)
  }

  /** The response is not wanted any more, or the client has gone. Nothing is reported to the exchange. */
  cancel(): void {
    if (this.#phase === 'finished') return
    this.#stopWaiting()
    this.#connection?.close()
    this.release()
  }

  /** Ends this attempt. @returns a new connection in the place of its own */
  replaceConnection(): Connection {
    const connection = this.#connection as Connection
    this.#connection = undefined
    this.#enter('finished')
    return this.address.pool.replace(connection)
  }

  /** Called by the sweep while the response is not complete: ends an attempt whose upstream is silent for too long. */
  sweep(elapsedMs: number): void {
    const { body, forwarding, responseBytes } = this.#owner
    const moved = (body?.bytes ?? 0) + responseBytes
    const isMoving = moved !== this.#movedBytes || forwarding.downstream.isBlocked || body?.isWaitingForClient === true
    this.#movedBytes = moved
    if (this.#connection === undefined) return
    if (isMoving && this.#phase !== 'connecting') {
      this.#silentMs = 0
      return
    }
    const previousMs = this.#silentMs
    this.#silentMs += elapsedMs
    const [limit, failure] = this.#timeout()
    const limitMs = this.#limitMs(limit)
    // The first sweep after a step may follow at once, so the time of the sweep before is compared.
    if (limitMs === 0 || previousMs < limitMs) return
    this.#silentMs = 0
    this.#connection.abort(new UpstreamTimeout(failure))
  }

  #timeout() {
    if (this.#phase === 'connecting') return CONNECT_TIMEOUT
    return this.#phase === 'receiving' ? IDLE_TIMEOUT : HEAD_TIMEOUT
  }

  #limitMs(timeout: keyof Timeouts): number {
    return this.#owner.forwarding.match.route.timeouts?.[timeout] ?? this.live.upstream.timeouts[timeout]
  }

  /** Reports the result to the health of the address. @param status of the response, if there was no failure */
  reportHealth(failure: Failure | undefined, status: number): void {
    const { upstreams } = this.#owner.dependencies
    if (failure === undefined && status < 500) {
      upstreams.recordSuccess(this.address)
      return
    }
    if (failure !== undefined) {
      if (!blamesTarget(failure)) return
      // A client can make an incomplete request fail: it sends its body slowly or not at all until the upstream gives up.
      // Such a request counts only if the upstream was not reached.
      if (!FAILURES[failure].nothingSent && !this.#owner.forwarding.downstream.isBodyComplete) return
    }
    upstreams.recordFailure(this.live, this.address, failure !== undefined, failure ?? `status ${status}`)
  }

  #enter(phase: AttemptPhase): void {
    this.#phase = nextAttemptPhase(this.#phase, phase)
  }
}

const CONNECT_TIMEOUT = ['connectMs', 'connect-timeout'] as const
const HEAD_TIMEOUT = ['headersMs', 'response-timeout'] as const
const IDLE_TIMEOUT = ['idleMs', 'response-broken'] as const

function onQueueTimeout(attempt: Attempt): void {
  attempt.onQueueTimeout()
}
