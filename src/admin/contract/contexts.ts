// Contexts, as they are now.
import { z } from 'zod'
import type { UpstreamView } from '../../control/control.ts'
import { flip, generation, pin, shadow, sideCounts, stamp, time } from './fields.ts'
import type { ResponseOf } from './schema-types.ts'

export type { UpstreamView }

export const upstreamView = z.object({
  addresses: z.int(),
  available: z.int(),
  unavailable: z.array(
    z.object({
      address: z.string(),
      why: z.string(),
      since: time,
      until: time.nullable().describe('When the ejection ends; null until the health check of the address passes'),
    }),
  ),
}) satisfies z.ZodType<UpstreamView>

export const contextResponse = z.object({
  name: z.string(),
  owner: z.string(),
  flag: z.string(),
  service: z.string(),
  percentage: z.number().nullable().describe('The percentage of its flag; null if the flag has no single percentage'),
  why: z.string().nullable().describe('Why percentage is null'),
  isForMatching: z
    .boolean()
    .optional()
    .describe('The percentage counts only people who match constraints, segments or strategies of the flag'),
  serving: z.enum(['legacy', 'service', 'split']).describe('The side that answers; split is by percentage'),
  pin: pin.nullable(),
  freeze: stamp.nullable(),
  flip: flip.nullable(),
  shadow: shadow.nullable().describe('The shadow percentage that an operator has set; null: as in the config'),
  generation: generation.describe('The generation of its last change, 0 before the first; also its ETag'),
  rollback: z.enum(['allowed', 'forward-only']),
  lastMinute: sideCounts.describe('Requests of the last minute on all gateways'),
  fallback: z
    .enum(['reads', 'all'])
    .or(z.literal(false))
    .optional()
    .describe('Which requests legacy answers while no address of the service is available'),
  upstream: upstreamView
    .optional()
    .describe('The addresses of its service, as this gateway sees them; a gateway before 0.2.0 does not send it'),
})
export type ContextResponse = ResponseOf<typeof contextResponse>

export const contextsResponse = z.object({ contexts: z.array(contextResponse) })

export const killSwitchResponse = z.object({
  kill: stamp.nullable().describe('The author, time and reason of the kill; null while the kill switch is off'),
  localKill: z.array(z.string()).describe('Contexts that the kill file of this gateway sends to legacy; * for all'),
  generation: generation.describe('Its ETag'),
})
