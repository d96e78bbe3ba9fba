// The contract's paths with what goes into them.
import { UsageError } from './usage-error.ts'

/** `pathOf(PATHS.flag, 'catalog')` is `/contexts/catalog/flag`. */
export function pathOf(path: string, context: string, query: Query = {}): string {
  // As a part of a path these two mean another path, however they are written.
  if (context === '.' || context === '..') throw new UsageError(`there is no context "${context}"`)
  return withQuery(
    path.replace(':id', () => encodeURIComponent(context)),
    query,
  )
}

/** What is undefined or null is left out. */
export type Query = Readonly<Record<string, string | number | null | undefined>>

export function withQuery(path: string, query: Query): string {
  const said = Object.entries(query).flatMap(([name, value]) =>
    value === undefined || value === null ? [] : [[name, String(value)]],
  )
  return said.length === 0 ? path : `${path}?${new URLSearchParams(said)}`
}
