// One WebSocket connection: the handshake with an upstream, the fallback to legacy, the switch and the end.
import type { ClientRequest, IncomingMessage } from 'node:http'
import type { Socket } from 'node:net'
import type { ProxyServer, ProxyServerOptions } from 'httpxy'
import { FAILURES, type Failure } from '../../model/failures.ts'
import type { Outcome } from '../../model/outcome.ts'
import type { Side, Timeouts, Upstream } from '../../model/route.ts'
import type { Snapshot } from '../../model/snapshot.ts'
import type { RequestFacts } from '../../telemetry/events.ts'
import { continueTrace } from '../../telemetry/trace.ts'
import type { DataPlane } from '../data-plane.ts'
import { rawError } from '../downstream/respond-error.ts'
import { classifyError, UpstreamTimeout } from '../forward/classify-error.ts'
import { applyRulesToObject, hopByHopOf, requestHeaders, toFieldObject } from '../forward/headers.ts'
import { mapHeadersBack, publicView } from '../forward/map-back.ts'
import { mayFallBack } from '../forward/may-repeat.ts'
import type { Policy } from '../policy/apply-policy.ts'
import { effectiveDecision } from '../policy/decide.ts'
import { acceptsPath } from '../policy/encoded-slashes.ts'
import { upstreamPath } from '../policy/path.ts'
import { upstreamFor } from '../policy/upstream-for.ts'
import { blamesTarget } from '../upstream/health.ts'
import { ResponseError } from '../upstream/response-parser.ts'
import type { Address } from '../upstream/upstreams.ts'

/** One upgraded connection, from the request to the last byte. */
export class Tunnel {
  readonly #plane: DataPlane
  readonly #snapshot: Snapshot
  readonly #policy: Policy
  readonly #request: IncomingMessage
  readonly #socket: Socket
  readonly #arrivedAt: number
  readonly #tunnels: Set<Tunnel>
  readonly #proxy: ProxyServer
  #side: Side
  #upstream: Upstream
  #address: Address | undefined
  #outgoing: ClientRequest | undefined
  #upstreamSocket: Socket | undefined
  #isConnected = false
  /** The upstream has answered the handshake, so the request cannot fall back to legacy. */
  #hasAnswer = false
  #attempts = 0
  #fellBack: Failure | undefined
  #status = 0
  #headAt = 0
  #failure: Failure | undefined
  #cause: unknown

  constructor(
    plane: DataPlane,
    policy: Policy,
    request: IncomingMessage,
    socket: Socket,
    arrivedAt: number,
    tunnels: Set<Tunnel>,
    proxy: ProxyServer,
  ) {
    this.#plane = plane
    this.#snapshot = policy.snapshot
    this.#policy = policy
    this.#request = request
    this.#socket = socket
    this.#arrivedAt = arrivedAt
    this.#tunnels = tunnels
    this.#proxy = proxy
    this.#side = policy.decision.side
    this.#upstream = upstreamFor(policy.route, this.#side, policy.snapshot)
  }

  get side(): Side {
    return this.#side
  }

  get context(): string | undefined {
    return this.#policy.route.context?.name
  }

  /** @param early bytes that the client sent after the handshake, before its answer */
  open(early: Buffer): void {
    this.#tunnels.add(this)
    this.#socket.once('close', () => this.#finish())
    this.#socket.on('error', () => {})
    this.#socket.on('readable', this.#onReadable)
    this.#sendTo(this.#side, early)
  }

