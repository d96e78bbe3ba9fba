// Reads one object of the config key by key, so that a mistake in one key hides none in another.
import type { z } from 'zod'
import { formatValue, joinPath, type ReportMistake, suggestName } from '../mistake.ts'

/** What each key must look like. A key whose schema takes `undefined` may be left out. */
export type Shape = Readonly<Record<string, z.ZodType>>

/** The keys that could be read; one that is missing here was reported. */
export type Fields<S extends Shape> = { readonly [Key in keyof S]?: Exclude<z.output<S[Key]>, undefined> }

/** Reads the keys in `shape` and reports each that is wrong, missing or unknown. */
export function readFields<const S extends Shape>(
  written: unknown,
  path: string,
  shape: S,
  report: ReportMistake,
  example?: string,
): Fields<S> {
  const such = example === undefined ? `; its keys: ${Object.keys(shape).join(', ')}` : ` such as ${example}`
  const object = readObject(written, path, report, `must be an object${such}`)
  if (object === undefined) return {}
  for (const key of Object.keys(object)) {
    if (Object.hasOwn(shape, key)) continue
    report({ path: joinPath(path, key), found: '', message: `unknown key; ${suggestName(key, Object.keys(shape))}` })
  }
  const fields: Record<string, unknown> = {}
  for (const [key, schema] of Object.entries(shape)) {
    const value = readValue(ownValue(object, key), joinPath(path, key), schema, report)
    if (value !== undefined) fields[key] = value
  }
  return fields as Fields<S>
}

/** Reads one value; undefined where it is wrong (and reported) or not there. */
export function readValue<S extends z.ZodType>(
  written: unknown,
  path: string,
  schema: S,
  report: ReportMistake,
): z.output<S> | undefined {
  const parsed = schema.safeParse(written)
  if (parsed.success) return parsed.data
  for (const issue of parsed.error.issues) {
    const where = issue.path.reduce<string>(joinPath, path)
    const value = issue.path.reduce<unknown>((inside, key) => ownValue(inside, key), written)
    report({
      path: where,
      found: formatValue(value),
      message: value === undefined ? `is missing; it ${issue.message}` : issue.message,
    })
  }
  return undefined
}

/** An object's own entries by name; a name that could not be a label, or that every object has, is a mistake. */
export function readNamed(written: unknown, path: string, what: string, report: ReportMistake): [string, unknown][] {
  if (written === undefined) return []
  const entries = Object.entries(readObject(written, path, report, `must be an object: ${what} by name`) ?? {})
  for (const [name] of entries) {
    if (NAME.test(name) && !RESERVED.has(name) && !(name in Object.prototype)) continue
    const message = `is no name for one of the ${what}; write a letter, then letters, digits, "-" or "_", at most 64, and none of ${[...RESERVED].join(', ')}`
    report({ path: joinPath(path, name), found: '', message })
  }
  return entries
}

/** Says that everything was there. True once no mistake was reported: `validate` throws the rest away otherwise. */
export function complete<T extends object>(fields: { readonly [Key in keyof T]?: T[Key] | undefined }): T {
  return fields as T
}

/** Only an object's own keys count, so that nothing is read from a polluted prototype. */
export function ownValue(object: unknown, key: PropertyKey): unknown {
  if (typeof object !== 'object' || object === null || !Object.hasOwn(object, key)) return undefined
  return (object as Record<PropertyKey, unknown>)[key]
}

const NAME = /^[A-Za-z][A-Za-z0-9_-]{0,63}$/
/** Words that metrics and logs use for what belongs to no context. */
const RESERVED: ReadonlySet<string> = new Set(['legacy', 'unowned', 'none'])

function readObject(written: unknown, path: string, report: ReportMistake, message: string): object | undefined {
  if (typeof written === 'object' && written !== null && !Array.isArray(written)) return written
  report({ path, found: formatValue(written), message: written === undefined ? `is missing; it ${message}` : message })
  return undefined
}
