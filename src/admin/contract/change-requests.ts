// Changes: the request of each, and the response once the change is made. A field that a schema does not name is a mistake.
import { z } from 'zod'
import { VERBS } from '../../model/shared-state.ts'
import { durationMs, UNITS } from './durations.ts'
import { generation, reasonText, side, time } from './fields.ts'
import type { RequestOf, ResponseOf } from './schema-types.ts'

/** PUT `flag`: moves the flag of a context. */
export const flipRequest = z.strictObject({ percentage: z.int().min(0).max(100), reason: reasonText })
export type FlipRequest = RequestOf<typeof flipRequest>

const LONGEST_PIN_MS = 365 * UNITS.d

/** PUT `pin`. Exactly one of `for`, `forMs` and `noEnd` gives its end. */
export const pinRequest = z
  .strictObject({
    side,
    for: z.string().optional().describe('How long, such as 90s, 30m, 2h or 1d'),
    forMs: z.int().nullish().describe('How long, in milliseconds'),
    noEnd: z.literal(true).optional().describe('Until an operator removes the pin'),
    reason: reasonText,
  })
  .superRefine((request, { addIssue }) => {
    const ends = [request.for, request.forMs, request.noEnd].filter((end) => end !== undefined && end !== null)
    if (ends.length !== 1) {
      return addIssue({ code: 'custom', message: 'a pin has one end: give "for", "forMs" or "noEnd": true' })
    }
    const path = [request.for === undefined ? 'forMs' : 'for']
    const ms = pinDurationMs(request)
    if (Number.isNaN(ms)) addIssue({ code: 'custom', path, message: 'must be a duration such as 90s, 30m, 2h or 1d' })
    if (ms !== null && (ms < UNITS.s || ms > LONGEST_PIN_MS)) {
      addIssue({ code: 'custom', path, message: 'must be from one second to 365 days; or give "noEnd": true' })
    }
  })
  .meta({ anyOf: [{ required: ['for'] }, { required: ['forMs'] }, { required: ['noEnd'] }] })
export type PinRequest = RequestOf<typeof pinRequest>

/** @returns how long the pin lasts in milliseconds; null without end, NaN if `for` is not a duration */
export function pinDurationMs(request: Pick<PinRequest, 'for' | 'forMs' | 'noEnd'>): number | null {
  if (request.for !== undefined) return durationMs(request.for) ?? Number.NaN
  return request.forMs ?? null
}

/** PUT `shadow`: how many of a hundred eligible requests are copied to the other side. */
export const shadowRequest = z.strictObject({ percentage: z.int().min(0).max(100), reason: reasonText })
export type ShadowRequest = RequestOf<typeof shadowRequest>

/** PUT `freeze`, `kill-switch` and `resolution`. */
export const reasonRequest = z.strictObject({ reason: reasonText })
export type ReasonRequest = RequestOf<typeof reasonRequest>

/** POST `rollback`. */
export const rollbackRequest = z.strictObject({
  force: z
    .boolean()
    .default(false)
    .describe('Roll back although the config says forward-only; requires the role admin'),
  reason: reasonText,
})
export type RollbackRequest = RequestOf<typeof rollbackRequest>

/** PUT `ruling`: an operator's verdict on a difference, which overrides the statistics. */
export const rulingRequest = z.strictObject({ verdict: z.enum(['real', 'noise']), reason: reasonText })

/** The query of every DELETE: a body has no meaning there (RFC 9110 section 9.3.5). */
export const undoQuery = z.strictObject({ reason: reasonText })

/** The response to a change that was made. */
export const changeResponse = z.object({
  verb: z.enum(VERBS),
  context: z.string().nullable(),
  before: z.unknown(),
  after: z.unknown(),
  generation,
  until: time.nullable(),
  note: z.string().nullable(),
  converged: z
    .boolean()
    .describe('Whether every gateway has applied the change; if not, convergence names the laggards'),
  convergence: z.object({
    applied: z.int(),
    of: z.int(),
    ms: z.number(),
    laggards: z.array(z.object({ id: z.string(), address: z.string(), why: z.string() })),
    inFlight: z.int(),
    serviceWrites: z
      .object({
        count: z.int(),
        isLowerBound: z.boolean().describe('A gateway has restarted since, is silent, or does not count writes'),
      })
      .optional()
      .describe(
        'For flip, rollback and kill: writes that the service has answered with 2xx or 3xx since the context was last at 0 %',
      ),
  }),
})
export type ChangeResponse = ResponseOf<typeof changeResponse>
