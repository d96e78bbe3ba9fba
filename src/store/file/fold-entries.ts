// A gateway that restarts often leaves an entry for each route, hour and start. The entries of writers that have stopped are
// merged into one entry, whose writer has the empty name.
import type { RouteCounts } from '../../model/comparison-counts.ts'
import { parseRouteCounts, serializeRouteCounts } from '../comparison-schema.ts'
import { createEntryFilter, type Entries, formatEntryName, matchesFilter, mergeByRoute } from '../counts-entries.ts'
import { InvalidStoredValue } from '../state-schema.ts'

/**
 * Merges the entries of one period that have the same route. An entry that cannot be parsed is not changed: a newer gateway
 * may be able to parse it.
 *
 * @param activeWriters their entries are not merged, so that they can be replaced by newer counts
 * @returns undefined if no entries were merged
 */
export function foldEntries(entries: Entries, activeWriters: Iterable<string>): Entries | undefined {
  const filters = [...activeWriters].map((writer) => createEntryFilter({ except: writer }))
  const names = [...entries.keys()].filter((name) => filters.every((filter) => matchesFilter(name, filter)))
  const result: Entries = new Map(entries)
  for (const group of Map.groupBy(names, withoutWriter).values()) {
    if (group.length > 1) mergeEntries(result, group)
  }
  return result.size === entries.size ? undefined : result
}

function mergeEntries(entries: Entries, names: readonly string[]): void {
  const parts: RouteCounts[] = []
  for (const name of names) {
    const part = tryParse(entries.get(name) ?? '')
    if (part === undefined) continue
    parts.push(part)
    entries.delete(name)
  }
  for (const sum of mergeByRoute(parts)) entries.set(formatEntryName(sum, ''), serializeRouteCounts(sum))
}

function tryParse(text: string): RouteCounts | undefined {
  try {
    return parseRouteCounts(text)
  } catch (error) {
    if (error instanceof InvalidStoredValue) return undefined
    throw error
  }
}

/** The name of an entry without the writer, which is its last string. */
function withoutWriter(name: string): string {
  return name.slice(0, name.lastIndexOf(',"'))
}
