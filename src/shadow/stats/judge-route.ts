// Counts of many stretches and gateways, judged: what each route is, and what a context is as the sum of its routes. Pure.

import type { Field } from '../../model/comparison.ts'
import type { Accounting, Counts, Share } from '../../model/comparison-counts.ts'
import { COUNT_PERIOD_MS, NO_COUNTS, type RouteCounts } from '../../model/comparison-counts.ts'
import type { ParityStats } from '../../model/comparison-views.ts'
import { mergeCounts } from '../../model/merge-counts.ts'
import type { DifferenceNote, SharedState } from '../../model/shared-state.ts'
import { type FieldVerdicts, judgeFields } from './noise.ts'
import { account, addAccounts, parityOf, shareOf } from './parity.ts'
import { rulingsOf } from './rulings.ts'

export type JudgedRoute = {
  readonly context: string
  readonly route: string
  readonly counts: Counts
  readonly verdicts: FieldVerdicts
  readonly seen: ReadonlyMap<Field, Seen>
}

/** When the sides were seen to differ in a field: in what was counted, legacy differing from itself counts as seen too. */
export type Seen = { readonly first: number; readonly last: number }

export type Notes = Readonly<Record<string, DifferenceNote>>

/** From where counts are asked for: the beginning of the hour in which the window begins. */
export function beginningOf(windowMs: number, now: number): number {
  const from = now - windowMs
  return from - (from % COUNT_PERIOD_MS)
}

export function notesOf({ contexts }: SharedState, context: string): Notes {
  const state = Object.hasOwn(contexts, context) ? contexts[context] : undefined
  return state?.differences ?? {}
}

/** @param counts of one route, of any number of stretches and gateways; at least one */
export function judgeRoute(counts: readonly [RouteCounts, ...RouteCounts[]], notes: Notes): JudgedRoute {
  const [{ context, route }] = counts
  const total = counts.map((one) => one.counts).reduce(mergeCounts, NO_COUNTS)
  const verdicts = judgeFields(total, rulingsOf(notes, route))
  return { context, route, counts: total, verdicts, seen: seenBetweenSides(counts) }
}

/** By route, in the order in which they come. */
export function byRoute(counts: readonly RouteCounts[]): readonly (readonly [RouteCounts, ...RouteCounts[]])[] {
  const groups = [...Map.groupBy(counts, ({ context, route }) => `${context}\n${route}`).values()]
  return groups as unknown as [RouteCounts, ...RouteCounts[]][]
}

/**
 * To the hour it is told apart who differed: in a stretch in which the sides did not, legacy's differing from itself is
 * all that was seen, and no reason to call a difference reopened.
 */
function seenBetweenSides(counts: readonly RouteCounts[]): Map<Field, Seen> {
  const seen = new Map<Field, Seen>()
  for (const { counts: of } of counts) {
    for (const [field, { sides, firstSeen, lastSeen }] of Object.entries(of.fields) as [Field, FieldSeen][]) {
      if (sides === 0) continue
      const known = seen.get(field) ?? { first: firstSeen, last: lastSeen }
      seen.set(field, { first: Math.min(known.first, firstSeen), last: Math.max(known.last, lastSeen) })
    }
  }
  return seen
}

type FieldSeen = Counts['fields'][Field]

/** @param target below 1 */
export function tallyOf(routes: readonly JudgedRoute[], target: number): ParityStats {
  const accounting = routes.map(({ counts, verdicts }) => account(counts, verdicts)).reduce(addAccounts, NONE)
  const { uncomparable, shed, failed, pairs } = routes.map(({ counts }) => counts).reduce(mergeCounts, NO_COUNTS)
  const { conclusive, matching, atLeast, untilTarget } = parityOf(accounting, target)
  return {
    accounting,
    reasons: { uncomparable: { ...uncomparable }, shed: { ...shed }, failed: { ...failed } },
    pairs,
    conclusive,
    matching: matching ?? null,
    atLeast,
    untilTarget,
  }
}

const NONE: Accounting = {
  eligible: 0,
  matched: 0,
  mismatched: 0,
  noise: 0,
  inconclusive: 0,
  ignored: 0,
  uncomparable: 0,
  shed: 0,
  failed: 0,
}

export function shareIfAny(count: number, of: number): Share | null {
  return of === 0 ? null : shareOf(count, of)
}
