// One request, from its head to its outcome. docs/life-of-a-request.md describes the same steps in the same order.
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { RequestHead } from '../model/request-head.ts'
import type { Route } from '../model/route.ts'
import type { Snapshot } from '../model/snapshot.ts'
import { continueTrace } from '../telemetry/trace.ts'
import type { DataPlane } from './data-plane.ts'
import { NodeExchange } from './downstream/node-exchange.ts'
import { rawHead } from './downstream/raw-head.ts'
import { refuse } from './downstream/refuse.ts'
import { copyFor } from './forward/copy-for.ts'
import { isLoop } from './forward/headers.ts'
import { answerOptions, isForGateway } from './policy/answer-options.ts'
import { applyPolicy } from './policy/apply-policy.ts'
import { effectiveDecision } from './policy/decide.ts'
import { gatherFacts } from './policy/gather-facts.ts'
import { matchRoute } from './policy/match-route.ts'
import { readHead } from './policy/read-head.ts'
import { CLIENT_GONE, LOOP, Refusal } from './policy/refusal.ts'
import { runMiddleware } from './policy/run-middleware.ts'

export function createHandleRequest(plane: DataPlane) {
  return async function handleRequest(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const arrivedAt = plane.now()
    const snapshot = plane.snapshots.current // one consistent view of routes and limits, from here to the end

    const head = readHead(rawHead(request), snapshot)
    if (head instanceof Refusal) return refuse(plane, request, response, head, arrivedAt)
    // Node has dropped the bytes that followed this head in the same packet, so the next request cannot be parsed.
    if (head.fields.upgrade !== undefined) response.shouldKeepAlive = false
    if (isForGateway(head)) {
      answerOptions(request, response)
      return plane.events.requestAnswered({ arrivedAt, finishedAt: plane.now(), head, by: 'options', status: 200 })
    }
    if (isLoop(head.fields, plane.viaName)) return refuse(plane, request, response, LOOP, arrivedAt)

    const match = matchRoute(head, snapshot)
    const { route } = match
    let forwardedHead = head
    if (route.middleware.length > 0) {
      const changedHead = await runMiddleware(route, request, response, head, snapshot)
      if (changedHead === undefined) return reportMiddlewareAnswer(plane, snapshot, response, head, route, arrivedAt)
      forwardedHead = changedHead
    }
    // The framing of the request is sound: a refusal for its token may keep the connection if no body follows.
    const keepAlive = head.body.kind === 'none'
    let facts = gatherFacts(head, match, plane, forwardedHead)
    if (facts instanceof Promise) {
      facts = await facts
      if (response.destroyed) return refuse(plane, request, response, CLIENT_GONE, arrivedAt, keepAlive)
    }
    if (facts instanceof Refusal) return refuse(plane, request, response, facts, arrivedAt, keepAlive)

    const policy = applyPolicy(facts, snapshot, plane)
    if (policy.refusal !== undefined) return refuse(plane, request, response, policy.refusal, arrivedAt)

    const { identity, decision } = policy
    const { traceparent, traceId } = continueTrace(head.fields.traceparent, plane.random)
    const tap = plane.shadowing.open(policy)
    const forwarding = {
      downstream: new NodeExchange(request, response),
      head: forwardedHead,
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
    // After the response has ended, so that preparing the copy adds no latency.
    tap?.close(outcome, copyFor(plane, forwarding))
  }
}

function reportMiddlewareAnswer(
  plane: DataPlane,
  snapshot: Snapshot,
  response: ServerResponse,
  head: RequestHead,
  route: Route,
  arrivedAt: number,
): void {
  const identity = plane.identify(head, snapshot, route)
  const { statusCode: status } = response
  const finishedAt = plane.now()
  plane.events.requestAnswered({ arrivedAt, finishedAt, head, by: 'middleware', status, identity, route })
}
