// Where a path with an encoded slash or backslash may go: only some servers take `%2F` for a separator.
import type { Route, Upstream } from '../../model/route.ts'

/** The route's own word, else that of the upstream. */
export function acceptsEncodedSlashes(route: Pick<Route, 'allowEncodedSlashes'>, upstream: Upstream): boolean {
  return route.allowEncodedSlashes ?? upstream.allowEncodedSlashes
}
