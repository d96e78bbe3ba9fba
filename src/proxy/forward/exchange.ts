// One request and its response: sent to an upstream, streamed back, and after a failure retried, given to legacy, or
// answered with an error.

import { TurnBatch } from '../../lib/turn-batch.ts'
import { FAILURES, type Failure } from '../../model/failures.ts'
import type { Outcome } from '../../model/outcome.ts'
import type { Side } from '../../model/route.ts'
import type { DownstreamExchange, DownstreamObserver } from '../downstream/downstream-exchange.ts'
import type { Uploads } from '../downstream/uploads.ts'
import { acceptsPath } from '../policy/encoded-slashes.ts'
import { upstreamFor } from '../policy/upstream-for.ts'
import type { ConnectionPool } from '../upstream/connection-pool.ts'
import { ResponseError } from '../upstream/response-parser.ts'
import type { Address, LiveUpstream } from '../upstream/upstreams.ts'
import { Attempt, type AttemptOwner } from './attempt.ts'
import { ClientWatch } from './client-watch.ts'
import { type EventStream, eventStreamOf, RECONNECT_SOON } from './event-stream.ts'
import type { ForwardDependencies, Forwarding } from './forwarding.ts'
import { trailers } from './headers.ts'
import { failureForClient, mayFallBack, mayRetry, type Sent } from './may-repeat.ts'
import { type ExchangePhase, nextExchangePhase } from './phase.ts'
import { RequestBody, RequestBodyError } from './request-body.ts'
import { finalFields, passedFields } from './response-fields.ts'
import { UploadSlot } from './upload-slot.ts'

/** Informational responses per request; the gateway cuts a server that sends more. */
const MAX_INFORMATIONAL = 32

/** It observes the client's side and owns the attempts, so that a request costs no closures. */
export class Exchange implements AttemptOwner, DownstreamObserver {
  readonly dependencies: ForwardDependencies
  readonly forwarding: Forwarding
  readonly uploads: Uploads
  readonly body: RequestBody | undefined
  readonly #downstream: DownstreamExchange
  readonly #exchanges: Set<Exchange>
  readonly #settle: (outcome: Outcome) => void

  #phase: ExchangePhase = 'starting'
  #side: Side
  #attempt: Attempt | undefined = undefined
  #uploadSlot: UploadSlot | undefined = undefined
  #clientWatch: ClientWatch | undefined = undefined
  /** Set for a response that is a stream of events. */
  #events: EventStream | undefined = undefined
  #informational = 0

  // Facts for the outcome. Times are milliseconds; 0 until they are known.
  responseBytes = 0
  #failure: Failure | undefined = undefined
  #cause: unknown = undefined
  #fallbackCause: Failure | undefined = undefined
  #hasRetried = false
  #attempts = 0
  #sentAt = 0
  #headAt = 0
  #endAt = 0

  constructor(
    dependencies: ForwardDependencies,
    forwarding: Forwarding,
    exchanges: Set<Exchange>,
    uploads: Uploads,
    settle: (outcome: Outcome) => void,
  ) {
    const { head, match, tap, downstream } = forwarding
    this.dependencies = dependencies
    this.forwarding = forwarding
    this.uploads = uploads
    this.#downstream = downstream
    this.#exchanges = exchanges
    this.#settle = settle
    this.#side = forwarding.decision.side
    const isEmpty = head.body.kind === 'none' || (head.body.kind === 'length' && head.body.bytes === 0)
    this.body = isEmpty ? undefined : new RequestBody(downstream, match.route.maxBodyBytes, this, tap)
  }

  /** The side that is asked now. */
  get side(): Side {
    return this.#side
  }

  /** Undefined for a path that no context claims. */
  get context(): string | undefined {
    return this.forwarding.match.route.context?.name
  }

  start(): void {
    const { head, match } = this.forwarding
    this.#downstream.observe(this)
    if (head.body.kind === 'length' && head.body.bytes > match.route.maxBodyBytes) {
      this.#fail('body-too-large', undefined)
    } else if (this.body === undefined) {
      this.#attemptSide(this.#side)
    } else {
      // At the end of this turn of the parser, the gateway knows whether the body arrived together with its head.
      exchangesToStart.add(this)
    }
  }

