// Schemas of stored counts and examples: see state-schema.ts.
import { z } from 'zod'
import {
  DIFFERENCE_KINDS,
  type DifferenceKind,
  type Masked,
  SHADOW_FAILURES,
  SHED,
  UNCOMPARABLE,
} from '../model/comparison.ts'
import type { Counts, RouteCounts } from '../model/comparison-counts.ts'
import type { MaskedAnswer, StoredExample } from '../model/comparison-example.ts'
import { createParser, field, name, side, time } from './state-schema.ts'

const count = z.int().nonnegative()

/**
 * A record whose keys can come from a response body, and so from an attacker: without a prototype, and with `__proto__` as
 * an ordinary key, which `z.record` would leave out.
 *
 * A key that does not match is left out, and the record is accepted: a newer gateway of the fleet may have more keys.
 */
function record<K extends string, V>(key: z.ZodType<K>, value: z.ZodType<V>): z.ZodType<Record<K, V>> {
  return z
    .unknown()
    .refine((input) => typeof input === 'object' && input !== null && !Array.isArray(input), 'is not a record')
    .transform((input) => Object.entries(input as object).filter(([name]) => key.safeParse(name).success))
    .pipe(z.array(z.tuple([z.string(), value])))
    .transform((entries) => {
      const result = Object.create(null) as Record<string, V>
      for (const [name, entry] of entries) result[name] = entry
      return result as Record<K, V>
    })
}

function keysOf<K extends string>(table: Readonly<Record<K, unknown>>): z.ZodType<K> {
  return z.enum(Object.keys(table) as K[]) as unknown as z.ZodType<K>
}

const counts: z.ZodType<Counts> = z.object({
  matched: count,
  ignored: count,
  differing: record(z.string(), count),
  uncomparable: record(keysOf(UNCOMPARABLE), count),
  shed: record(keysOf(SHED), count),
  failed: record(z.enum([...SHADOW_FAILURES, 'primary', 'not-dry-run']), count),
  pairs: count,
  fields: record(field, z.object({ sides: count, self: count, firstSeen: time, lastSeen: time })),
  fieldsLeftOut: count,
})

const routeCounts: z.ZodType<RouteCounts> = z.object({
  context: name,
  route: z.string(),
  start: time.nonnegative(),
  counts,
})

/** The text was masked before it was stored: only `redact` creates it. */
const masked = z.string().transform((text) => text as Masked)
const fields = z.array(masked).refine(({ length }) => length % 2 === 0, 'has a name without a value')
const answer: z.ZodType<MaskedAnswer> = z.object({
  status: z.int(),
  headers: fields,
  body: masked.nullable(),
  ms: z.number().nonnegative(),
})
const storedExample: z.ZodType<StoredExample> = z.object({
  fingerprint: z.string().min(1),
  context: name,
  route: z.string(),
  field,
  example: z.object({
    at: time.nonnegative(),
    request: z.object({ method: z.string(), target: masked, headers: fields }),
    answeredBy: side,
    legacy: answer,
    service: answer,
    differences: z.array(
      z.object({
        kind: keysOf<DifferenceKind>(DIFFERENCE_KINDS),
        path: z.string(),
        legacy: masked.nullable(),
        service: masked.nullable(),
        times: count,
      }),
    ),
  }),
})

/** @throws {InvalidStoredValue} */
export const parseRouteCounts = createParser('the counts of a route', routeCounts, 'any key')
/** @throws {InvalidStoredValue} */
export const parseExample = createParser('an example', storedExample)

/**
 * The text that is stored.
 *
 * @throws {InvalidStoredValue} if the text could not be read again
 */
export function serializeRouteCounts(counts: RouteCounts): string {
  const text = JSON.stringify(counts)
  parseRouteCounts(text)
  return text
}

/** @throws {InvalidStoredValue} */
export function serializeExample(example: StoredExample): string {
  const text = JSON.stringify(example)
  parseExample(text)
  return text
}
