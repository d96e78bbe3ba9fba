// Reads one object of the config key by key, so that every mistake is reported at once.
import type { z } from 'zod'
import { formatValue, joinPath, type ReportMistake, suggestName } from '../mistake.ts'

/** The schema of each key. A key whose schema accepts `undefined` is optional. */
type Shape = Readonly<Record<string, z.ZodType>>

/** The values of the keys. A key with a reported mistake is missing. */
type Fields<S extends Shape> = { readonly [Key in keyof S]?: Exclude<z.output<S[Key]>, undefined> }

/** Reads the keys of `shape`. Reports keys that are invalid, missing or unknown. */
export function readFields<const S extends Shape>(
  written: unknown,
  path: string,
  shape: S,
  report: ReportMistake,
  example?: string,
): Fields<S> {
  const hint = example === undefined ? `; its keys: ${Object.keys(shape).join(', ')}` : ` such as ${example}`
  const object = readObject(written, path, report, `must be an object${hint}`)
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

/** Reads one value. Returns undefined if it is not written, or invalid and reported. */
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

/** Reads an object of named entries. Reports names that cannot be labels of metrics, and names of `Object.prototype`. */
export function readNamed(written: unknown, path: string, plural: string, report: ReportMistake): [string, unknown][] {
  if (written === undefined) return []
  const entries = Object.entries(
    readObject(written, path, report, `must be an object with the ${plural} by name`) ?? {},
  )
  for (const [name] of entries) {
    if (NAME.test(name) && !RESERVED.has(name) && !(name in Object.prototype)) continue
    const message = `is not a valid name; write a letter, then letters, digits, "-" or "_", at most 64 characters, and not ${[...RESERVED].join(', ')}`
    report({ path: joinPath(path, name), found: '', message })
  }
  return entries
}

/** Asserts the type of complete fields. `validate` discards the result where a mistake was reported. */
export function assertComplete<T extends object>(fields: { readonly [Key in keyof T]?: T[Key] | undefined }): T {
  return fields as T
}

/** Reads an own property only, so that a polluted prototype has no effect. */
export function ownValue(object: unknown, key: PropertyKey): unknown {
  if (typeof object !== 'object' || object === null || !Object.hasOwn(object, key)) return undefined
  return (object as Record<PropertyKey, unknown>)[key]
}

const NAME = /^[A-Za-z][A-Za-z0-9_-]{0,63}$/
/** Labels that metrics and logs use for requests without a context. */
const RESERVED: ReadonlySet<string> = new Set(['legacy', 'unowned', 'none'])

function readObject(written: unknown, path: string, report: ReportMistake, message: string): object | undefined {
  if (typeof written === 'object' && written !== null && !Array.isArray(written)) return written
  report({ path, found: formatValue(written), message: written === undefined ? `is missing; it ${message}` : message })
  return undefined
}
