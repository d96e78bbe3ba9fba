// The input of forwarding: one request with all decisions about it, and the parts of the gateway that forwarding uses.
import type { Decision, Identity } from '../../model/decision.ts'
import type { RequestHead } from '../../model/request-head.ts'
import type { RouteMatch } from '../../model/route.ts'
import type { Tap } from '../../model/shadow.ts'
import type { Snapshot } from '../../model/snapshot.ts'
import type { DownstreamExchange } from '../downstream/downstream-exchange.ts'
import type { AnonymousIds } from '../policy/anonymous-id.ts'
import type { Upstreams } from '../upstream/upstreams.ts'

/** One request and the result of the policy for it. */
export type Forwarding = {
  readonly downstream: DownstreamExchange
  readonly head: RequestHead
  readonly identity: Identity
  readonly match: RouteMatch
  readonly decision: Decision
  readonly snapshot: Snapshot
  readonly traceparent: string
  /** Copies the request and its response for the comparison; undefined for a request that is not compared. */
  readonly tap: Tap | undefined
}

export type ForwardDependencies = {
  readonly upstreams: Upstreams
  readonly anonymousIds: AnonymousIds
  /** Milliseconds. */
  readonly now: () => number
  /** The name of this gateway in `Via` and `CDN-Loop`. */
  readonly viaName: string
  /** Whether the gateway is draining: responses then end their connection. */
  readonly isDraining: () => boolean
}
