// Writes the counts and examples of this gateway to the store, from its own thread and from the comparing thread.
import type { Counts, RouteCounts } from '../../model/comparison-counts.ts'
import type { StoredExample } from '../../model/comparison-example.ts'
import type { ComparisonStore } from '../../model/comparison-store.ts'
import type { Occurrence } from './comparison-stats.ts'
import { RouteCounter } from './route-counter.ts'
import { routeKey } from './route-key.ts'
import { HOURS_KEPT, hourOf } from './route-stats.ts'
import { sumCounts } from './sum-counts.ts'

type CountsWriterOptions = {
  /** The name of this process in the store; each start has a new one. */
  readonly writer: string
  readonly store: Pick<ComparisonStore, 'saveCounts' | 'saveExamples'>
}

/** The counts of one route and hour, by the thread that counted. */
type RouteHour = {
  readonly context: string
  readonly route: string
  readonly start: number
  readonly ownCounter: RouteCounter
  /** Of comparing threads that have ended. */
  sealed: Counts | undefined
  /** Of the comparing thread that runs. */
  current: Counts | undefined
}

/** Examples that wait for the store; beyond that the newest are kept. */
const MAX_WAITING_EXAMPLES = 200

export class CountsWriter {
  readonly #writer: string
  readonly #store: CountsWriterOptions['store']
  readonly #entries = new Map<string, RouteHour>()
  readonly #changed = new Set<RouteHour>()
  /** The last entry of each context and route. */
  readonly #recent = new Map<string, Map<string, RouteHour>>()
  /** Hours in the order of their last use. */
  readonly #hours = new Set<number>()
  #examples: StoredExample[] = []

  constructor({ writer, store }: CountsWriterOptions) {
    this.#writer = writer
    this.#store = store
  }

  /**
   * The counter of this thread, for requests that did not reach a comparison. The last entry of a route is found without building
   * a key: a busy gateway sheds thousands of requests per second.
   */
  counterFor({ context, route, time }: Occurrence): RouteCounter {
    const start = hourOf(time)
    const last = this.#recent.get(context)?.get(route)
    if (last?.start === start) {
      this.#changed.add(last)
      return last.ownCounter
    }
    const entry = this.#touch({ context, route, start })
    const routes = this.#recent.get(context) ?? new Map<string, RouteHour>()
    this.#recent.set(context, routes.set(route, entry))
    return entry.ownCounter
  }

  /** @param counts all that the comparing thread has counted since it started; they replace its earlier report */
  replaceThreadCounts(counts: readonly RouteCounts[]): void {
    for (const routeCounts of counts) this.#touch(routeCounts).current = routeCounts.counts
  }

  addExamples(examples: readonly StoredExample[]): void {
    this.#examples = [...this.#examples, ...examples].slice(-MAX_WAITING_EXAMPLES)
  }

  /** Keeps the counts of the comparing thread when it ends: the next thread begins at 0. */
  sealThreadCounts(): void {
    for (const entry of this.#entries.values()) {
      entry.sealed = sumOf(entry.sealed, entry.current)
      entry.current = undefined
    }
  }

  /** Counts of comparing threads that have ended. A new thread needs them: the store leaves out this writer. */
  sealedCounts(): readonly RouteCounts[] {
    return [...this.#entries.values()].flatMap(({ context, route, start, sealed }) =>
      sealed === undefined ? [] : [{ context, route, start, counts: sealed }],
    )
  }

  /** Writes the counts that changed, and the waiting examples. Never rejects. @returns the error, if the store failed */
  async save(): Promise<unknown> {
    const changed = [...this.#changed]
    const examples = this.#examples
    if (changed.length === 0 && examples.length === 0) return undefined
    this.#changed.clear()
    this.#examples = []
    try {
      if (changed.length > 0) await this.#store.saveCounts(this.#writer, changed.map(routeCountsOf))
      if (examples.length > 0) await this.#store.saveExamples(examples)
      this.#evictHours()
      return undefined
    } catch (error) {
      // Counts replace those that were saved before, so saving them twice counts them once.
      for (const entry of changed) this.#changed.add(entry)
      this.#examples = [...examples, ...this.#examples].slice(-MAX_WAITING_EXAMPLES)
      return error
    }
  }

  /** The entry of a route and hour, marked as changed. */
  #touch({ context, route, start }: Omit<RouteCounts, 'counts'>): RouteHour {
    const key = `${start}\n${routeKey({ context, route })}`
    const entry = this.#entries.get(key) ?? newEntry(context, route, start)
    this.#entries.set(key, entry)
    this.#changed.add(entry)
    this.#hours.delete(start)
    this.#hours.add(start)
    return entry
  }

  /** By last use, not by time: after a wrong clock is corrected, the current hour would be the earliest one. */
  #evictHours(): void {
    for (const evicted of [...this.#hours].slice(0, -HOURS_KEPT)) {
      this.#hours.delete(evicted)
      for (const [key, { start }] of this.#entries) if (start === evicted) this.#entries.delete(key)
      this.#recent.clear()
    }
  }
}

function newEntry(context: string, route: string, start: number): RouteHour {
  return { context, route, start, ownCounter: new RouteCounter(), sealed: undefined, current: undefined }
}

function routeCountsOf({ context, route, start, ownCounter, sealed, current }: RouteHour): RouteCounts {
  return { context, route, start, counts: sumOf(ownCounter.counts(), sealed, current) as Counts }
}

function sumOf(...parts: readonly (Counts | undefined)[]): Counts | undefined {
  const present = parts.filter((part) => part !== undefined)
  return present.length === 0 ? undefined : sumCounts(present)
}
