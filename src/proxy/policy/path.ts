// The path that an upstream receives: the normal form, or the route's rewrite of it.
import type { RequestHead } from '../../model/request-head.ts'
import type { RouteMatch, Side } from '../../model/route.ts'

/** Rewrites apply to the service only: legacy always receives the client's path. */
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
