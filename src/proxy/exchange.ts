// One request and its answer: asked, streamed back, and where that fails asked again, given to legacy, or told.
import { type IncomingMessage, type ServerResponse, STATUS_CODES } from 'node:http'
import { type Client, type Dispatcher, errors } from 'undici'
import { FAILURES, type Failure, type Outcome } from '../model/outcome.ts'
import type { Side, Timeouts } from '../model/route.ts'
import { dispatchCarefully } from './careful-dispatch.ts'
import { classifyError, ResponseError } from './classify-error.ts'
import type { Waiter } from './connections.ts'
import type { ForwardDependencies, Forwarding } from './forward.ts'
import { type Added, requestHeaders, responseHeaders, trailers } from './headers.ts'
import { blamesTarget } from './health.ts'
import { mayAskLegacy, mayRetry, type Sent } from './may-repeat.ts'
import { Pace } from './pace.ts'
import { upstreamPath } from './path.ts'
import { RequestBody, RequestBodyError } from './request-body.ts'
import { endAfterBody, writeError } from './respond-error.ts'
import { sharedFields } from './run-middleware.ts'
import { spent } from './spent-buffers.ts'
import type { Address, LiveUpstream } from './upstreams.ts'

/** What a client may wait at most after its answer, in milliseconds, while it is still sending. */
const LINGER_MS = 2000
/** Below this a copy costs less than a second buffer in the system call. */
const SMALL_BODY_BYTES = 4096
/** From here on a piece of a body is worth a system call of its own. */
const LARGE_CHUNK_BYTES = 16 * 1024
/** Informational responses per request; a server that never stops sending them is cut (F17). */
const MOST_INFORMATIONAL = 32

/**
 * One request and its answer. It is undici's handler as well (the methods called `onResponse…`), so that a request
 * costs one object and no closures.
 */
export class Exchange implements Dispatcher.DispatchHandler, Waiter {
  readonly #use: ForwardDependencies
  readonly #its: Forwarding
  readonly #all: Set<Exchange>
  readonly #settle: (outcome: Outcome) => void
  readonly #body: RequestBody | undefined
  readonly #timeouts: Partial<Timeouts> | undefined

  isWaiting = false
  #queueTimer: NodeJS.Timeout | undefined = undefined
  #side: Side
  #live: LiveUpstream | undefined = undefined
  #address: Address | undefined = undefined
  #client: Client | undefined = undefined
  #controller: Dispatcher.DispatchController | undefined = undefined
  /** The request has a connection: from here on some of it may have arrived. */
  #wasSent = false
  #hasHead = false
  #hasBody = false
  #endsWithConnection = false
  /** On a connection of its own, beside the one that it holds a place with. */
  #isCareful = false
  #isAnswered = false
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
  /** Milliseconds that the upstream has been waited for in vain; the sweep keeps it. */
  #silentMs = 0
  #movedBytes = 0
  /** Made when the client is first waited for: hardly any request lives to see it. */
  #sending: Pace | undefined = undefined
  #reading: Pace | undefined = undefined

  constructor(use: ForwardDependencies, its: Forwarding, all: Set<Exchange>, settle: (outcome: Outcome) => void) {
    this.#use = use
    this.#its = its
    this.#all = all
    this.#settle = settle
    this.#side = its.decision.side
    this.#timeouts = its.match.route.timeouts
    const { body } = its.head
    const isEmpty = body.kind === 'none' || (body.kind === 'length' && body.bytes === 0)
    this.#body = isEmpty ? undefined : new RequestBody(its.request, its.match.route.maxBodyBytes)
  }

