// The gateways of the fleet.
import { z } from 'zod'
import { generation, sideCounts, time } from './fields.ts'
import type { ResponseOf } from './schema-types.ts'

export const memberResponse = z.object({
  id: z.string(),
  version: z.string(),
  address: z.string(),
  startedAt: time,
  applied: generation,
  localKill: z.array(z.string()).describe('Contexts that its own kill file sends to legacy; * for all'),
  percentages: z.record(z.string(), z.number().nullable()),
  flags: z.object({ source: z.string(), stale: z.boolean(), ageMs: z.number().nullable() }),
  inFlight: z.record(z.string(), sideCounts),
  lastMinute: z.record(z.string(), sideCounts),
  serviceWrites: z
    .record(z.string(), z.object({ count: z.int(), isLowerBound: z.boolean() }))
    .optional()
    .describe('Writes that the service has answered since the context was last at 0 %; absent before version 0.2'),
  silentMs: z.number(),
  instance: z.string().optional().describe('The id of the process, new with each start'),
  duplicateOf: z.string().optional().describe('The id that another running gateway has too'),
  isConverged: z.boolean().describe('Whether it reports, has applied the generation and has the expected percentages'),
  lag: z.string().nullable().optional().describe('Why it has not converged; a gateway before 0.2.0 does not send it'),
})
export type MemberResponse = ResponseOf<typeof memberResponse>

export const fleetResponse = z.object({ generation, members: z.array(memberResponse) })
export type FleetResponse = ResponseOf<typeof fleetResponse>