  startNow(): void {
    // The bytes behind the head may not be a valid body: then the listener has answered the client already.
    if (this.#phase === 'starting' && !this.#downstream.isRefused) this.#attemptSide(this.#side)
  }

  // ---- attempts ----

  #attemptSide(side: Side): void {
    const { snapshot, match } = this.forwarding
    const { upstreams } = this.dependencies
    this.#side = side
    const live = upstreams.get(upstreamFor(match.route, side, snapshot))
    live.retryBudget.earn(snapshot.retries)
    this.#enter('attempting')
    const address = upstreams.selectAddress(live)
    if (address === undefined) {
      this.#attempt = undefined
      this.#recover('unavailable', undefined)
    } else {
      this.#newAttempt(live, address).start()
    }
  }

  #newAttempt(live: LiveUpstream, address: Address): Attempt {
    const attempt = new Attempt(this, live, address)
    this.#attempt = attempt
    return attempt
  }

  get isBodyArriving(): boolean {
    return this.body !== undefined && !this.#downstream.isBodyComplete
  }

  takeUploadSlot(pool: ConnectionPool): boolean {
    const { identity, snapshot } = this.forwarding
    this.#uploadSlot ??= new UploadSlot(this.uploads, identity.clientAddress, snapshot.limits.uploadsPerClient)
    return this.#uploadSlot.take(pool)
  }

  onRequestBodyEnd(): void {
    this.#uploadSlot?.release()
  }

  onAttemptSent(): void {
    this.#attempts++
    this.#sentAt = this.dependencies.now()
  }

  onAttemptFailed(failure: Failure, cause: unknown): void {
    if (this.#phase === 'attempting') {
      this.#recover(failure, cause)
      return
    }
    const shown = FAILURES[failure].blame === 'client' ? failure : 'response-broken'
    this.#attempt?.reportHealth(shown, 0)
    this.#release()
    if (this.#phase === 'responding') this.#break(shown, cause)
  }

  #release(): void {
    this.#uploadSlot?.release()
    this.#clientWatch?.endBlock()
    this.#attempt?.release()
  }

  // ---- after a failure ----

  /** Retries or falls back where that is allowed, and otherwise answers the client with an error. */
  #recover(failure: Failure, cause: unknown): void {
    this.#attempt?.reportHealth(failure, 0)
    if (this.#retry(failure) || this.#fallBack(failure)) return
    this.#release()
    this.#fail(failureForClient(failure, this.#side, this.forwarding.head.method), cause)
  }

  /** @returns whether another attempt at the same side has started */
  #retry(failure: Failure): boolean {
    const attempt = this.#attempt
    if (attempt === undefined || this.#hasRetried || !attempt.hasConnection) return false
    if (!mayRetry(failure, this.#sent())) return false
    const { live, address } = attempt
    const { upstreams, now } = this.dependencies
    const otherAddress = live.addresses.length > 1 ? upstreams.selectAddress(live, address) : undefined
    // At the same address only a fresh connection in the place of a lost one is worth a retry.
    if (otherAddress === undefined && failure !== 'connection-lost') return false
    if (!live.retryBudget.spend(this.forwarding.snapshot.retries, now())) return false
    this.#hasRetried = true
    if (otherAddress === undefined) {
      const connection = attempt.replaceConnection()
      this.#newAttempt(live, address).startOn(connection)
    } else {
      this.#release()
      this.#newAttempt(live, otherAddress).start()
    }
    return true
  }

  /** @returns whether legacy is asked in the place of the service */
  #fallBack(failure: Failure): boolean {
    const { decision, head, match, snapshot } = this.forwarding
    if (this.#side === 'legacy' || !decision.fallback || !mayFallBack(failure, this.#sent())) return false
    // A service may accept an encoded slash that legacy does not.
    if (!acceptsPath(head, match.route, snapshot.legacy)) return false
    this.#release()
    this.#fallbackCause = failure
    this.#attemptSide('legacy')
    return true
  }

  #sent(): Sent {
    const { body } = this
    return { method: this.forwarding.head.method, hasBody: body !== undefined, hasBodyBegun: body?.hasBegun === true }
  }

  /** Nothing of a response was sent: the client gets a problem document. */
  #fail(failure: Failure, cause: unknown): void {
    const { head, identity } = this.forwarding
    this.#endWith(failure, cause)
    const isStillSending = !this.#downstream.isBodyComplete && head.body.kind !== 'none'
    this.#downstream.respondError(failure, identity.requestId, isStillSending || this.dependencies.isDraining())
    this.body?.destroy()
  }

  /** The response has begun and cannot be completed: the client must notice that. */
  #break(failure: Failure, cause: unknown): void {
    this.#endWith(failure, cause)
    this.#downstream.abort()
  }

  #endWith(failure: Failure, cause: unknown): void {
    this.#enter('failed')
    this.#failure = failure
    this.#cause = cause
    this.#endAt = this.dependencies.now()
  }

  // ---- the response of the upstream ----

  onResponseHead(status: number, reason: string, raw: string[]): boolean {
    const attempt = this.#attempt as Attempt
    if (status === 101) {
      attempt.abort(new ResponseError('the upstream switched protocols without a request to do so'))
      return false
    }
    const passed = passedFields(this.forwarding, attempt.live.upstream, status, raw)
    try {
      if (status < 200) this.#inform(status, passed.list)
      else this.#respond(status, reason, finalFields(this.forwarding, this.dependencies, passed))
    } catch (error) {
      // Node does not write control characters in a field or in the reason.
      attempt.abort(error as Error)
      return false
    }
    if (status < 200) return false
    this.#enter('responding')
    this.#headAt = this.dependencies.now()
    if (this.forwarding.head.method !== 'HEAD') this.#events = eventStreamOf(raw)
    this.forwarding.tap?.onHead(status, raw)
    return true
  }

  #inform(status: number, fields: string[]): void {
    if (++this.#informational > MAX_INFORMATIONAL) throw new ResponseError('too many informational responses')
    if (status === 100) {
      const { body } = this
      // RFC 9110 section 10.1.1: only a client that waits for `100 Continue` gets it.
      if (body === undefined || !body.isHeldBack || this.forwarding.head.fields.expect === undefined) return
      body.isHeldBack = false
    }
    this.#downstream.inform(status, fields)
  }

  #respond(status: number, reason: string, fields: string[]): void {
    if (this.isBodyArriving) {
      // An early response: the gateway drains the rest of the body and serves no further request (RFC 9112 section 9.3).
      fields.push('Connection', 'close')
      this.#downstream.closeAfterResponse()
    } else if (this.dependencies.isDraining()) {
      fields.push('Connection', 'close')
    }
    this.#downstream.respond(status, reason, fields)
  }

  onResponseBody(bytes: Buffer, start: number, received: number): boolean {
    const events = this.#events
    const end = events === undefined ? received : events.take(bytes, start, received)
    this.responseBytes += end - start
    this.forwarding.tap?.onBody(bytes, start, end)
    const mayOverwrite = this.#downstream.write(bytes, start, end)
    // The upstream sends no faster than the client reads.
    if (this.#downstream.isBlocked) this.#attempt?.pause()
    if (events?.isEnding === true && events.isBetweenEvents) this.#endEventStream(events)
    return mayOverwrite
  }

  onResponseEnd(raw: readonly string[]): void {
    this.#answer(raw.length > 0 ? trailers(raw) : NO_TRAILERS)
  }

  /**
   * Draining: a stream of events does not end by itself. The gateway ends it behind the current event; it does not touch
   * other responses.
   *
   * @returns whether this call begins the end of such a stream
   */
  endEvents(): boolean {
    const events = this.#events
    if (events === undefined || events.isEnding || this.#phase !== 'responding') return false
    events.isEnding = true
    if (events.isBetweenEvents) this.#endEventStream(events)
    return true
  }

  #endEventStream({ isCompressed }: EventStream): void {
    // The upstream would go on sending.
    this.#attempt?.cancel()
    this.#answer(NO_TRAILERS, isCompressed ? undefined : RECONNECT_SOON)
  }

  #answer(trailerPairs: readonly (readonly [string, string])[], text?: string): void {
    this.#endAt = this.dependencies.now()
    this.#downstream.end(trailerPairs, text)
    this.#enter('answered')
    this.#attempt?.reportHealth(undefined, this.#downstream.sentStatus ?? 0)
    this.#release()
    // The response may come before the end of the request: the rest of the body is discarded.
    this.body?.destroy()
  }

  // ---- the client's side ----

  onDrain(): void {
    this.#clientWatch?.endBlock()
    this.#attempt?.resume()
  }

  onGone(): void {
    if (this.#phase === 'closed') return
    if (!this.#downstream.isSent && this.#failure === undefined) this.#failure = 'client-gone'
    this.#enter('closed')
    this.#uploadSlot?.release()
    this.#clientWatch?.endBlock()
    this.#attempt?.cancel()
    this.body?.destroy()
    this.#exchanges.delete(this)
    this.#settle(this.#outcome())
  }

  /**
   * Called a few times a second: ends the exchange if the client or the upstream keeps the gateway waiting for too long. A
   * timer for each request would cost every request two calls.
   */
  sweep(elapsedMs: number): void {
    this.#attempt?.sweepHeld()
    const isInProgress = this.#phase === 'attempting' || this.#phase === 'responding'
    if (isInProgress) this.#sweepSending(elapsedMs)
    this.#sweepReading(elapsedMs)
    if (isInProgress) this.#attempt?.sweep(elapsedMs)
  }

  /** Ends a request whose body arrives too slowly. */
  #sweepSending(elapsedMs: number): void {
    const { body } = this
    if (!body?.isWaitingForClient) return
    this.#clientWatch ??= new ClientWatch()
    const isTooSlow = this.#clientWatch.isSendingTooSlowly(body.bytes, elapsedMs, this.forwarding.snapshot.limits)
    if (isTooSlow) body.destroy(new RequestBodyError('slow-request'))
  }

  /** Cuts a response that its client reads too slowly, or whose connection another request needs. */
  #sweepReading(elapsedMs: number): void {
    const { isBlocked, waitingBytes } = this.#downstream
    if (!isBlocked && (this.#phase !== 'answered' || waitingBytes === 0)) return
    this.#clientWatch ??= new ClientWatch()
    const takenBytes = this.responseBytes - waitingBytes
    const attempt = this.#attempt
    if (
      (isBlocked && attempt?.hasConnection && this.#clientWatch.mustEvict(attempt.address.pool, elapsedMs)) ||
      this.#clientWatch.isReadingTooSlowly(takenBytes, elapsedMs, this.forwarding.snapshot.limits)
    ) {
      this.#downstream.abort()
    }
  }

  #outcome(): Outcome {
    const hasResponse = this.#headAt > 0
    return {
      status: this.#downstream.sentStatus ?? FAILURES['client-gone'].status,
      failure: this.#failure,
      cause: this.#cause,
      answeredBy: hasResponse ? this.#attempt?.address.responder : undefined,
      upstreamMs: hasResponse ? this.#headAt - this.#sentAt : undefined,
      upstreamTotalMs: this.#sentAt > 0 ? (this.#endAt || this.dependencies.now()) - this.#sentAt : undefined,
      requestBytes: this.body?.bytes ?? 0,
      responseBytes: this.responseBytes,
      attempts: this.#attempts,
      retried: this.#hasRetried,
      fallbackCause: this.#fallbackCause,
    }
  }

  #enter(phase: ExchangePhase): void {
    this.#phase = nextExchangePhase(this.#phase, phase)
  }
}

const NO_TRAILERS: readonly (readonly [string, string])[] = []

/** Requests with a body start at the end of this turn of the parser. */
const exchangesToStart = new TurnBatch<Exchange>(queueMicrotask, (exchange) => exchange.startNow())
