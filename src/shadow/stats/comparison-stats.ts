// The counts of the comparing thread: it records each outcome, judges the routes that changed, and reports them.

import type { Comparison, Rulings } from '../../model/comparison.ts'
import { COUNT_PERIOD_MS, type Parity, type RouteCounts } from '../../model/comparison-counts.ts'
import type { ShadowOutcome } from '../../model/shadow.ts'
import type { NoisePolicy } from '../../model/shadow-policy.ts'
import { type FieldVerdicts, verdictOf } from './noise.ts'
import { accountingOf, DEFAULT_PARITY_TARGET, parityOf, sumAccountings } from './parity.ts'
import { differingFields, type UncomparedOutcome } from './route-counter.ts'
import { routeKey } from './route-key.ts'
import { RouteStats } from './route-stats.ts'

/** One request of a route. `time` is milliseconds since 1970. */
export type Occurrence = { readonly context: string; readonly route: string; readonly time: number }

export type StatsUpdate = {
  readonly counts: readonly RouteCounts[]
  /** The share of the next copies for which legacy is asked twice, by `routeKey`. */
  readonly pairShares: Readonly<Record<string, number>>
  /** By context, over the default window, for the default target. */
  readonly parity: Readonly<Record<string, Parity>>
}

export class ComparisonStats {
  readonly #routes = new Map<string, RouteStats>()
  #rulings: Readonly<Record<string, Rulings>> = {}
  #judgedAt = 0
  /** New rulings change the verdicts of routes in which nothing was counted. */
  #hasNewRulings = false

  /** @returns the outcome by the verdicts that are known now */
  recordComparison(occurrence: Occurrence, noisePolicy: NoisePolicy, comparison: Comparison): ShadowOutcome {
    const stats = this.#statsOf(occurrence)
    stats.noisePolicy = noisePolicy
    stats.counterFor(occurrence.time).recordComparison(comparison, occurrence.time, stats.noiseFields)
    return outcomeOf(comparison, stats.judged.verdicts)
  }

  /** Records a comparison of two answers of legacy to one request. */
  recordPair(occurrence: Occurrence, comparison: Comparison): void {
    this.#statsOf(occurrence).counterFor(occurrence.time).recordPair(comparison, occurrence.time)
  }

  recordUncompared(occurrence: Occurrence, outcome: UncomparedOutcome): void {
    this.#statsOf(occurrence).counterFor(occurrence.time).recordUncompared(outcome)
  }

  /** @param counts of earlier threads of this gateway, and of other gateways */
  addEarlierCounts(counts: readonly RouteCounts[]): void {
    for (const routeCounts of counts) this.#statsOf(routeCounts).addEarlierCounts(routeCounts)
  }

  /** @param rulings by `routeKey`; they replace all earlier ones */
  setRulings(rulings: Readonly<Record<string, Rulings>>): void {
    this.#rulings = rulings
    this.#hasNewRulings = true
    for (const stats of this.#routes.values()) this.#judge(stats)
  }

  /**
   * Judges the routes that changed since the last call; all routes after new rulings and with each new hour, because the window
   * moves.
   *
   * @param now milliseconds since 1970
   */
  judge(now: number): StatsUpdate {
    const isNextHour = Math.floor(now / COUNT_PERIOD_MS) !== Math.floor(this.#judgedAt / COUNT_PERIOD_MS)
    const judgesAll = this.#hasNewRulings || isNextHour
    this.#hasNewRulings = false
    this.#judgedAt = now
    const counts: RouteCounts[] = []
    const pairShares: Record<string, number> = {}
    const contexts = new Set<string>()
    for (const [key, stats] of this.#routes) {
      if (!stats.hasChanged && !judgesAll) continue
      this.#judge(stats)
      contexts.add(stats.context)
      pairShares[key] = stats.pairShare()
      counts.push(...stats.takeChanges())
    }
    return { counts, pairShares, parity: this.#parityOf(contexts) }
  }

  #statsOf({ context, route }: Pick<Occurrence, 'context' | 'route'>): RouteStats {
    const key = routeKey({ context, route })
    const existing = this.#routes.get(key)
    if (existing !== undefined) return existing
    const stats = new RouteStats(context, route)
    this.#routes.set(key, stats)
    return stats
  }

  #judge(stats: RouteStats): void {
    const key = routeKey(stats)
    stats.judge(this.#judgedAt, Object.hasOwn(this.#rulings, key) ? this.#rulings[key] : undefined)
  }

  #parityOf(contexts: ReadonlySet<string>): Record<string, Parity> {
    const routes = [...this.#routes.values()]
    return Object.fromEntries(
      [...contexts].map((name) => {
        const judged = routes.filter(({ context }) => context === name).map((stats) => stats.judged)
        const accountings = judged.map(({ counts, verdicts }) => accountingOf(counts, verdicts))
        return [name, parityOf(sumAccountings(accountings), DEFAULT_PARITY_TARGET)]
      }),
    )
  }
}

function outcomeOf(comparison: Comparison, verdicts: FieldVerdicts): ShadowOutcome {
  if (comparison.kind === 'uncomparable') return 'uncomparable'
  if (comparison.differences.length === 0) return comparison.forgiven > 0 ? 'ignored' : 'matched'
  const verdict = verdictOf(differingFields(comparison), verdicts)
  return verdict === 'mismatch' ? 'mismatched' : verdict
}
