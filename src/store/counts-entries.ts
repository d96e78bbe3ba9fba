// Counts of one stretch of time are kept as entries, one for each route and writer. An entry's name says whether it is
// asked for, so that only then its text is read.

import { COUNT_PERIOD_MS, type RouteCounts } from '../model/comparison-counts.ts'
import { COUNTS_RETENTION_MS } from '../model/comparison-store.ts'
import { mergeCounts } from '../model/merge-counts.ts'
import { textOfRouteCounts } from './comparison-shape.ts'
import { NotThat } from './shape.ts'

/** Texts of `RouteCounts` by name. */
export type Entries = Map<string, string>

/** What the names of the entries that are asked for begin with, and do not end with; `''` for anything, or nothing. */
export type Asked = { readonly begin: string; readonly exceptEnd: string }

/** From then on the counts of a stretch are forgotten. */
export function forgottenAt(start: number): number {
  return start + COUNT_PERIOD_MS + COUNTS_RETENTION_MS
}

/**
 * The entries that a writer's counts make, by the start of their stretch.
 *
 * @throws {NotThat} if no store would read them again
 */
export function entriesOf(writer: string, counts: readonly RouteCounts[]): Map<number, Entries> {
  // Without a name, it is all who were before: see `folded`.
  if (writer === '') throw new NotThat('a writer', 'it has no name')
  const stretches = new Map<number, Entries>()
  for (const of of counts) {
    const entries = stretches.get(of.start) ?? new Map()
    stretches.set(of.start, entries.set(nameOf(of, writer), textOfRouteCounts(of)))
  }
  return stretches
}

/** In JSON, where a comma between two quotes is never part of a text: neither end can be mistaken for another. */
export function nameOf({ context, route }: Pick<RouteCounts, 'context' | 'route'>, writer: string): string {
  return JSON.stringify([context, route, writer])
}

/** What a query asks of the names of entries. */
export function askedOf(query: { readonly context?: string | undefined; readonly except?: string | undefined }): Asked {
  const { context, except } = query
  return {
    begin: context === undefined ? '' : `${JSON.stringify([context]).slice(0, -1)},`,
    exceptEnd: except === undefined ? '' : `,${JSON.stringify([except]).slice(1)}`,
  }
}

export function isAsked(name: string, { begin, exceptEnd }: Asked): boolean {
  return name.startsWith(begin) && (exceptEnd === '' || !name.endsWith(exceptEnd))
}

/** One for each context, route and stretch, sorted by these. */
export function merged(all: readonly RouteCounts[]): readonly RouteCounts[] {
  const byPlace = new Map<string, RouteCounts>()
  for (const of of all) {
    const place = JSON.stringify([of.context, of.route, of.start])
    const known = byPlace.get(place)
    byPlace.set(place, known === undefined ? of : { ...of, counts: mergeCounts(known.counts, of.counts) })
  }
  return [...byPlace.values()].toSorted(
    (one, other) =>
      compare(one.context, other.context) || compare(one.route, other.route) || compare(one.start, other.start),
  )
}

function compare<T extends string | number>(one: T, other: T): number {
  return one < other ? -1 : one > other ? 1 : 0
}
