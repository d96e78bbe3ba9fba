// Paths with an encoded slash or backslash. Some servers decode `%2F` before they split a path, others do not: the same
// path names two resources. Only an upstream whose config allows it receives such a path.
import type { RequestHead } from '../../model/request-head.ts'
import type { Route, Upstream } from '../../model/route.ts'
import { Refusal } from './refusal.ts'

/** Whether an upstream may receive the path of a request. The route's own setting overrides the upstream's. */
export function acceptsPath(
  head: Pick<RequestHead, 'hasEncodedSlash'>,
  route: Pick<Route, 'allowEncodedSlashes'>,
  upstream: Upstream,
): boolean {
  return !head.hasEncodedSlash || (route.allowEncodedSlashes ?? upstream.allowEncodedSlashes)
}

/** Undefined if the upstream may receive the path of the request. */
export function refuseEncodedSlash(
  head: Pick<RequestHead, 'hasEncodedSlash'>,
  route: Pick<Route, 'allowEncodedSlashes'>,
  upstream: Upstream,
): Refusal | undefined {
  if (acceptsPath(head, route, upstream)) return undefined
  return new Refusal('bad-target', 'an encoded slash or backslash', undefined, 'encoded-slash')
}
