// Paths of the contract with their parameters and query.
import { UsageError } from '../usage-error.ts'

/** `apiPath(PATHS.flag, 'catalog')` is `/contexts/catalog/flag`. @param parameter the name of a context or gateway, or a fingerprint */
export function apiPath(path: string, parameter: string, query: Query = {}): string {
  // URL parsers resolve a segment "." or "..", even if it is percent-encoded, so the path would change.
  if (parameter === '.' || parameter === '..') throw new UsageError(`there is no context "${parameter}"`)
  return withQuery(
    path.replace(/:\w+/, () => encodeURIComponent(parameter)),
    query,
  )
}

/** Undefined and null values are left out. */
type Query = Readonly<Record<string, string | number | null | undefined>>

export function withQuery(path: string, query: Query): string {
  const parameters = Object.entries(query).flatMap(([name, value]) =>
    value === undefined || value === null ? [] : [[name, String(value)]],
  )
  return parameters.length === 0 ? path : `${path}?${new URLSearchParams(parameters)}`
}
