// What this gateway has counted, whichever thread counted it, on its way to the store.
import type { Counts } from '../../model/comparison-counts.ts'
import { COUNT_PERIOD_MS, type RouteCounts } from '../../model/comparison-counts.ts'
import type { StoredExample } from '../../model/comparison-example.ts'
import type { ComparisonStore } from '../../model/comparison-store.ts'
import { mergeCounts } from '../../model/merge-counts.ts'
import { type Place, STRETCHES_KEPT } from './comparison-stats.ts'
import { routeKey } from '../worker/messages.ts'
import { type Counter, createCounter } from './route-counter.ts'

export type Ledger = {
  /** Where this thread counts what never came to a comparison. */
  readonly counter: (place: Place) => Counter
  /** What the comparing thread has counted since it began, in the place of what it said before. */
  readonly take: (counts: readonly RouteCounts[]) => void
  readonly keep: (examples: readonly StoredExample[]) => void
  /** The comparing thread has ended: what it said stands, and the next one begins at nothing. */
  readonly close: () => void
  /** What threads that have ended had found: the store leaves it out when it is asked for what others found. */
  readonly closed: () => readonly RouteCounts[]
  /** Writes what has changed, and says whether it could. Never rejects. */
  readonly save: () => Promise<unknown>
}

type Entry = {
  readonly context: string
  readonly route: string
  readonly start: number
  readonly own: Counter
  /** Of threads that have ended. */
  closed: Counts | undefined
  /** Of the one that runs. */
  current: Counts | undefined
}

/** Examples that wait for the store at most. */
const MOST_EXAMPLES = 200

/** @param writer unlike any other, and new with each start */
export function createLedger(writer: string, store: Pick<ComparisonStore, 'saveCounts' | 'saveExamples'>): Ledger {
  const entries = new Map<string, Entry>()
  const changed = new Set<Entry>()
  const recent = new Map<string, Map<string, Entry>>()
  /** The one that was counted in last is the last. */
  const starts = new Set<number>()
  let examples: StoredExample[] = []

  return {
    counter: counterAt,
    take: (counts) => {
      for (const said of counts) entryOf(said).current = said.counts
    },
    keep: (more) => {
      examples = [...examples, ...more].slice(-MOST_EXAMPLES)
    },
    close: () => {
      for (const entry of entries.values()) {
        entry.closed = sumOf(entry.closed, entry.current)
        entry.current = undefined
      }
    },
    closed: () =>
      [...entries.values()].flatMap(({ context, route, start, closed }) =>
        closed === undefined ? [] : [{ context, route, start, counts: closed }],
      ),
    save,
  }

  /** What was counted last is counted next: looked up without making a key, as a busy gateway sheds thousands a second. */
  function counterAt({ context, route, at }: Place): Counter {
    const start = at - (at % COUNT_PERIOD_MS)
    const last = recent.get(context)?.get(route)
    if (last?.start === start) {
      changed.add(last)
      return last.own
    }
    const entry = entryOf({ context, route, start })
    const ofContext = recent.get(context) ?? new Map<string, Entry>()
    recent.set(context, ofContext.set(route, entry))
    return entry.own
  }

  /** Whoever asks for an entry changes it. */
  function entryOf({ context, route, start }: Omit<RouteCounts, 'counts'>): Entry {
    const key = `${start}\n${routeKey({ context, route })}`
    const entry = entries.get(key) ?? {
      ...{ context, route, start },
      own: createCounter(),
      closed: undefined,
      current: undefined,
    }
    entries.set(key, entry)
    changed.add(entry)
    starts.delete(start)
    starts.add(start)
    return entry
  }

  async function save(): Promise<unknown> {
    const due = [...changed]
    const shown = examples
    if (due.length === 0 && shown.length === 0) return undefined
    changed.clear()
    examples = []
    try {
      if (due.length > 0) await store.saveCounts(writer, due.map(countsOf))
      if (shown.length > 0) await store.saveExamples(shown)
      forgetTheOld()
      return undefined
    } catch (error) {
      // Said again, it is counted once.
      for (const entry of due) changed.add(entry)
      examples = [...shown, ...examples].slice(-MOST_EXAMPLES)
      return error
    }
  }

  /** Not by the time of day: once a clock that was ahead is right again, all that is counted would be old. */
  function forgetTheOld(): void {
    for (const oldest of [...starts].slice(0, -STRETCHES_KEPT)) {
      starts.delete(oldest)
      for (const [key, { start }] of entries) if (start === oldest) entries.delete(key)
      recent.clear()
    }
  }
}

function countsOf({ context, route, start, own, closed, current }: Entry): RouteCounts {
  return { context, route, start, counts: sumOf(sumOf(own.counts(), closed), current) as Counts }
}

function sumOf(one: Counts | undefined, other: Counts | undefined): Counts | undefined {
  return one === undefined || other === undefined ? (one ?? other) : mergeCounts(one, other)
}
