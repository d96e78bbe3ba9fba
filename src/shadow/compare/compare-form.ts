// application/x-www-form-urlencoded: names with their values, in order for each name; the order of names means nothing.
import type { JsonDocument, JsonObject, JsonValue } from './read-json.ts'

/** As a JSON document of lists, or of texts where a name has one value: from there on it is compared as such. */
export function readForm(text: string, { maxNodes }: { readonly maxNodes: number }): JsonDocument | undefined {
  if (text.split('&', maxNodes + 1).length > maxNodes) return undefined
  const values = new Map<string, string[]>()
  for (const [name, value] of new URLSearchParams(text)) {
    const existing = values.get(name)
    if (existing === undefined) values.set(name, [value])
    else existing.push(value)
  }
  const root: JsonObject = new Map(
    [...values].map(([name, list]): [string, JsonValue] => [name, list.length === 1 ? list[0]! : list]),
  )
  return { root, repeated: new Map() }
}
