// Snapshot and head to the route that owns the request; never undefined: what no context owns is the monolith's.
import type { RequestHead } from '../../model/request-head.ts'
import type { RouteMatch } from '../../model/route.ts'
import type { Snapshot } from '../../model/snapshot.ts'

export function matchRoute(head: RequestHead, snapshot: Snapshot): RouteMatch {
  return snapshot.match(head.method, head.host, head.path)
}
