// The contract's paths with what goes into them.
import { UsageError } from '../usage-error.ts'

/** `pathOf(PATHS.flag, 'catalog')` is `/contexts/catalog/flag`. @param name of a context, or a fingerprint */
export function pathOf(path: string, name: string, query: Query = {}): string {
  // As a part of a path these two mean another path, however they are written.
  if (name === '.' || name === '..') throw new UsageError(`there is no context "${name}"`)
  return withQuery(
    path.replace(/:\w+/, () => encodeURIComponent(name)),
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
