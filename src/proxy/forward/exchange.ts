// One request and its answer: asked, streamed back, and where that fails asked again, given to legacy, or told.
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import { FAILURES, type Failure } from '../../model/failures.ts'
import type { Outcome } from '../../model/outcome.ts'
import type { Side, Timeouts } from '../../model/route.ts'
import { endAfterBody, writeError } from '../downstream/respond-error.ts'
import { spent } from '../downstream/spent-buffers.ts'
import { isTurnedAway, markTurnedAway } from '../downstream/turned-away.ts'
import type { Uploads } from '../downstream/uploads.ts'
import { acceptsEncodedSlashes } from '../policy/encoded-slashes.ts'
import { upstreamPath } from '../policy/path.ts'
import { sharedFields } from '../policy/run-middleware.ts'
import { type Connection, type ResponseHandler, StaleConnection, type UpstreamRequest } from '../upstream/connection.ts'
import type { Waiter } from '../upstream/connections.ts'
import { blamesTarget } from '../upstream/health.ts'
import { latin1, ResponseError } from '../upstream/response-parser.ts'
import type { Address, LiveUpstream } from '../upstream/upstreams.ts'
import { classifyError, UpstreamTimeout } from './classify-error.ts'
import { type EventStream, eventStreamOf, RECONNECT_SOON } from './event-stream.ts'
import type { ForwardDependencies, Forwarding } from './forward.ts'
import { type Added, applyRules, requestHeaders, responseHeaders, trailers } from './headers.ts'
import { mapFieldsBack, publicView } from './map-back.ts'
import { failureForClient, mayFallBack, mayRetry, type Sent } from './may-repeat.ts'
import { Pace } from './pace.ts'
import { RequestBody, RequestBodyError } from './request-body.ts'

/** What a client may wait at most after its answer, in milliseconds, while it is still sending. */
const LINGER_MS = 2000
/** Below this a copy costs less than a second buffer in the system call. */
const SMALL_BODY_BYTES = 4096
/** From here on a piece of a body is worth a system call of its own. */
const LARGE_CHUNK_BYTES = 16 * 1024
/** A client that takes nothing of its response for so long, in milliseconds, counts as a slow reader. */
const SLOW_READER_MS = 250
/** Informational responses per request; a server that never stops sending them is cut (F17). */
const MOST_INFORMATIONAL = 32

/**
 * One request and its answer. It is the connection's handler and the waiter in the queue as well, so that a request
 * costs one object and no closures.
 */
export class Exchange implements ResponseHandler, Waiter {
  readonly #use: ForwardDependencies
  readonly #its: Forwarding
  readonly #all: Set<Exchange>
  readonly #uploads: Uploads
  readonly #settle: (outcome: Outcome) => void
  readonly #body: RequestBody | undefined
  readonly #timeouts: Partial<Timeouts> | undefined

  isWaiting = false
  /** It has neither a connection nor a place in the queue: its body is incomplete, and all places for uploads are taken. */
  #isHeld = false
  /** The address at which this exchange holds a place for uploads. */
  #uploadsTo: Address | undefined = undefined
  #queueTimer: NodeJS.Timeout | undefined = undefined
  #side: Side
  #live: LiveUpstream | undefined = undefined
  #address: Address | undefined = undefined
  #connection: Connection | undefined = undefined
  /** The request has a connection: from here on some of it may have arrived. */
  #wasSent = false
  #hasHead = false
  #hasBody = false
  #isAnswered = false
  /** Undefined for every answer but a stream of events. */
  #events: EventStream | undefined = undefined
  #isOver = false
  #failure: Failure | undefined = undefined
  #cause: unknown = undefined
  #attempts = 0
  #retried = false
  #fellBack: Failure | undefined = undefined
  #informational = 0
  #askedAt = 0
  #headAt = 0
  #endAt = 0
  #responseBytes = 0
  #isBlocked = false
  /** Since the client last took anything, in milliseconds; the sweep counts it. */
  #blockedMs = 0
  #isSlowReader = false
  /** Milliseconds that the upstream has been waited for in vain; the sweep keeps it. */
  #silentMs = 0
  #movedBytes = 0
  /** Made when the client is first waited for: hardly any request lives to see it. */
  #sending: Pace | undefined = undefined
  #reading: Pace | undefined = undefined

