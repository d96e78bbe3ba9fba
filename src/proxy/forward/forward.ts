// Sends a request to the side that was decided, and returns an Outcome: never throws. What happens in between is
// exchange.ts.
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Decision, Identity } from '../../model/decision.ts'
import type { Outcome } from '../../model/outcome.ts'
import type { RequestHead } from '../../model/request-head.ts'
import type { RouteMatch } from '../../model/route.ts'
import type { Tap } from '../../model/shadow.ts'
import type { Snapshot } from '../../model/snapshot.ts'
import { Uploads } from '../downstream/uploads.ts'
import type { AnonymousIds } from '../policy/anonymous-id.ts'
import type { Upstreams } from '../upstream/upstreams.ts'
import { Exchange } from './exchange.ts'

/** Everything the policy said about one request. */
export type Forwarding = {
  readonly request: IncomingMessage
  readonly response: ServerResponse
  readonly head: RequestHead
  readonly identity: Identity
  readonly match: RouteMatch
  readonly decision: Decision
  readonly snapshot: Snapshot
  readonly traceparent: string
  /** Sees the request and its answer go by, where they are compared. */
  readonly tap: Tap | undefined
}

export type ForwardDependencies = {
  readonly upstreams: Upstreams
  readonly anonymousIds: AnonymousIds
  readonly now: () => number
  readonly viaName: string
  /** Whether the gateway is draining: answers then end their connection. */
  readonly isDraining: () => boolean
}

export function createForward(dependencies: ForwardDependencies) {
  const exchanges = new Set<Exchange>()
  const uploads = new Uploads()
  return {
    /** Requests under way. */
    exchanges: exchanges as ReadonlySet<Exchange>,
    forward: (forwarding: Forwarding): Promise<Outcome> =>
      new Promise((settle) => {
        const exchange = new Exchange(dependencies, forwarding, exchanges, uploads, settle)
        exchanges.add(exchange)
        exchange.start()
      }),
  }
}
