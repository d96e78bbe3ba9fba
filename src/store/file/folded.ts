// A gateway that restarts often leaves an entry for each route, hour and start: what those have said who speak no more
// becomes one entry, of a writer without a name.
import type { RouteCounts } from '../../model/comparison-counts.ts'
import { parseRouteCounts, textOfRouteCounts } from '../comparison-shape.ts'
import { askedOf, type Entries, isAsked, merged, nameOf } from '../counts-entries.ts'
import { NotThat } from '../shape.ts'

/**
 * The entries of one stretch with those of the same route made one; undefined if there are none to be made one. What
 * cannot be understood stays as it is: perhaps a newer gateway can.
 *
 * @param living writers that may say more: theirs stay theirs, so that they can be put in their place
 */
export function folded(entries: Entries, living: Iterable<string>): Entries | undefined {
  const theirs = [...living].map((writer) => askedOf({ except: writer }))
  const ended = [...entries.keys()].filter((name) => theirs.every((asked) => isAsked(name, asked)))
  const next: Entries = new Map(entries)
  for (const names of Map.groupBy(ended, routeOf).values()) {
    if (names.length > 1) fold(next, names)
  }
  return next.size === entries.size ? undefined : next
}

function fold(entries: Entries, names: readonly string[]): void {
  const parts: RouteCounts[] = []
  for (const name of names) {
    const part = understood(entries.get(name) ?? '')
    if (part === undefined) continue
    parts.push(part)
    entries.delete(name)
  }
  for (const sum of merged(parts)) entries.set(nameOf(sum, ''), textOfRouteCounts(sum))
}

function understood(text: string): RouteCounts | undefined {
  try {
    return parseRouteCounts(text)
  } catch (error) {
    if (error instanceof NotThat) return undefined
    throw error
  }
}

/** An entry's name without the writer, which is the last text in it. */
function routeOf(name: string): string {
  return name.slice(0, name.lastIndexOf(',"'))
}
