// One request of the application that goes to a service: sent by http-proxy-middleware, returned to the application if the
// service cannot answer, and reported once.
import type { ClientRequest, IncomingMessage, ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import { FAILURES, type Failure } from '../../model/failures.ts'
import type { Outcome } from '../../model/outcome.ts'
import type { Random } from '../../model/ports.ts'
import type { Upstream } from '../../model/route.ts'
import { endAfterBody, writeError } from '../../proxy/downstream/respond-error.ts'
import { classifyError } from '../../proxy/forward/classify-error.ts'
import { applyRulesToObject, hopByHopOf, requestHeaders, toFieldObject } from '../../proxy/forward/headers.ts'
import { mapHeadersBack, publicView } from '../../proxy/forward/map-back.ts'
import { failureForClient, mayFallBack } from '../../proxy/forward/may-repeat.ts'
import type { Policy } from '../../proxy/policy/apply-policy.ts'
import { effectiveDecision } from '../../proxy/policy/decide.ts'
import { upstreamPath } from '../../proxy/policy/path.ts'
import { upstreamFor } from '../../proxy/policy/upstream-for.ts'
import { blamesTarget } from '../../proxy/upstream/health.ts'
import type { Address, Upstreams } from '../../proxy/upstream/upstreams.ts'
import type { Events } from '../../telemetry/events.ts'
import { continueTrace } from '../../telemetry/trace.ts'
import { type ProxiedRequest, proxyTo } from './service-proxy.ts'

/** The parts of the embedded gateway that a request uses. */
export type ServiceRequestSources = {
  readonly upstreams: Upstreams
  readonly events: Events
  readonly random: Random
  readonly now: () => number
  readonly viaName: string
}

type ServiceRequestOptions = {
  readonly request: IncomingMessage
  readonly response: ServerResponse
  readonly policy: Policy
  readonly address: Address
  /** The cookie of a new client, which is added to the cookies of the service. */
  readonly cookie: string | undefined
  /** Leaves the request to the application. */
  readonly stay: () => void
}

export class ServiceRequest implements ProxiedRequest {
  readonly #sources: ServiceRequestSources
  readonly #options: ServiceRequestOptions
  readonly #service: Upstream
  readonly #askedAt: number
  /** The request as the application must see it if the service cannot answer. */
  readonly #untouched: Pick<IncomingMessage, 'url' | 'headers'>
  #headAt: number | undefined
  /** The connection to the service was open, so part of the request may have arrived. */
  #wasSent = false
  #timeout: 'connect-timeout' | 'response-timeout' | undefined
  #failure: Failure | undefined
  #hasFallenBack = false

  constructor(sources: ServiceRequestSources, options: ServiceRequestOptions) {
    const { request, policy } = options
    this.#sources = sources
    this.#options = options
    this.#service = upstreamFor(policy.route, 'service', policy.snapshot)
    this.#askedAt = sources.now()
    this.#untouched = { url: request.url, headers: request.headers }
  }

  get url(): string {
    return this.#options.address.url
  }

  /** Edits the request, because http-proxy-middleware forwards its properties, and sends it. */
  send(): void {
    const { random, viaName } = this.#sources
    const { request, response, policy, address } = this.#options
    const { head, identity, match, route, snapshot } = policy
    const { traceparent, traceId } = continueTrace(head.fields.traceparent, random)
    const added = { head, identity, snapshot, rules: route.headers, viaName, traceparent }
    const fields = toFieldObject(requestHeaders(added, this.#service, address.authority))
    if (head.body.kind === 'chunked') fields['transfer-encoding'] = 'chunked'
    request.headers = fields
    request.url = upstreamPath(head, match, 'service')
    response.once('close', () => this.#finish(traceId))
    proxyTo(this.#service, request, response, this)
  }

  /** Notes whether the connection opens, and which of the two timeouts ends the wait. */
  connecting(outgoing: ClientRequest): void {
    const { connectMs } = this.#service.timeouts
    outgoing.once('timeout', () => {
      this.#timeout ??= this.#wasSent ? 'response-timeout' : 'connect-timeout'
    })
    if (outgoing.reusedSocket) {
      this.#wasSent = true
      return
    }
    const giveUp = () => {
      this.#timeout ??= 'connect-timeout'
      outgoing.destroy()
    }
    const timer = connectMs > 0 ? setTimeout(giveUp, connectMs) : undefined
    const socket = outgoing.socket as Socket
    socket.once('encrypted' in socket ? 'secureConnect' : 'connect', () => {
      this.#wasSent = true
      clearTimeout(timer)
    })
    outgoing.once('close', () => clearTimeout(timer))
  }

  answered({ headers }: IncomingMessage): void {
    const { policy, cookie } = this.#options
    const { head, identity, route, snapshot } = policy
    this.#headAt = this.#sources.now()
    mapHeadersBack(headers, publicView(head, identity, snapshot, route, this.#service))
    const rules = route.headers?.response
    if (rules !== undefined) applyRulesToObject(headers, rules)
    if (cookie !== undefined) headers['set-cookie'] = [...(headers['set-cookie'] ?? []), cookie]
    for (const name of hopByHopOf(headers.connection)) delete headers[name]
  }

  failed(error: unknown): void {
    const { upstreams } = this.#sources
    const { request, response, policy, address, stay } = this.#options
    const { head, decision, identity } = policy
    const failure = response.headersSent ? 'response-broken' : (this.#timeout ?? classifyError(error, this.#wasSent))
    this.#failure = failure
    if (blamesTarget(failure)) upstreams.recordFailure(upstreams.get(this.#service), address, true, failure)
    const hasBody = head.body.kind !== 'none'
    const hasBodyBegun = hasBody && request.readableDidRead
    if (response.headersSent) {
      request.socket.destroy()
    } else if (decision.fallback && mayFallBack(failure, { method: head.method, hasBody, hasBodyBegun })) {
      this.#hasFallenBack = true
      Object.assign(request, this.#untouched)
      stay()
    } else {
      this.#failure = failureForClient(failure, 'service', head.method)
      writeError(response, this.#failure, identity.requestId, !request.complete)
      endAfterBody(request, response)
    }
  }

  #finish(traceId: string): void {
    const { upstreams, events, now } = this.#sources
    const { response, policy, address } = this.#options
    if (!response.writableFinished) this.#failure ??= 'client-gone'
    if (this.#failure === undefined && response.statusCode < 500) upstreams.recordSuccess(address)
    const outcome = this.#outcome()
    events.requestFinished({
      arrivedAt: this.#askedAt,
      finishedAt: now(),
      head: policy.head,
      identity: policy.identity,
      route: policy.route,
      decision: effectiveDecision(policy.decision, outcome),
      outcome,
      traceId,
    })
  }

  #outcome(): Outcome {
    const { response, address } = this.#options
    const headAt = this.#headAt
    return {
      status: response.headersSent ? response.statusCode : FAILURES['client-gone'].status,
      failure: this.#hasFallenBack ? undefined : this.#failure,
      cause: undefined,
      answeredBy: headAt === undefined ? undefined : address.responder,
      upstreamMs: headAt && headAt - this.#askedAt,
      upstreamTotalMs: this.#sources.now() - this.#askedAt,
      requestBytes: 0,
      responseBytes: 0,
      attempts: 1,
      retried: false,
      fallbackCause: this.#hasFallenBack ? this.#failure : undefined,
    }
  }
}
