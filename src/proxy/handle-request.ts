// One request, top to bottom. docs/life-of-a-request.md tells the same story in the same words.
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Decision, Identity } from '../model/decision.ts'
import type { Failure } from '../model/failures.ts'
import type { Outcome } from '../model/outcome.ts'
import type { FlagReader, Random, SnapshotSource } from '../model/ports.ts'
import type { RequestHead } from '../model/request-head.ts'
import type { RouteMatch } from '../model/route.ts'
import type { Shadowing } from '../model/shadow.ts'
import type { Snapshot } from '../model/snapshot.ts'
import type { Events } from '../telemetry/events.ts'
import { continueTrace } from '../telemetry/trace.ts'
import { peerAddress } from './downstream/peer-address.ts'
import { endAfterBody, writeError } from './downstream/respond-error.ts'
import { copyFor } from './forward/copy-for.ts'
import type { Exchange } from './forward/exchange.ts'
import type { Forwarding } from './forward/forward.ts'
import { isLoop } from './forward/headers.ts'
import type { AnonymousIds } from './policy/anonymous-id.ts'
import { answerOptions, isForGateway } from './policy/answer-options.ts'
import type { Authenticate } from './policy/authenticate.ts'
import { decide, effectiveDecision } from './policy/decide.ts'
import { acceptsEncodedSlashes } from './policy/encoded-slashes.ts'
import { type Identify, identityOfUser } from './policy/identify.ts'
import { matchRoute } from './policy/match-route.ts'
import { type RawHead, readHead } from './policy/read-head.ts'
import { Refusal } from './policy/refusal.ts'
import { runMiddleware } from './policy/run-middleware.ts'
import type { Upstreams } from './upstream/upstreams.ts'

/** What the data plane works with; `gateway.ts` builds it. */
export type DataPlane = {
  readonly snapshots: SnapshotSource
  readonly flags: FlagReader
  readonly upstreams: Upstreams
  readonly identify: Identify
  readonly authenticate: Authenticate
  readonly anonymousIds: AnonymousIds
  readonly forward: (forwarding: Forwarding) => Promise<Outcome>
  readonly exchanges: ReadonlySet<Exchange>
  readonly shadowing: Shadowing
  readonly events: Events
  readonly random: Random
  readonly now: () => number
  readonly viaName: string
}

/** What the policy says of one request. */
export type Policy = {
  readonly snapshot: Snapshot
  readonly head: RequestHead
  readonly identity: Identity
  readonly match: RouteMatch
  readonly decision: Decision
}

export function createHandleRequest(plane: DataPlane) {
  return async function handleRequest(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const arrivedAt = plane.now()
    const snapshot = plane.snapshots.current // one consistent view, from here to the end

    const head = readHead(
      rawHead(request),
      snapshot.limits,
      snapshot.identity.user?.header,
      snapshot.identity.claimHeaders,
    )
    if (head instanceof Refusal) return refuse(plane, request, response, head, arrivedAt)
    // Not switched: but Node has dropped what followed in the same packet, so nothing further can be read rightly.
    if (head.fields.upgrade !== undefined) response.shouldKeepAlive = false
    if (isForGateway(head)) {
      answerOptions(request, response)
      return plane.events.requestAnswered({ arrivedAt, finishedAt: plane.now(), head, by: 'options', status: 200 })
    }
    if (isLoop(head.fields, plane.viaName)) {
      return refuse(
        plane,
        request,
        response,
        new Refusal('loop', 'the name of this gateway in Via or CDN-Loop'),
        arrivedAt,
      )
    }

    const match = matchRoute(head, snapshot)
    const { route } = match
    let identity = plane.identify(head, snapshot, route)
    let forwarded = head
    if (route.middleware.length > 0) {
      const left = await runMiddleware(route, request, response, head, snapshot)
      if (left === undefined) {
        const { statusCode: status } = response
        const finishedAt = plane.now()
        return plane.events.requestAnswered({ arrivedAt, finishedAt, head, by: 'middleware', status, identity, route })
      }
      forwarded = left
    }
    if (route.auth !== undefined) {
      const asked = plane.authenticate(head, route.auth)
      const access = asked instanceof Promise ? await asked : asked
      if (response.destroyed) {
        const gone = new Refusal('client-gone', 'while its token’s key was fetched')
        return refuse(plane, request, response, gone, arrivedAt, head)
      }
      if (access instanceof Refusal) return refuse(plane, request, response, access, arrivedAt, head)
      if (access !== undefined) identity = identityOfUser(identity, access)
    }
    const decision = decide({
      controls: snapshot.controls,
      head,
      route,
      identity,
      flags: plane.flags,
      health: plane.upstreams,
    })
    const slash = refuseEncodedSlash(forwarded, match, decision, snapshot)
    if (slash !== undefined) return refuse(plane, request, response, slash, arrivedAt)

    const { traceparent, traceId } = continueTrace(head.fields.traceparent, plane.random)
    const tap = plane.shadowing.open({ head: forwarded, route, decision, shares: snapshot.controls.shadows })
    const forwarding = {
      request,
      response,
      head: forwarded,
      identity,
      match,
      decision,
      snapshot,
      traceparent,
      tap,
    }
    const outcome = await plane.forward(forwarding)
    plane.events.requestFinished({
      arrivedAt,
      finishedAt: plane.now(),
      head,
      identity,
      route,
      decision: effectiveDecision(decision, outcome),
      outcome,
      traceId,
    })
    // Only now: nothing of the copy is done before the client has its answer.
    tap?.close(outcome, copyFor(plane, forwarding))
  }
}

export function rawHead(request: IncomingMessage): RawHead {
  return {
    method: request.method ?? '',
    target: request.url ?? '',
    majorVersion: request.httpVersionMajor,
    minorVersion: request.httpVersionMinor === 0 ? 0 : 1,
    rawHeaders: request.rawHeaders,
    peerAddress: peerAddress(request.socket),
    secure: 'encrypted' in request.socket,
  }
}

/** `%2F` means one path to a proxy and another to a server that decodes it: only where the upstream asked for it. */
export function refuseEncodedSlash(
  head: RequestHead,
  match: RouteMatch,
  decision: Decision,
  snapshot: Snapshot,
): Refusal | undefined {
  if (!head.hasEncodedSlash) return undefined
  const upstream = decision.side === 'service' ? match.route.context?.service : snapshot.legacy
  if (upstream !== undefined && acceptsEncodedSlashes(match.route, upstream)) return undefined
  return new Refusal('bad-target', 'an encoded slash or backslash', undefined, 'encoded-slash')
}

/**
 * Turned away before anything is forwarded: the connection closes too, since its framing may be in doubt.
 *
 * @param sound the head, where nothing is wrong but who asks: without a body to come the connection may then stay
 */
function refuse(
  plane: DataPlane,
  request: IncomingMessage,
  response: ServerResponse,
  refusal: Refusal,
  arrivedAt: number,
  sound?: RequestHead,
): void {
  const requestId = plane.random.hex(16)
  writeError(response, refusal.failure, requestId, sound?.body.kind !== 'none', refusal.challenge, refusal.rule)
  endAfterBody(request, response)
  plane.events.requestRefused({
    arrivedAt,
    finishedAt: plane.now(),
    failure: refusal.failure satisfies Failure,
    requestId,
    peerAddress: peerAddress(request.socket),
    method: request.method,
    target: request.url,
    detail: refusal.detail,
  })
}
