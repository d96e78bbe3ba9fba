// The path that an upstream is asked for: the normal form that was decided on, or the route's rewrite of it.
import type { RequestHead } from '../../model/request-head.ts'
import type { RouteMatch, Side } from '../../model/route.ts'

/** Rewrites are the service's: legacy always sees the path that the client asked for. */
export function upstreamPath(
  head: Pick<RequestHead, 'path' | 'query' | 'isPathChanged'>,
  { route, params }: RouteMatch,
  side: Side,
): string {
  if (side === 'legacy' || route.rewrite === undefined || head.isPathChanged) return head.path + head.query
  let path = ''
  for (const part of route.rewrite) path += 'text' in part ? part.text : (params[part.param] ?? '')
  return path + head.query
}
