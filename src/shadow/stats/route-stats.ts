// The counts of one route over the window, by hour, and the current verdict on each of its fields.

import type { Field, Rulings } from '../../model/comparison.ts'
import {
  COUNT_PERIOD_MS,
  type Counts,
  DEFAULT_WINDOW_MS,
  NO_COUNTS,
  type RouteCounts,
} from '../../model/comparison-counts.ts'
import type { NoisePolicy } from '../../model/shadow-policy.ts'
import { type JudgedCounts, judgeCounts } from './judge-route.ts'
import { DEFAULT_NOISE, noiseFieldsOf, pairShareNow } from './noise.ts'
import { RouteCounter } from './route-counter.ts'

/** Hours that are kept: those of the window, and the hour in which the window begins. */
export const HOURS_KEPT = DEFAULT_WINDOW_MS / COUNT_PERIOD_MS + 1

/** The start of the hour of a time, in milliseconds since 1970. */
export function hourOf(time: number): number {
  return time - (time % COUNT_PERIOD_MS)
}

export class RouteStats {
  readonly context: string
  readonly route: string
  noisePolicy: NoisePolicy = DEFAULT_NOISE
  judged: JudgedCounts = { counts: NO_COUNTS, verdicts: new Map() }
  noiseFields: ReadonlySet<Field> = new Set()
  /** In the order of their last use. */
  readonly #hours = new Map<number, RouteCounter>()
  readonly #changedHours = new Set<number>()
  readonly #earlierCounts: RouteCounts[] = []

  constructor(context: string, route: string) {
    this.context = context
    this.route = route
  }

  get hasChanged(): boolean {
    return this.#changedHours.size > 0
  }

  /** The counter of an hour. The hour counts as changed. */
  counterFor(time: number): RouteCounter {
    const hour = hourOf(time)
    const counter = this.#hours.get(hour) ?? new RouteCounter()
    this.#hours.delete(hour)
    this.#hours.set(hour, counter)
    // Evicts the least recently used hour, not the earliest one. The counts of an hour replace those that were reported before;
    // if a wrong clock evicted the current hour, its counter would begin again at 0.
    if (this.#hours.size > HOURS_KEPT) this.#hours.delete(this.#hours.keys().next().value as number)
    this.#changedHours.add(hour)
    return counter
  }

  /** Adds counts of earlier threads or other gateways. They are judged, but not reported again. */
  addEarlierCounts(counts: RouteCounts): void {
    this.#earlierCounts.push(counts)
  }

  /** Judges the counts of the window that ends `now`. */
  judge(now: number, rulings: Rulings | undefined): void {
    const isInWindow = (hour: number) => hour + COUNT_PERIOD_MS >= now - DEFAULT_WINDOW_MS
    const parts: Counts[] = [
      ...this.#earlierCounts.filter(({ start }) => isInWindow(start)).map(({ counts }) => counts),
      ...[...this.#hours].filter(([hour]) => isInWindow(hour)).map(([, counter]) => counter.counts()),
    ]
    this.judged = judgeCounts(parts, rulings, this.#noiseOptions())
    this.noiseFields = noiseFieldsOf(this.judged.verdicts)
  }

  /** The share of the next requests for which legacy is asked twice. */
  pairShare(): number {
    return pairShareNow(this.judged.counts, this.judged.verdicts, this.#noiseOptions())
  }

  /** The whole counts of each hour that changed since the last call. */
  takeChanges(): RouteCounts[] {
    const { context, route } = this
    const changes = [...this.#changedHours].flatMap((start) => {
      const counter = this.#hours.get(start)
      return counter === undefined ? [] : [{ context, route, start, counts: counter.counts() }]
    })
    this.#changedHours.clear()
    return changes
  }

  #noiseOptions() {
    const { pairShare, pairShareOpen } = this.noisePolicy
    return { ...DEFAULT_NOISE, pairShare, pairShareOpen }
  }
}
