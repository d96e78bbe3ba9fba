// The parity of a route, or of a context as the sum of its routes, each judged by itself. Pure.
import type { Share } from '../../model/comparison-counts.ts'
import type { ParityStats } from '../../model/comparison-views.ts'
import type { JudgedCounts } from './judge-route.ts'
import { accountingOf, parityOf, shareOf, sumAccountings } from './parity.ts'
import { sumCounts } from './sum-counts.ts'

/** @param target below 1 */
export function parityStatsOf(routes: readonly JudgedCounts[], target: number): ParityStats {
  const accounting = sumAccountings(routes.map(({ counts, verdicts }) => accountingOf(counts, verdicts)))
  const { uncomparable, shed, failed, pairs } = sumCounts(routes.map(({ counts }) => counts))
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

/** Null if there are no trials. */
export function shareOrNull(hits: number, trials: number): Share | null {
  return trials === 0 ? null : shareOf(hits, trials)
}
