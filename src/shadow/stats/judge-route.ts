// Judges the counts of a route: which fields are real differences and which are noise. Pure. The comparing thread, the
// reports, the replay and the benchmark all judge here.

import type { Field, Rulings } from '../../model/comparison.ts'
import type { Counts, FieldCounts, RouteCounts } from '../../model/comparison-counts.ts'
import { type FieldVerdicts, judgeFields, type NoiseOptions } from './noise.ts'
import { routeKey } from './route-key.ts'
import { type DifferenceNotes, rulingsOf } from './rulings.ts'
import { sumCounts } from './sum-counts.ts'

export type JudgedCounts = { readonly counts: Counts; readonly verdicts: FieldVerdicts }

/**
 * @param parts the counts of one route, one for each hour, thread or gateway that counted. They are added up before the test;
 * a test that is stratified by them replaces this sum, and nothing else.
 */
export function judgeCounts(parts: readonly Counts[], rulings?: Rulings, options?: NoiseOptions): JudgedCounts {
  const counts = sumCounts(parts)
  return { counts, verdicts: judgeFields(counts, rulings, options) }
}

export type JudgedRoute = JudgedCounts & {
  readonly context: string
  readonly route: string
  readonly sightings: ReadonlyMap<Field, TimeRange>
}

/**
 * When the sides differed in a field, in milliseconds since 1970. Within an hour in which they did, a difference of legacy from
 * itself counts as well, because counts do not separate the two.
 */
export type TimeRange = { readonly first: number; readonly last: number }

/** @param counts of one route, of any number of hours and gateways; at least one */
export function judgeRoute(counts: readonly [RouteCounts, ...RouteCounts[]], notes: DifferenceNotes): JudgedRoute {
  const [{ context, route }] = counts
  const parts = counts.map((hour) => hour.counts)
  return { context, route, ...judgeCounts(parts, rulingsOf(notes, route)), sightings: sightingsOf(parts) }
}

/** By route, in the order of their first counts. */
export function groupByRoute(counts: readonly RouteCounts[]): readonly (readonly [RouteCounts, ...RouteCounts[]])[] {
  return [...Map.groupBy(counts, routeKey).values()] as unknown as [RouteCounts, ...RouteCounts[]][]
}

/** Leaves out hours in which only legacy differed from itself: they are no reason to report a resolved difference as reopened. */
function sightingsOf(parts: readonly Counts[]): Map<Field, TimeRange> {
  const sightings = new Map<Field, TimeRange>()
  for (const { fields } of parts) {
    for (const [field, { sides, firstSeen, lastSeen }] of Object.entries(fields) as [Field, FieldCounts][]) {
      if (sides === 0) continue
      const { first, last } = sightings.get(field) ?? { first: firstSeen, last: lastSeen }
      sightings.set(field, { first: Math.min(first, firstSeen), last: Math.max(last, lastSeen) })
    }
  }
  return sightings
}