  #sendTo(side: Side, early: Buffer): void {
    const { head, identity, match } = this.#policy
    const plane = this.#plane
    const upstream = upstreamFor(this.#policy.route, side, this.#snapshot)
    const address = plane.upstreams.selectAddress(plane.upstreams.get(upstream))
    this.#side = side
    this.#upstream = upstream
    this.#address = address
    this.#isConnected = false
    if (address === undefined) {
      this.#recover('unavailable', undefined)
      return
    }
    this.#attempts++
    const { traceparent } = continueTrace(head.fields.traceparent, plane.random)
    const rules = match.route.headers
    const added = { head, identity, snapshot: this.#snapshot, rules, viaName: plane.viaName, traceparent }
    // httpxy forwards these two properties. They are edited here because httpxy does not call its hooks in all cases.
    this.#request.url = upstreamPath(head, match, side)
    this.#request.headers = {
      ...toFieldObject(requestHeaders(added, upstream, address.authority)),
      connection: 'Upgrade',
      upgrade: 'websocket',
    }
    const options: ProxyServerOptions = {
      target: address.url,
      agent: false as never,
      // A copy, because httpxy modifies the object.
      ssl: { ...upstream.tls, servername: address.servername } as never,
      secure: upstream.tls?.rejectUnauthorized ?? true,
    }
    keepOpen(this.#socket)
    void this.#proxy.ws(this.#request as never, this.#socket as never, options as never, early)
  }

  /** Follows the request to the upstream, with listeners that run before httpxy's. */
  watch(outgoing: ClientRequest): void {
    this.#outgoing = outgoing
    const { connectMs, headersMs } = { ...this.#upstream.timeouts, ...definedTimeouts(this.#policy.route.timeouts) }
    let timer = this.#giveUpAfter(connectMs, 'connect-timeout', outgoing)
    const onResponse = () => {
      clearTimeout(timer)
      this.#hasAnswer = true
      mayEnd(this.#socket)
    }
    outgoing.prependOnceListener('upgrade', (answer: IncomingMessage, upstreamSocket: Socket) => {
      onResponse()
      this.#socket.off('readable', this.#onReadable)
      if (answer.headers.upgrade?.toLowerCase() === 'websocket') {
        this.#switchProtocols(answer, upstreamSocket)
      } else {
        upstreamSocket.destroy()
        this.fail(new ResponseError('a switch to another protocol'))
      }
    })
    outgoing.prependOnceListener('response', (answer) => {
      onResponse()
      this.#forwardResponse(answer)
    })
    outgoing.once('close', () => clearTimeout(timer))
    outgoing.once('socket', (socket) => {
      socket.once('encrypted' in socket ? 'secureConnect' : 'connect', () => {
        this.#isConnected = true
        clearTimeout(timer)
        timer = this.#giveUpAfter(headersMs, 'response-timeout', outgoing)
      })
    })
  }

  #giveUpAfter(limitMs: number, failure: 'connect-timeout' | 'response-timeout', outgoing: ClientRequest) {
    return setTimeout(() => outgoing.destroy(new UpstreamTimeout(failure)), limitMs || FOREVER_MS)
  }

  /** Handles an error of httpxy: before the response head it is answered, later the connection breaks. */
  fail(error: unknown): void {
    if (this.#socket.destroyed && this.#status === 0) this.#failure ??= 'client-gone'
    else if (this.#status === 0) this.#recover(classifyError(error, this.#isConnected), error)
    else if (this.#status !== 101) this.#failure ??= 'response-broken'
  }

  end(): void {
    mayEnd(this.#socket)
    this.#socket.end()
    this.#upstreamSocket?.end()
  }

  cut(): void {
    this.#socket.destroy()
    this.#upstreamSocket?.destroy()
  }

  /** Reads from the client while it waits for the answer: without a read the end of its connection is not detected. */
  #onReadable = (): void => {
    if (this.#socket.readableLength > 0) return
    this.#socket.once('end', () => this.#socket.destroy())
    this.#socket.read(0)
  }

  /** Any status but 101: httpxy forwards the response with the fields that are set here. */
  #forwardResponse(answer: IncomingMessage): void {
    this.#socket.off('readable', this.#onReadable)
    dismiss(this.#socket)
    if (answer.statusCode === 101) {
      answer.destroy()
      this.fail(new ResponseError('101 without Upgrade'))
      return
    }
    this.#status = answer.statusCode ?? 502
    this.#headAt = this.#plane.now()
    answer.httpVersion = '1.1'
    const { headers } = answer
    for (const name of hopByHopOf(headers.connection)) delete headers[name]
    this.#editFields(headers)
    // A body without length and chunks ends with the connection: a reset marks it as incomplete.
    answer.once('error', () => this.#socket.resetAndDestroy())
  }

  #switchProtocols(answer: IncomingMessage, upstreamSocket: Socket): void {
    this.#status = 101
    this.#headAt = this.#plane.now()
    this.#upstreamSocket = upstreamSocket
    this.#editFields(answer.headers)
    if (this.#address !== undefined) this.#plane.upstreams.recordSuccess(this.#address)
    const idleMs = this.#policy.route.timeouts?.idleMs ?? 0
    if (idleMs > 0) setImmediate(() => this.#socket.setTimeout(idleMs, () => this.cut()))
    this.#closeAfter(upstreamSocket, this.#socket)
    this.#closeAfter(this.#socket, upstreamSocket)
    this.#plane.events.upgradeOpened(this.#requestFacts())
  }

  /** Closes the second connection after the first, once it has sent its buffered bytes. */
  #closeAfter(first: Socket, second: Socket): void {
    const close = () => {
      second.destroySoon()
      second.setTimeout(this.#snapshot.limits.clientIdleMs, () => second.destroy())
    }
    first.once('end', close).once('close', close)
  }

  /** Sets the fields of every response: the request id, the route's rules, and the cookie of a new client. */
  #editFields(headers: IncomingMessage['headers']): void {
    const { head, identity, match } = this.#policy
    mapHeadersBack(headers, publicView(head, identity, this.#snapshot, match.route, this.#upstream))
    const rules = match.route.headers?.response
    if (rules !== undefined) applyRulesToObject(headers, rules)
    headers['x-request-id'] ??= identity.requestId
    if (identity.isNew && match.route.context !== undefined) {
      const cookie = this.#plane.anonymousIds.setCookie(identity.key, identity.secure)
      headers['set-cookie'] = [...(headers['set-cookie'] ?? []), cookie]
    }
  }

  /** Falls back to legacy if the service has not answered the handshake; otherwise answers the failure. */
  #recover(failure: Failure, cause: unknown): void {
    this.#reportHealth(failure)
    if (!this.#mayFallBack(failure)) {
      this.#fail(failure, cause)
      return
    }
    this.#fellBack = failure
    const fallBack = () => {
      if (!this.#socket.destroyed) this.#sendTo('legacy', NOTHING)
    }
    // httpxy ends the client's socket when its request fails: `end` stays disabled until then.
    const outgoing = this.#outgoing
    if (outgoing === undefined || outgoing.closed) fallBack()
    else outgoing.once('close', fallBack)
  }

  #mayFallBack(failure: Failure): boolean {
    const { decision, head } = this.#policy
    if (this.#side === 'legacy' || !decision.fallback || this.#hasAnswer || this.#fellBack !== undefined) return false
    if (!acceptsPath(head, this.#policy.route, this.#snapshot.legacy)) return false
    return mayFallBack(failure, { method: head.method, hasBody: false, hasBodyBegun: false })
  }

  /** Counts only connection failures: a service may reject an upgrade, and any client can request one. */
  #reportHealth(failure: Failure): void {
    if (this.#address !== undefined && blamesTarget(failure) && FAILURES[failure].nothingSent) {
      const { upstreams } = this.#plane
      upstreams.recordFailure(upstreams.get(this.#upstream), this.#address, true, failure)
    }
  }

  #fail(failure: Failure, cause: unknown): void {
    this.#failure = failure
    this.#cause = cause
    this.#status = FAILURES[failure].status
    mayEnd(this.#socket)
    this.#socket.off('readable', this.#onReadable)
    dismiss(this.#socket)
    if (this.#socket.writable) this.#socket.end(rawError(failure, this.#policy.identity.requestId))
    else this.#socket.destroy()
  }

  #finish(): void {
    if (!this.#tunnels.delete(this)) return
    this.#outgoing?.destroy()
    if (this.#status === 0) {
      this.#failure = 'client-gone'
      this.#status = FAILURES['client-gone'].status
    }
    const facts = this.#requestFacts()
    if (this.#status === 101) {
      this.#plane.events.upgradeClosed({
        ...facts,
        bytesIn: this.#socket.bytesRead,
        bytesOut: this.#socket.bytesWritten,
      })
    } else {
      this.#plane.events.requestFinished(facts)
    }
  }

  #requestFacts(): RequestFacts {
    const { head, identity, match, decision } = this.#policy
    const upstreamMs = this.#headAt > 0 ? this.#headAt - this.#arrivedAt : undefined
    const outcome: Outcome = {
      status: this.#status,
      failure: this.#failure,
      cause: this.#cause,
      answeredBy: this.#headAt > 0 ? this.#address?.responder : undefined,
      upstreamMs,
      upstreamTotalMs: upstreamMs,
      requestBytes: 0,
      responseBytes: 0,
      attempts: Math.max(1, this.#attempts),
      retried: false,
      fallbackCause: this.#fellBack,
    }
    return {
      arrivedAt: this.#arrivedAt,
      finishedAt: this.#plane.now(),
      head,
      identity,
      route: match.route,
      decision: effectiveDecision(decision, outcome),
      outcome,
    }
  }
}

/** How long a client may take to close its connection after the answer, in milliseconds. */
const LINGER_MS = 2000

/** Discards the bytes that a refused client still sends, and closes its connection soon after the answer is written. */
export function dismiss(socket: Socket): void {
  socket.resume()
  socket.once('finish', () => {
    const timer = setTimeout(() => socket.destroy(), LINGER_MS)
    socket.once('close', () => clearTimeout(timer))
  })
}

/** The longest time of a timer: a timeout of 0 disables the limit. */
const FOREVER_MS = 2 ** 31 - 1

const NOTHING = Buffer.alloc(0)

/**
 * Disables `end` of a client's socket while the request may fall back to legacy: httpxy calls `end` as soon as its request
 * to the upstream fails. `destroy` still works, because Node calls it when the client disconnects.
 */
function keepOpen(socket: Socket): void {
  socket.end = () => socket
}

function mayEnd(socket: Socket): void {
  // Without the own property, `end` is the method of the prototype again.
  delete (socket as Partial<Socket>).end
}

/** A route's timeouts without the undefined ones, which the upstream defines. */
function definedTimeouts(timeouts: Partial<Timeouts> | undefined): Partial<Timeouts> {
  return Object.fromEntries(Object.entries(timeouts ?? {}).filter(([, ms]) => ms !== undefined))
}
