// application/x-www-form-urlencoded. The values of one name are in order; the order of the names has no meaning.
import type { JsonDocument, JsonObject, JsonValue } from './read-json.ts'

/** As a JSON object: a name with one value is a text, a name with several values a list. Undefined above `maxNodes` pairs. */
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