  constructor(
    use: ForwardDependencies,
    its: Forwarding,
    all: Set<Exchange>,
    uploads: Uploads,
    settle: (outcome: Outcome) => void,
  ) {
    this.#use = use
    this.#its = its
    this.#all = all
    this.#uploads = uploads
    this.#settle = settle
    this.#side = its.decision.side
    this.#timeouts = its.match.route.timeouts
    const { body } = its.head
    const isEmpty = body.kind === 'none' || (body.kind === 'length' && body.bytes === 0)
    this.#body = isEmpty ? undefined : new RequestBody(its.request, its.match.route.maxBodyBytes, this, its.tap)
  }

  /** The side that is asked now. */
  get side(): Side {
    return this.#side
  }

  /** Undefined for what no context claims. */
  get context(): string | undefined {
    return this.#its.match.route.context?.name
  }

  start(): void {
    const { head, match, response } = this.#its
    ;(response as WithExchange)[EXCHANGE] = this
    response.on('close', onResponseClose)
    if (head.body.kind === 'length' && head.body.bytes > match.route.maxBodyBytes) {
      this.#fail('body-too-large', undefined)
      return
    }
    // At the end of this turn of the parser, the gateway knows whether the body arrived together with its head.
    if (this.#body === undefined) this.#turnTo(this.#side)
    else startSoon(this)
  }

  startNow(): void {
    // The bytes behind the head were not a valid body: the listener has answered the client already.
    if (!this.#isOver && !isTurnedAway(this.#its.request.socket)) this.#turnTo(this.#side)
  }

  // ---- asking ----

  #turnTo(side: Side): void {
    const { snapshot, match } = this.#its
    this.#side = side
    const upstream = side === 'service' && match.route.context ? match.route.context.service : snapshot.legacy
    this.#live = this.#use.upstreams.of(upstream)
    this.#live.retryBudget.earn(snapshot.retries)
    this.#ask(this.#use.upstreams.pick(this.#live))
  }

  #ask(address: Address | undefined): void {
    this.#address = address
    if (address === undefined) {
      this.#recover('unavailable', undefined)
      return
    }
    if (this.#isArriving && !this.#beginUpload(address)) this.#hold()
    else this.#take(address)
  }

  #take({ connections }: Address): void {
    const taken = connections.take(this)
    if (taken === 'full') this.#fail('overloaded', undefined)
    else if (taken === 'queued') this.#waitForQueueMs()
    else this.#send(taken)
  }

  #waitForQueueMs(): void {
    if (this.#queueTimer !== undefined) return
    const queueMs = this.#timeouts?.queueMs ?? (this.#live as LiveUpstream).upstream.timeouts.queueMs
    if (queueMs > 0) this.#queueTimer = setTimeout(onQueueTimeout, queueMs, this)
  }

  // ---- while its body is arriving ----

