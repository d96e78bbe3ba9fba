// What comparing finds, read back from where it was kept: see shape.ts.
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
import { field, name, reader, side, time } from './shape.ts'

const count = z.int().nonnegative()

/**
 * A record under whatever names a body, and so a stranger, has given: without a prototype, and with `__proto__` as a
 * name like any other, which `z.record` would leave out.
 *
 * Names that are none here are left out, and not the whole refused: a newer gateway of the fleet has words of its own.
 */
function record<K extends string, V>(key: z.ZodType<K>, value: z.ZodType<V>): z.ZodType<Record<K, V>> {
  return z
    .unknown()
    .refine((given) => typeof given === 'object' && given !== null && !Array.isArray(given), 'is not a record')
    .transform((given) => Object.entries(given as object).filter(([own]) => key.safeParse(own).success))
    .pipe(z.array(z.tuple([z.string(), value])))
    .transform((entries) => {
      const made = Object.create(null) as Record<string, V>
      for (const [own, its] of entries) made[own] = its
      return made as Record<K, V>
    })
}

function wordsOf<K extends string>(table: Readonly<Record<K, unknown>>): z.ZodType<K> {
  return z.enum(Object.keys(table) as K[]) as unknown as z.ZodType<K>
}

const counts: z.ZodType<Counts> = z.object({
  matched: count,
  ignored: count,
  differing: record(z.string(), count),
  uncomparable: record(wordsOf(UNCOMPARABLE), count),
  shed: record(wordsOf(SHED), count),
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

/** It was masked before it was kept: `redact` alone makes what is put here. */
const masked = z.string().transform((text) => text as Masked)
const fields = z.array(masked).refine(({ length }) => length % 2 === 0, 'has a name without a value')
const answer: z.ZodType<MaskedAnswer> = z.object({
  status: z.int(),
  headers: fields,
  body: masked.nullable(),
  ms: z.number().nonnegative(),
})
const keptExample: z.ZodType<StoredExample> = z.object({
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
        kind: wordsOf<DifferenceKind>(DIFFERENCE_KINDS),
        path: z.string(),
        legacy: masked.nullable(),
        service: masked.nullable(),
        times: count,
      }),
    ),
  }),
})

/** @throws {NotThat} */
export const parseRouteCounts = reader('the counts of a route', routeCounts, 'any key')
/** @throws {NotThat} */
export const parseExample = reader('an example', keptExample)

/**
 * The text that is kept.
 *
 * @throws {NotThat} if no store would read it again
 */
export function textOfRouteCounts(of: RouteCounts): string {
  const text = JSON.stringify(of)
  parseRouteCounts(text)
  return text
}

/** @throws {NotThat} */
export function textOfExample(example: StoredExample): string {
  const text = JSON.stringify(example)
  parseExample(text)
  return text
}