  start(): void {
    const { head, match, response } = this.#its
    ;(response as WithExchange)[EXCHANGE] = this
    response.on('close', onResponseClose)
    if (head.body.kind === 'length' && head.body.bytes > match.route.maxBodyBytes) {
      this.#fail('body-too-large', undefined)
      return
    }
    this.#turnTo(this.#side)
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
    const taken = address.connections.take(this)
    if (taken === 'full') {
      this.#fail('overloaded', undefined)
    } else if (taken === 'queued') {
      const queueMs = this.#timeouts?.queueMs ?? (this.#live as LiveUpstream).upstream.timeouts.queueMs
      if (queueMs > 0) this.#queueTimer = setTimeout(onQueueTimeout, queueMs, this)
    } else {
      this.#send(taken)
    }
  }

  onConnection(client: Client): void {
    clearTimeout(this.#queueTimer)
    this.#send(client)
  }

  onQueueTimeout(): void {
    this.#address?.connections.leave(this)
    this.#fail('overloaded', undefined)
  }

  #send(client: Client): void {
    const { head, identity, snapshot, match, request, response, traceparent } = this.#its
    const live = this.#live as LiveUpstream
    const address = this.#address as Address
    this.#client = client
    this.#controller = undefined
    this.#wasSent = false
    this.#isCareful = false
    this.#silentMs = 0
    this.#attempts++
    this.#askedAt = this.#use.now()
    const added: Added = { head, identity, snapshot, viaName: this.#use.viaName, traceparent }
    const headers = requestHeaders(added, live.upstream, address.authority)
    const options: Dispatcher.DispatchOptions = {
      method: head.method as Dispatcher.HttpMethod,
      path: upstreamPath(head, match, this.#side),
      headers,
      body: this.#body ?? null,
      // Any constant: undici would work one out from the Host of each request. The connector knows the real one.
      servername: address.authority,
    } as Dispatcher.DispatchOptions
    // A body on a method that has none is what smugglers send (CVE-2026-29057): its connection is never used again.
    if (!live.upstream.reuse || (this.#body !== undefined && !EXPECTS_BODY.has(head.method))) options.reset = true
    if (this.#body !== undefined && (head.fields.expect !== undefined || head.fields.trailer !== undefined)) {
      const userHeader = snapshot.identity.user?.header
      const careful = {
        address,
        upstream: live.upstream,
        options,
        request,
        response,
        head,
        body: this.#body,
        userHeader,
      }
      this.#isCareful = true
      this.#controller = dispatchCarefully(careful, this)
    } else {
      client.dispatch(options, this)
    }
  }

  // ---- undici's handler ----

  onRequestStart(controller: Dispatcher.DispatchController): void {
    this.#controller = controller
    this.#wasSent = true
    this.#silentMs = 0
    if (this.#isOver) controller.abort(new RequestBodyError('client-gone'))
  }

  onResponseStart(
    controller: Dispatcher.DispatchController,
    status: number,
    _parsed: unknown,
    statusMessage?: string,
  ): void {
    const { head, identity, match, response } = this.#its
    const raw = controller.rawHeaders as (Buffer | string)[]
    const mayHaveChunks = head.minorVersion === 1 && head.method !== 'HEAD'
    const { list, hasRequestId, hasUnknownCoding, endsWithConnection } = responseHeaders(raw, status, mayHaveChunks)
    this.#endsWithConnection = endsWithConnection
    if (hasUnknownCoding || status === 101 || status < 100 || status > 999) {
      controller.abort(new ResponseError(hasUnknownCoding ? 'unknown transfer coding' : `status ${status}`))
      return
    }
    if (status < 200) {
      this.#passInformational(controller, status, list)
      return
    }
    this.#headAt = this.#use.now()
    this.#silentMs = 0
    if (!hasRequestId) list.push('X-Request-Id', identity.requestId)
    if (identity.isNew && match.route.context !== undefined) {
      list.push('Set-Cookie', this.#use.anonymousIds.setCookie(identity.key, identity.secure))
    }
    if (match.route.middleware.length > 0) list.push(...sharedFields(response))
    if (this.#use.isDraining()) list.push('Connection', 'close')
    try {
      response.writeHead(status, reasonPhrase(status, statusMessage), list)
    } catch (error) {
      // Node refuses to write what it would not read: control characters in a field or in the reason.
      controller.abort(error as Error)
      return
    }
    this.#hasHead = true
    // The head waits for the first bytes of the body, to go in one packet; if none are here yet, it goes alone.
    if (head.method !== 'HEAD') flushSoon(this)
  }

  onResponseData(controller: Dispatcher.DispatchController, chunk: Buffer): void {
    // undici runs its parser over nothing when it resumes; written on, that is a system call that sends nothing.
    if (chunk.length === 0) return
    const { response } = this.#its
    const isSmall = !this.#hasBody && chunk.length <= SMALL_BODY_BYTES
    this.#hasBody = true
    this.#responseBytes += chunk.length
    spent(chunk.length)
    // As latin1 text, which is one byte a character, Node sends head and body as one string in one write.
    const isTaken = isSmall ? response.write(chunk.toString('latin1'), 'latin1') : response.write(chunk)
    // Node keeps what is written until the end of the turn. A large piece goes at once, and where the system took all of
    // it there is nothing to wait for.
    if (chunk.length >= LARGE_CHUNK_BYTES) response.socket?.uncork()
    if (isTaken || response.writableLength === 0) return
    if (response.listenerCount('drain') === 0) response.on('drain', onDrain)
    this.#isBlocked = true
    controller.pause()
  }

  onResponseEnd(controller: Dispatcher.DispatchController): void {
    const { response } = this.#its
    const client = this.#client
    if (this.#endsWithConnection && !this.#isCareful && client && this.#address?.connections.isBroken(client)) {
      this.onResponseError(controller, new ResponseError('reset'))
      return
    }
    this.#endAt = this.#use.now()
    this.#isAnswered = true
    const raw = controller.rawTrailers as (Buffer | string)[] | undefined
    if (raw !== undefined && raw !== null && raw.length > 0) response.addTrailers(trailers(raw))
    this.#judge(undefined, response.statusCode)
    this.#release()
    // An answer that came before the end of the request: the rest of the body is drained, not sent.
    this.#body?.destroy()
    // Head and body are one string by now; uncorked it goes out in one plain write. Left to end() it would be written
    // together with the empty string that end() appends, as a vector, at twice the price.
    if (!response.chunkedEncoding) response.socket?.uncork()
    response.end()
  }

  onResponseError(_controller: Dispatcher.DispatchController, error: Error): void {
    if (this.#isOver) {
      this.#release()
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

  // ---- when it fails ----

  /** Tries again or falls back where allowed; else tells the client. */
  #recover(failure: Failure, cause: unknown): void {
    this.#judge(failure, 0)
    const live = this.#live as LiveUpstream
    const client = this.#client
    if (!this.#retried && client !== undefined && mayRetry(failure, this.#sent())) {
      const other = live.addresses.length > 1 ? this.#use.upstreams.pick(live, this.#address) : undefined
      const isWorthIt = other !== undefined || failure === 'connection-lost'
      if (isWorthIt && live.retryBudget.spend(this.#its.snapshot.retries, this.#use.now())) {
        this.#retried = true
        this.#retryOn(other, client)
        return
      }
    }
    if (this.#mayFallBack() && mayAskLegacy(failure, this.#sent())) {
      this.#release()
      this.#fellBack = failure
      this.#turnTo('legacy')
      return
    }
    this.#release()
    this.#fail(failure, cause)
  }

  /** Legacy may answer, and may be asked for this path: an encoded slash that a service takes is not for everybody. */
  #mayFallBack(): boolean {
    const { decision, head, snapshot } = this.#its
    if (this.#side === 'legacy' || !decision.fallback) return false
    return !head.hasEncodedSlash || snapshot.legacy.allowEncodedSlashes
  }

  #retryOn(other: Address | undefined, client: Client): void {
    if (other !== undefined) {
      this.#release()
      this.#ask(other)
      return
    }
    this.#client = undefined
    this.#send((this.#address as Address).connections.replace(client))
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
    const { request, head } = this.#its
    this.#failure = failure
    this.#cause = cause
    this.#endAt = this.#use.now()
    // Chunks and lengths show the break; an HTTP/1.0 body ends with the connection, so only a reset tells.
    if (head.minorVersion === 0) request.socket.resetAndDestroy()
    else request.socket.destroy()
  }

  // ---- the client's side ----

  onDrain(): void {
    if (!this.#isBlocked) return
    this.#isBlocked = false
    this.#controller?.resume()
  }

  onResponseClose(): void {
    if (this.#isOver) return
    const { request, response } = this.#its
    this.#isOver = true
    this.#address?.connections.leave(this)
    clearTimeout(this.#queueTimer)
    if (!response.writableFinished && this.#failure === undefined) {
      this.#failure = 'client-gone'
      this.#giveUp(new RequestBodyError('client-gone'))
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
    const { request, response } = this.#its
    if (this.#isBlocked || (this.#isAnswered && response.writableLength > 0)) {
      const read = this.#responseBytes - response.writableLength
      this.#reading ??= new Pace()
      if (this.#reading.isTooSlow(read, elapsedMs, limits)) request.socket.destroy()
    }
  }

  #sweepUpstream(elapsedMs: number): void {
    const moved = (this.#body?.bytes ?? 0) + this.#responseBytes
    const isMoving = moved !== this.#movedBytes || this.#isBlocked || this.#body?.isWaitingForClient === true
    this.#movedBytes = moved
    if (this.#client === undefined) return
    if (isMoving && this.#wasSent) {
      this.#silentMs = 0
      return
    }
    const before = this.#silentMs
    this.#silentMs += elapsedMs
    const { timeouts } = (this.#live as LiveUpstream).upstream
    const [limitMs, TimeoutError] = !this.#wasSent
      ? [this.#timeouts?.connectMs ?? timeouts.connectMs, errors.ConnectTimeoutError]
      : this.#hasHead
        ? [this.#timeouts?.idleMs ?? timeouts.idleMs, errors.BodyTimeoutError]
        : [this.#timeouts?.headersMs ?? timeouts.headersMs, errors.HeadersTimeoutError]
    // The first look after a step may come at once: it is the one before that counts.
    if (limitMs === 0 || before < limitMs) return
    this.#silentMs = 0
    this.#giveUp(new TimeoutError())
  }

  /** Ends the upstream's request, or the attempt to connect to it. */
  #giveUp(why: Error): void {
    if (this.#controller !== undefined) this.#controller.abort(why)
    else if (this.#client !== undefined) (this.#address as Address).connections.giveUp(this.#client, why)
  }

  // ---- bookkeeping ----

  #passInformational(controller: Dispatcher.DispatchController, status: number, list: string[]): void {
    const { head, response } = this.#its
    if (++this.#informational > MOST_INFORMATIONAL) {
      controller.abort(new ResponseError('informational responses without end'))
      return
    }
    if (head.minorVersion === 0 || typeof response.writeInformation !== 'function') return
    try {
      response.writeInformation(status, list)
    } catch (error) {
      controller.abort(error as Error)
    }
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
    const client = this.#client
    if (client === undefined) return
    this.#client = undefined
    ;(this.#address as Address).connections.release(client)
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
      fellBack: this.#fellBack,
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

/** As the upstream gave it, in ASCII: undici reads it as UTF-8, Node may not write that, and nobody acts on it. */
function reasonPhrase(status: number, given = ''): string {
  return BEYOND_ASCII.test(given) ? (STATUS_CODES[status] ?? '') : given
}

const BEYOND_ASCII = /[\u0080-\uffff]/

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

/** The answer is out and the client still sends: it may finish and keep its connection, but not for ever. */
function closeAfterLinger(request: IncomingMessage): void {
  const timer = setTimeout(() => request.socket.destroy(), LINGER_MS)
  timer.unref()
  request.once('end', () => clearTimeout(timer))
  request.once('close', () => clearTimeout(timer))
}
