// The upstream behind a side of a route.
import type { Route, Side, Upstream } from '../../model/route.ts'
import type { Snapshot } from '../../model/snapshot.ts'

/** A route without a context belongs to the monolith: both sides are then legacy. */
export function upstreamFor(
  { context }: Pick<Route, 'context'>,
  side: Side,
  { legacy }: Pick<Snapshot, 'legacy'>,
): Upstream {
  return side === 'service' && context !== undefined ? context.service : legacy
}
