// Finds the route of a request. There is always one: a path that no context owns matches the route of the monolith.
import type { RequestHead } from '../../model/request-head.ts'
import type { RouteMatch } from '../../model/route.ts'
import type { Snapshot } from '../../model/snapshot.ts'

export function matchRoute(head: RequestHead, snapshot: Snapshot): RouteMatch {
  return snapshot.match(head.method, head.host, head.path)
}
