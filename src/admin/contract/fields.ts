// Schemas of fields that several resources share. Times are milliseconds since 1970; an absent value is null.
import { z } from 'zod'

export const side = z.enum(['legacy', 'service'])

const LONGEST_REASON = 500

/** Logs and terminals show it: it must be one line of visible text. */
export const reasonText = z
  .string()
  .trim()
  .min(1)
  .max(LONGEST_REASON)
  .regex(/^[^\p{Cc}\p{Zl}\p{Zp}\p{Cs}]*$/u, 'must be one line of text')
  .nullish()
  .describe('The reason, for the audit log. Required in production and in CI')

export const time = z.int().describe('Milliseconds since 1970')
export const generation = z.int().min(0)
/** A number for each side. */
export const sideCounts = z.object({ legacy: z.number(), service: z.number() })

export const stamp = z.object({ by: z.string(), reason: z.string().nullable(), at: time })
export const pin = stamp.extend({ side, until: time.nullable().describe('null: without end') })
export const flip = stamp.extend({ flag: z.string(), percentage: z.number(), generation })
export const shadow = stamp.extend({
  percentage: z.number().describe('How many of a hundred eligible requests are copied'),
})

/** A query without parameters. */
export const emptyQuery = z.strictObject({})