  get #isArriving(): boolean {
    return this.#body !== undefined && !this.#its.request.complete
  }

  /** @returns false when the address or the client has reached its limit of uploads */
  #beginUpload(address: Address): boolean {
    const { identity, snapshot } = this.#its
    if (!address.connections.beginUpload()) return false
    if (!this.#uploads.begin(identity.clientAddress, snapshot.limits.uploadsPerClient)) {
      address.connections.endUpload()
      return false
    }
    this.#uploadsTo = address
    return true
  }

  #endUpload(): void {
    if (this.#uploadsTo === undefined) return
    this.#uploadsTo.connections.endUpload()
    this.#uploads.end(this.#its.identity.clientAddress)
    this.#uploadsTo = undefined
  }

  /** All of the body has arrived. */
  onRequestBodyEnd(): void {
    this.#endUpload()
  }

  /** Waits for the rest of the body or for the end of another upload, at most `queueMs`. */
  #hold(): void {
    if (!this.#uploads.hold()) {
      this.#fail('overloaded', undefined)
      return
    }
    this.#isHeld = true
    this.#waitForQueueMs()
  }

  #endHold(): void {
    if (!this.#isHeld) return
    this.#isHeld = false
    this.#uploads.release()
  }

  /** Called a few times a second. */
  #sweepHeld(): void {
    const address = this.#address as Address
    if (this.#isArriving && !this.#beginUpload(address)) return
    this.#endHold()
    this.#take(address)
  }

  onConnection(connection: Connection): void {
    this.#send(connection)
  }

  onQueueTimeout(): void {
    this.#address?.connections.leave(this)
    this.#endHold()
    this.#fail('overloaded', undefined)
  }

  #send(connection: Connection): void {
    if (this.#queueTimer !== undefined) clearTimeout(this.#queueTimer)
    this.#queueTimer = undefined
    this.#connection = connection
    this.#wasSent = false
    this.#silentMs = 0
    this.#attempts++
    this.#askedAt = this.#use.now()
    connection.send(this.#upstreamRequest(), this)
  }

  #upstreamRequest(): UpstreamRequest {
    const { head, identity, snapshot, match, request, traceparent } = this.#its
    const { upstream } = this.#live as LiveUpstream
    const body = this.#body
    const added: Added = {
      head,
      identity,
      snapshot,
      rules: match.route.headers,
      viaName: this.#use.viaName,
      traceparent,
    }
    const fields = requestHeaders(added, upstream, (this.#address as Address).authority)
    const isChunked = body !== undefined && head.body.kind === 'chunked'
    const hasTrailers = isChunked && head.fields.trailer !== undefined
    if (hasTrailers) fields.push('Trailer', head.fields.trailer as string)
    if (body !== undefined && head.fields.expect !== undefined) {
      // A client may tire of waiting for the word and send its body; then it goes on unasked.
      body.isHeldBack = true
      fields.push('Expect', '100-continue')
    }
    return {
      method: head.method,
      path: upstreamPath(head, match, this.#side),
      fields,
      body,
      isChunked,
      trailers: hasTrailers
        ? () => trailers(request.rawTrailers, snapshot.identity.user?.header, snapshot.identity.claimHeaders)
        : undefined,
      // A body on a method that has none is what smugglers send (CVE-2026-29057): its connection is never used again.
      mayBeReused: upstream.reuse && (body === undefined || EXPECTS_BODY.has(head.method)),
    }
  }

  // ---- the connection's handler ----

  onSent(): void {
    this.#wasSent = true
    this.#silentMs = 0
  }

  onHead(status: number, reason: string, raw: string[]): void {
    const { head, identity, match, response } = this.#its
    if (status === 101) {
      this.#connection?.abort(new ResponseError('a switch nobody asked for'))
      return
    }
    const mayHaveChunks = head.minorVersion === 1 && head.method !== 'HEAD'
    const { list: passed, hasRequestId, hasAddresses } = responseHeaders(raw, status, mayHaveChunks)
    if (hasAddresses) {
      const { upstream } = this.#live as LiveUpstream
      // `raw` stays: the comparison sees the fields of both sides as their upstreams sent them.
      mapFieldsBack(passed, publicView(head, identity, this.#its.snapshot, match.route, upstream))
    }
    if (status < 200) {
      this.#passInformational(status, passed)
      return
    }
    this.#headAt = this.#use.now()
    this.#silentMs = 0
    const rules = match.route.headers?.response
    const list = rules === undefined ? passed : applyRules(passed, rules)
    if (!hasRequestId) list.push('X-Request-Id', identity.requestId)
    if (identity.isNew && match.route.context !== undefined) {
      list.push('Set-Cookie', this.#use.anonymousIds.setCookie(identity.key, identity.secure))
    }
    if (match.route.middleware.length > 0) list.push(...sharedFields(response))
    if (this.#isArriving) {
      // An early response: the gateway drains the rest of the body and serves no further request (RFC 9112 section 9.3).
      list.push('Connection', 'close')
      closeAfterBody(this.#its.request.socket)
    } else if (this.#use.isDraining()) list.push('Connection', 'close')
    try {
      response.writeHead(status, reason, list)
    } catch (error) {
      // Node refuses to write what it would not read: control characters in a field or in the reason.
      this.#connection?.abort(error as Error)
      return
    }
    this.#hasHead = true
    if (head.method !== 'HEAD') this.#events = eventStreamOf(raw)
    this.#its.tap?.onHead(status, raw)
    // The head waits for the first bytes of the body, to go in one packet; if none are here yet, it goes alone.
    if (head.method !== 'HEAD') flushSoon(this)
  }

  onBody(bytes: Buffer, start: number, received: number): boolean {
    const { response } = this.#its
    const events = this.#events
    const end = events === undefined ? received : events.take(bytes, start, received)
    const length = end - start
    const isFirst = !this.#hasBody
    this.#hasBody = true
    this.#responseBytes += length
    this.#its.tap?.onBody(bytes, start, end)
    if (length < LARGE_CHUNK_BYTES) {
      // As latin1 text, which is one byte a character, Node sends head and body as one string in one write.
      const isTaken =
        isFirst && length <= SMALL_BODY_BYTES
          ? response.write(latin1(bytes, start, end), 'latin1')
          : response.write(Buffer.from(bytes.subarray(start, end)))
      if (!isTaken) this.#block()
      if (events?.isEnding === true && events.isBetweenEvents) this.#finishEvents(events)
      return true
    }
    // Node keeps what is written until the end of the turn. A large piece goes at once, and where the system took all of
    // it there is nothing to wait for.
    response.cork()
    const isTaken = response.write(bytes.subarray(start, end))
    response.uncork()
    if (events?.isEnding === true && events.isBetweenEvents) this.#finishEvents(events)
    if (response.writableLength === 0) return true
    spent(bytes.length)
    if (!isTaken) this.#block()
    return false
  }

  onEnd(raw: readonly string[]): void {
    const { response } = this.#its
    this.#endAt = this.#use.now()
    this.#isAnswered = true
    if (raw.length > 0) response.addTrailers(trailers(raw))
    this.#judge(undefined, response.statusCode)
    this.#release()
    // An answer that came before the end of the request: the rest of the body is drained, not sent.
    this.#body?.destroy()
    // Head and body are one string by now; uncorked it goes out in one plain write. Left to end() it would be written
    // together with the empty string that end() appends, as a vector, at twice the price.
    if (!response.chunkedEncoding) response.socket?.uncork()
    response.end()
  }

  /**
   * Draining: a stream of events would not end by itself. It ends behind the event that is under way; every other answer
   * is left alone.
   *
   * @returns whether this call begins the end of such a stream
   */
  endEvents(): boolean {
    const events = this.#events
    if (events === undefined || events.isEnding || this.#isAnswered || this.#isOver) return false
    events.isEnding = true
    if (events.isBetweenEvents) this.#finishEvents(events)
    return true
  }

  #finishEvents({ isCompressed }: EventStream): void {
    const { response } = this.#its
    this.#endAt = this.#use.now()
    this.#isAnswered = true
    this.#judge(undefined, response.statusCode)
    // The upstream would go on sending.
    this.#connection?.close()
    this.#release()
    this.#body?.destroy()
    response.end(isCompressed ? undefined : RECONNECT_SOON)
  }

  onError(error: Error): void {
    if (this.#isOver) {
      this.#release()
      return
    }
    if (error instanceof StaleConnection) {
      this.#sendOnAnother()
      return
    }
    const failure = classifyError(error, this.#wasSent)
    if (this.#hasHead) {
      const told = FAILURES[failure].blame === 'client' ? failure : 'response-broken'
      this.#judge(told, 0)
      this.#release()
      this.#break(told, error)
    } else {
      this.#recover(failure, error)
    }
  }

  /** Nothing was written on the one it had: this is no second attempt. */
  #sendOnAnother(): void {
    const stale = this.#connection as Connection
    this.#connection = undefined
    this.#attempts--
    this.#send((this.#address as Address).connections.replace(stale))
  }

  /** The client takes no more for now: nor does the upstream send. */
  #block(): void {
    const { response } = this.#its
    if (response.listenerCount('drain') === 0) response.on('drain', onDrain)
    this.#isBlocked = true
    this.#connection?.pause()
  }

  // ---- when it fails ----

  /** Tries again or falls back where allowed; else tells the client. */
  #recover(failure: Failure, cause: unknown): void {
    this.#judge(failure, 0)
    const live = this.#live as LiveUpstream
    const connection = this.#connection
    if (!this.#retried && connection !== undefined && mayRetry(failure, this.#sent())) {
      const other = live.addresses.length > 1 ? this.#use.upstreams.pick(live, this.#address) : undefined
      const isWorthIt = other !== undefined || failure === 'connection-lost'
      if (isWorthIt && live.retryBudget.spend(this.#its.snapshot.retries, this.#use.now())) {
        this.#retried = true
        this.#retryOn(other, connection)
        return
      }
    }
    if (this.#mayFallBack() && mayFallBack(failure, this.#sent())) {
      this.#release()
      this.#fellBack = failure
      this.#turnTo('legacy')
      return
    }
    this.#release()
    this.#fail(failureForClient(failure, this.#side, this.#its.head.method), cause)
  }

  /** Legacy may answer, and may be asked for this path: an encoded slash that a service takes is not for everybody. */
  #mayFallBack(): boolean {
    const { decision, head, match, snapshot } = this.#its
    if (this.#side === 'legacy' || !decision.fallback) return false
    return !head.hasEncodedSlash || acceptsEncodedSlashes(match.route, snapshot.legacy)
  }

  #retryOn(other: Address | undefined, connection: Connection): void {
    if (other !== undefined) {
      this.#release()
      this.#ask(other)
      return
    }
    this.#connection = undefined
    this.#send((this.#address as Address).connections.replace(connection))
  }

  #sent(): Sent {
    const body = this.#body
    return { method: this.#its.head.method, hasBody: body !== undefined, hasBodyBegun: body?.hasBegun === true }
  }

  /** The answer is not begun: the client gets a problem document. */
  #fail(failure: Failure, cause: unknown): void {
    const { request, response, identity } = this.#its
    this.#failure = failure
    this.#cause = cause
    this.#endAt = this.#use.now()
    if (response.destroyed) return
    const isStillSending = !request.complete && this.#its.head.body.kind !== 'none'
    writeError(response, failure, identity.requestId, isStillSending || this.#use.isDraining())
    this.#body?.destroy()
    // Who dawdled is not waited for again.
    if (failure === 'slow-request') response.end()
    else endAfterBody(request, response)
  }

  /** The answer is begun and cannot be finished: the client must see that it is not whole. */
  #break(failure: Failure, cause: unknown): void {
    const { request, response, head } = this.#its
    this.#failure = failure
    this.#cause = cause
    this.#endAt = this.#use.now()
    // What came until now was meant for the client, and is still waiting for the end of the turn.
    response.flushHeaders()
    response.uncork()
    // Chunks and lengths show the break; an HTTP/1.0 body ends with the connection, so only a reset tells.
    if (head.minorVersion === 0) request.socket.resetAndDestroy()
    else request.socket.destroy()
  }

  // ---- the client's side ----

  onDrain(): void {
    if (!this.#isBlocked) return
    this.#isBlocked = false
    this.#endSlowReader()
    this.#connection?.resume()
  }

  onResponseClose(): void {
    if (this.#isOver) return
    const { request, response } = this.#its
    this.#isOver = true
    this.#address?.connections.leave(this)
    clearTimeout(this.#queueTimer)
    this.#endHold()
    this.#endUpload()
    this.#endSlowReader()
    if (!response.writableFinished && this.#failure === undefined) {
      this.#failure = 'client-gone'
      this.#connection?.abort(new RequestBodyError('client-gone'))
    }
    this.#body?.destroy()
    if (!request.complete && !request.socket.destroyed) closeAfterLinger(request)
    this.#all.delete(this)
    this.#settle(this.#outcome())
  }

  /** Sends a head that no body followed in the same turn: a slow page, an event stream. */
  flush(): void {
    if (!this.#hasBody && !this.#isAnswered && !this.#isOver) this.#its.response.flushHeaders()
  }

  /**
   * Looks whether the client and the upstream keep up, a few times a second: whoever is waited for, and too long, is
   * given up. A look instead of a timer for each request, which would cost every request two of them.
   */
  sweep(elapsedMs: number): void {
    if (this.#isHeld) this.#sweepHeld()
    this.#sweepClient(elapsedMs)
    if (!this.#isOver && !this.#isAnswered && this.#failure === undefined) this.#sweepUpstream(elapsedMs)
  }

  #sweepClient(elapsedMs: number): void {
    const { limits } = this.#its.snapshot
    const body = this.#body
    if (body?.isWaitingForClient && !this.#isAnswered) {
      this.#sending ??= new Pace()
      const isTooSlow = this.#sending.isTooSlow(body.bytes, elapsedMs, limits)
      if (isTooSlow) body.destroy(new RequestBodyError('slow-request'))
    }
    if (this.#isBlocked) this.#sweepSlowReader(elapsedMs)
    const { request, response } = this.#its
    if (this.#isBlocked || (this.#isAnswered && response.writableLength > 0)) {
      const read = this.#responseBytes - response.writableLength
      this.#reading ??= new Pace()
      if (this.#reading.isTooSlow(read, elapsedMs, limits)) request.socket.destroy()
    }
  }

  /** Slow readers may hold connections until other requests need them. The sweep meets the oldest exchange first. */
  #sweepSlowReader(elapsedMs: number): void {
    const connections = this.#address?.connections
    if (connections === undefined || this.#connection === undefined) return
    this.#blockedMs += elapsedMs
    if (this.#blockedMs < SLOW_READER_MS) return
    if (!this.#isSlowReader) {
      this.#isSlowReader = true
      connections.beginSlowReader()
    }
    if (!connections.mustEvictSlowReader()) return
    this.#endSlowReader()
    this.#its.request.socket.destroy()
  }

  #endSlowReader(): void {
    this.#blockedMs = 0
    if (!this.#isSlowReader) return
    this.#isSlowReader = false
    this.#address?.connections.endSlowReader()
  }

  #sweepUpstream(elapsedMs: number): void {
    const moved = (this.#body?.bytes ?? 0) + this.#responseBytes
    const isMoving = moved !== this.#movedBytes || this.#isBlocked || this.#body?.isWaitingForClient === true
    this.#movedBytes = moved
    if (this.#connection === undefined) return
    if (isMoving && this.#wasSent) {
      this.#silentMs = 0
      return
    }
    const before = this.#silentMs
    this.#silentMs += elapsedMs
    const { timeouts } = (this.#live as LiveUpstream).upstream
    const [limitMs, failure] = !this.#wasSent
      ? [this.#timeouts?.connectMs ?? timeouts.connectMs, 'connect-timeout' as const]
      : this.#hasHead
        ? [this.#timeouts?.idleMs ?? timeouts.idleMs, 'response-broken' as const]
        : [this.#timeouts?.headersMs ?? timeouts.headersMs, 'response-timeout' as const]
    // The first look after a step may come at once: it is the one before that counts.
    if (limitMs === 0 || before < limitMs) return
    this.#silentMs = 0
    this.#connection.abort(new UpstreamTimeout(failure))
  }

  // ---- bookkeeping ----

  #passInformational(status: number, list: string[]): void {
    const { head, response } = this.#its
    if (++this.#informational > MOST_INFORMATIONAL) {
      this.#connection?.abort(new ResponseError('informational responses without end'))
      return
    }
    if (status === 100) {
      this.#goAhead()
      return
    }
    if (head.minorVersion === 0 || typeof response.writeInformation !== 'function') return
    try {
      response.writeInformation(status, list)
    } catch (error) {
      this.#connection?.abort(error as Error)
    }
  }

  /** RFC 9110 section 10.1.1: the word that the client is waiting for. Said to nobody who did not ask. */
  #goAhead(): void {
    const { head, response } = this.#its
    if (this.#body === undefined || !this.#body.isHeldBack || head.fields.expect === undefined) return
    this.#body.isHeldBack = false
    if (!response.headersSent && !response.destroyed) response.writeContinue()
  }

  #judge(failure: Failure | undefined, status: number): void {
    const address = this.#address
    if (address === undefined) return
    if (failure === undefined ? status < 500 : !blamesTarget(failure)) {
      if (failure === undefined) this.#use.upstreams.succeeded(address)
      return
    }
    // A request that has not arrived whole can be made to fail by whoever sends it: a body that dawdles until the upstream
    // gives up, or never comes. Only the upstream's not being there is held against it then.
    if (failure !== undefined && !FAILURES[failure].nothingSent && !this.#its.request.complete) return
    const live = this.#live as LiveUpstream
    this.#use.upstreams.failed(live, address, failure !== undefined, failure ?? `status ${status}`)
  }

  #release(): void {
    this.#endUpload()
    this.#endSlowReader()
    const connection = this.#connection
    if (connection === undefined) return
    this.#connection = undefined
    ;(this.#address as Address).connections.release(connection)
  }

  #outcome(): Outcome {
    const { response } = this.#its
    const address = this.#address
    const hasAnswer = this.#headAt > 0
    return {
      status: response.headersSent ? response.statusCode : FAILURES['client-gone'].status,
      failure: this.#failure,
      cause: this.#cause,
      answeredBy: hasAnswer ? address?.answerer : undefined,
      upstreamMs: hasAnswer ? this.#headAt - this.#askedAt : undefined,
      upstreamTotalMs: this.#askedAt > 0 ? (this.#endAt || this.#use.now()) - this.#askedAt : undefined,
      requestBytes: this.#body?.bytes ?? 0,
      responseBytes: this.#responseBytes,
      attempts: this.#attempts,
      retried: this.#retried,
      fallbackCause: this.#fellBack,
    }
  }
}

const EXPECTS_BODY = new Set(['POST', 'PUT', 'PATCH', 'QUERY', 'PROPFIND', 'PROPPATCH', 'REPORT', 'MKCOL', 'SEARCH'])
/**
 * One listener for all responses: the exchange is found on the response it belongs to. A property and not a WeakMap,
 * whose entries outlive every minor collection: with one the collector took 16 % of a profile, without it 3 %.
 */
const EXCHANGE = Symbol('exchange')

type WithExchange = ServerResponse & { [EXCHANGE]?: Exchange }

function onResponseClose(this: WithExchange): void {
  this[EXCHANGE]?.onResponseClose()
}

function onDrain(this: WithExchange): void {
  this[EXCHANGE]?.onDrain()
}

function onQueueTimeout(exchange: Exchange): void {
  exchange.onQueueTimeout()
}

/** Requests with a body that begin at the end of this turn of the parser: one microtask for all of them. */
let toStart: Exchange[] = []

function startSoon(exchange: Exchange): void {
  if (toStart.push(exchange) === 1) queueMicrotask(startAll)
}

function startAll(): void {
  const due = toStart
  toStart = []
  for (const exchange of due) exchange.startNow()
}

/** Heads to be flushed at the end of this turn of the parser: one microtask for all of them. */
let toFlush: Exchange[] = []

function flushSoon(exchange: Exchange): void {
  if (toFlush.push(exchange) === 1) queueMicrotask(flushAll)
}

function flushAll(): void {
  const due = toFlush
  toFlush = []
  for (const exchange of due) exchange.flush()
}

/**
 * Makes Node's close of the connection behind an answer a slow one. Closed at once, while the client sends, the kernel
 * would reset the connection, and the reset would overtake the answer.
 */
function closeAfterBody(socket: Socket): void {
  markTurnedAway(socket, 'early-answer')
  socket.destroySoon = () => socket.end()
}

/** The answer is out and the client still sends: what it sends is drained for a while, and then the connection goes. */
function closeAfterLinger(request: IncomingMessage): void {
  const { socket } = request
  const timer = setTimeout(() => socket.destroy(), LINGER_MS)
  timer.unref()
  request.once('end', () => socket.destroy())
  request.once('close', () => clearTimeout(timer))
}
