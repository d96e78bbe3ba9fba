// Comparisons of the two sides: parity, differences with their evidence, and rule trials.
import { z } from 'zod'
import { DIFFERENCE_KINDS } from '../../model/comparison.ts'
import { EXPORT_FORMS, type ExportedRequest, type RuleTrial } from '../../model/comparison-views.ts'
import { windowText } from './durations.ts'
import { side, stamp, time } from './fields.ts'
import { namesOf, type ResponseOf } from './schema-types.ts'

export type { RuleTrial }

/** The query of GET `parity`. */
export const parityQuery = z.strictObject({
  window: windowText,
  target: z.coerce.number().min(50).max(99.999).default(99.9).describe('The target, in percent'),
})

/** The query of GET `differences`, of a context or one by its fingerprint. */
export const windowQuery = z.strictObject({ window: windowText })

/** The query of GET `export`. */
export const exportQuery = z.strictObject({ as: z.enum(EXPORT_FORMS).default('curl') })

/** POST `try-rule`: rules in the form of `shadow.compare` of a context or route. */
export const tryRuleRequest = z.strictObject({
  rules: z.unknown().describe('As in the config: ignore, normalise, tolerance, treatAsSet, keyed, sortBy, …'),
  route: z.string().min(1).max(500).optional().describe('Only examples of this route, such as GET /products/:id'),
})

const share = z.object({ share: z.number(), lower: z.number(), upper: z.number() }).describe('With its 95 % interval')
const reasonCounts = z.record(z.string(), z.number())
const period = { from: time, to: time }
const dataSince = time
  .nullable()
  .optional()
  .describe('When the first hour of the window with data begins; null without data, absent before version 0.2')

const tally = z.object({
  accounting: z
    .object({
      eligible: z.int(),
      matched: z.int(),
      mismatched: z.int(),
      noise: z.int(),
      inconclusive: z.int(),
      ignored: z.int(),
      uncomparable: z.int(),
      shed: z.int(),
      failed: z.int(),
    })
    .describe('How the eligible requests ended: eligible is the sum of all others'),
  reasons: z.object({ uncomparable: reasonCounts, shed: reasonCounts, failed: reasonCounts }),
  pairs: z.int().describe('How often the gateway has sent a request to legacy twice'),
  conclusive: z.int(),
  matching: share.nullable().describe('The share of conclusive comparisons that match; null without any'),
  atLeast: z.number().describe('The lower bound if each inconclusive comparison is a mismatch. Gates use it'),
  untilTarget: z.int().describe('Comparisons that must still match until the lower bound reaches the target'),
})

/** Shares are from 0 to 1. */
export const parityResponse = z.object({
  ...period,
  target: z.number(),
  contexts: z.array(
    tally.extend({ context: z.string(), dataSince, routes: z.array(tally.extend({ route: z.string() })) }),
  ),
})
export type ParityResponse = ResponseOf<typeof parityResponse>

const countedShare = z.object({ count: z.int(), of: z.int(), share: share.nullable() })
const place = { route: z.string(), kind: z.enum(namesOf(DIFFERENCE_KINDS)), path: z.string() }

/** A field of a route in which the sides differ. */
export const differenceSummary = z.object({
  fingerprint: z.string(),
  context: z.string(),
  ...place,
  sides: countedShare.describe('Comparisons in which the sides differ in this field'),
  self: countedShare.describe('Pairs in which legacy differs from itself in this field: noise'),
  verdict: z.enum(['real', 'noise', 'inconclusive']),
  note: stamp
    .extend({ ruling: z.enum(['real', 'noise']).nullable(), resolvedAt: time.nullable() })
    .nullable()
    .describe('The last ruling or resolution of an operator'),
  state: z.enum(['open', 'resolved', 'reopened']).describe('reopened: it occurred again after it was resolved'),
  firstSeen: time.nullable(),
  lastSeen: time.nullable(),
  example: z
    .object({ at: time, legacy: z.string().nullable(), service: z.string().nullable() })
    .nullable()
    .describe('The newest example, masked'),
})
export type DifferenceSummary = ResponseOf<typeof differenceSummary>

export const differencesResponse = z.object({
  ...period,
  context: z.string(),
  dataSince,
  comparisons: z.int(),
  pairs: z.int(),
  fieldsLeftOut: z
    .int()
    .describe('The number of differences in fields that are not listed because there were too many fields'),
  differences: z.array(differenceSummary).describe('Real ones first, then inconclusive ones, noise and resolved ones'),
})
export type DifferencesResponse = ResponseOf<typeof differencesResponse>

const maskedAnswer = z.object({
  status: z.int(),
  headers: z.array(z.string()).describe('Name, value, name, value, …'),
  body: z.string().nullable().describe('JSON; null if the body was not JSON, or was too long'),
  ms: z.number(),
})

const maskedExample = z
  .object({
    at: time,
    request: z.object({ method: z.string(), target: z.string(), headers: z.array(z.string()) }),
    answeredBy: side,
    legacy: maskedAnswer,
    service: maskedAnswer,
    differences: z.array(
      z.object({
        kind: place.kind,
        path: place.path,
        legacy: z.string().nullable(),
        service: z.string().nullable(),
        times: z.int(),
      }),
    ),
  })
  .describe('Masked')
export type MaskedExample = ResponseOf<typeof maskedExample>

export const differenceResponse = z.object({
  ...period,
  difference: differenceSummary,
  examples: z.array(maskedExample),
  noise: z.array(z.string()).describe('The fields of the examples that are noise, written "kind path"'),
})
export type DifferenceResponse = ResponseOf<typeof differenceResponse>

export const exportedRequest = z.object({
  fingerprint: z.string(),
  as: z.enum(EXPORT_FORMS),
  text: z.string(),
  variables: z.array(z.string()).describe('Environment variables that hold the masked values'),
}) satisfies z.ZodType<ExportedRequest>

/** The effect that rules would have on the examples in the store. */
export const ruleTrial = z.object({
  examples: z.int(),
  differences: z.array(
    z.object({
      ...place,
      fingerprint: z.string(),
      forgiven: z.int(),
      remaining: z.int(),
      untried: z.int().describe('Examples without a body, or whose difference is masked'),
    }),
  ),
  appearing: z
    .array(z.object({ ...place, examples: z.int() }))
    .describe('Fields that differ under these rules and were not reported before'),
}) satisfies z.ZodType<RuleTrial>
