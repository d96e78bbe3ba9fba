// A store has the counts of each period as entries, one for each route and writer. The name of an entry contains its context,
// route and writer, so that a query reads only the texts of the entries that it selects.
import { COUNT_PERIOD_MS, type RouteCounts } from '../model/comparison-counts.ts'
import { COUNTS_RETENTION_MS } from '../model/comparison-store.ts'
import { mergeCounts } from '../model/merge-counts.ts'
import { serializeRouteCounts } from './comparison-schema.ts'
import { InvalidStoredValue } from './state-schema.ts'

/** Texts of `RouteCounts` by name. */
export type Entries = Map<string, string>

/** The names that a query selects: they have this prefix and do not have this suffix. An empty text excludes nothing. */
type EntryFilter = { readonly prefix: string; readonly excludedSuffix: string }

/** The time at which the counts of a period expire, in milliseconds since 1970. */
export function expiryTime(start: number): number {
  return start + COUNT_PERIOD_MS + COUNTS_RETENTION_MS
}

/**
 * The entries for the counts of a writer, by the start of their period.
 *
 * @throws {InvalidStoredValue} if the entries could not be read again
 */
export function createEntries(writer: string, counts: readonly RouteCounts[]): Map<number, Entries> {
  // The empty name stands for all writers that have stopped: see `foldEntries`.
  if (writer === '') throw new InvalidStoredValue('a writer', 'its name is empty')
  const periods = new Map<number, Entries>()
  for (const routeCounts of counts) {
    const entries = periods.get(routeCounts.start) ?? new Map()
    entries.set(formatEntryName(routeCounts, writer), serializeRouteCounts(routeCounts))
    periods.set(routeCounts.start, entries)
  }
  return periods
}

/** JSON, in which a comma between two quotation marks is never part of a string: prefixes and suffixes are unambiguous. */
export function formatEntryName({ context, route }: Pick<RouteCounts, 'context' | 'route'>, writer: string): string {
  return JSON.stringify([context, route, writer])
}

export function createEntryFilter(query: {
  readonly context?: string | undefined
  /** A writer whose entries are excluded. */
  readonly except?: string | undefined
}): EntryFilter {
  const { context, except } = query
  return {
    prefix: context === undefined ? '' : `${JSON.stringify([context]).slice(0, -1)},`,
    excludedSuffix: except === undefined ? '' : `,${JSON.stringify([except]).slice(1)}`,
  }
}

export function matchesFilter(name: string, { prefix, excludedSuffix }: EntryFilter): boolean {
  return name.startsWith(prefix) && (excludedSuffix === '' || !name.endsWith(excludedSuffix))
}

/** Merges the counts of all writers: one for each context, route and period, sorted by these. */
export function mergeByRoute(counts: readonly RouteCounts[]): readonly RouteCounts[] {
  const sums = new Map<string, RouteCounts>()
  for (const routeCounts of counts) {
    const key = JSON.stringify([routeCounts.context, routeCounts.route, routeCounts.start])
    const sum = sums.get(key)
    sums.set(
      key,
      sum === undefined ? routeCounts : { ...routeCounts, counts: mergeCounts(sum.counts, routeCounts.counts) },
    )
  }
  return [...sums.values()].toSorted(
    (a, b) => compare(a.context, b.context) || compare(a.route, b.route) || compare(a.start, b.start),
  )
}

function compare<Value extends string | number>(a: Value, b: Value): number {
  return a < b ? -1 : a > b ? 1 : 0
}
