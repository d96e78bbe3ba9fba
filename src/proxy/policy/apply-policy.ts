// The policy of one request, the same for HTTP, upgrades, Express and `explain`: identify, decide, check the path against
// the chosen side. Waits for nothing; reads only values in memory.
import type { Decision, Identity } from '../../model/decision.ts'
import type { FlagReader, HealthReader } from '../../model/ports.ts'
import type { RequestHead } from '../../model/request-head.ts'
import type { Route, RouteMatch } from '../../model/route.ts'
import type { Snapshot } from '../../model/snapshot.ts'
import { decide } from './decide.ts'
import { refuseEncodedSlash } from './encoded-slashes.ts'
import type { Facts } from './gather-facts.ts'
import { type Identify, identityOfUser } from './identify.ts'
import type { Refusal } from './refusal.ts'
import { upstreamFor } from './upstream-for.ts'

/** What the policy reads beside the facts and the snapshot. The data plane is one. */
export type PolicySources = {
  readonly identify: Identify
  readonly flags: FlagReader
  readonly upstreams: HealthReader
}

/** The policy's result for one request. */
export type Policy = {
  readonly snapshot: Snapshot
  /** The head to forward. */
  readonly head: RequestHead
  readonly identity: Identity
  readonly match: RouteMatch
  readonly route: Route
  readonly decision: Decision
  /** Why the chosen side must not receive the request; undefined if it may. */
  readonly refusal: Refusal | undefined
  /** The shares of shadowed requests that operators have set, by context, from 0 to 1. */
  readonly shares: ReadonlyMap<string, number>
}

/** Applies the policy to one request. Pure, apart from the random source of new ids. */
export function applyPolicy(facts: Facts, snapshot: Snapshot, sources: PolicySources): Policy {
  const { head, forwardedHead, match, token } = facts
  const { route } = match
  const client = sources.identify(head, snapshot, route)
  const identity = token === undefined ? client : identityOfUser(client, token)
  const decision = decide(facts, identity, snapshot, sources)
  return {
    snapshot,
    head: forwardedHead,
    identity,
    match,
    route,
    decision,
    refusal: refuseEncodedSlash(forwardedHead, route, upstreamFor(route, decision.side, snapshot)),
    shares: snapshot.controls.shadows,
  }
}
