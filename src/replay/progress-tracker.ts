// Counts the outcome of each entry of a recording while it is replayed.
import { NO_COUNTS } from '../model/comparison-counts.ts'
import { routeKey } from '../shadow/stats/route-key.ts'
import type { PreparedRequest } from './prepare-request.ts'
import { type Progress, type ReplayTotals, totalsOf, type UnreadableEntry } from './progress.ts'
import type { SkipReason } from './recording.ts'
import { RouteTracker } from './route-tracker.ts'

/** Unreadable entries that the report lists. */
const MAX_LISTED_ENTRIES = 5

export class ProgressTracker {
  readonly #startedAt: number
  readonly #wallTime: () => number
  readonly #interrupted: number
  readonly #skipped: Partial<Record<SkipReason, number>>
  readonly #unreadable: UnreadableEntry[]
  readonly #underWay = new Set<number>()
  readonly #routes = new Map<string, RouteTracker>()
  #unreadableCount: number
  #through: number

  /**
   * @param saved the progress of an earlier run, or `NO_PROGRESS`
   * @param wallTime milliseconds since 1970
   */
  constructor(saved: Progress, wallTime: () => number) {
    this.#startedAt = saved.startedAt
    this.#wallTime = wallTime
    this.#interrupted = saved.interrupted + saved.underWay.length
    this.#skipped = { ...saved.skipped }
    this.#unreadable = [...saved.unreadable.first]
    this.#unreadableCount = saved.unreadable.count
    this.#through = saved.through
    for (const route of saved.routes) this.#routes.set(routeKey(route), new RouteTracker(route, wallTime))
  }

  /** The number of the last entry that was read. */
  through(): number {
    return this.#through
  }

  skip(entry: number, reason: SkipReason): void {
    this.#through = entry
    this.#skipped[reason] = (this.#skipped[reason] ?? 0) + 1
  }

  skipUnreadable(entry: number, why: string): void {
    this.#through = entry
    this.#unreadableCount++
    if (this.#unreadable.length < MAX_LISTED_ENTRIES) this.#unreadable.push({ at: entry, why })
  }

  /** From here on the entry may have been sent. */
  start(entry: number): void {
    this.#through = entry
    this.#underWay.add(entry)
  }

  /** The outcome of the entry is counted. */
  end(entry: number): void {
    this.#underWay.delete(entry)
  }

  routeOf({ context, label }: Pick<PreparedRequest, 'context' | 'label'>): RouteTracker {
    const route = { context: context.name, route: label }
    const existing = this.#routes.get(routeKey(route))
    if (existing !== undefined) return existing
    const tracker = new RouteTracker({ ...route, counts: NO_COUNTS, statuses: {}, examples: [] }, this.#wallTime)
    this.#routes.set(routeKey(route), tracker)
    return tracker
  }

  snapshot(): Progress {
    return {
      startedAt: this.#startedAt,
      through: this.#through,
      underWay: [...this.#underWay],
      interrupted: this.#interrupted,
      skipped: this.#skipped,
      unreadable: { count: this.#unreadableCount, first: this.#unreadable },
      routes: [...this.#routes.values()].map((route) => route.snapshot()),
    }
  }

  totals(): ReplayTotals {
    return totalsOf(this.snapshot().routes)
  }
}
