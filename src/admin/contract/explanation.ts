// The explanation of a decision: why a request goes to the side it goes to.
import { z } from 'zod'
import { REASONS } from '../../model/decision.ts'
import { FAILURES } from '../../model/failures.ts'
import { side } from './fields.ts'
import { namesOf, type ResponseOf } from './schema-types.ts'

/** The query of GET `explain`: a request, and its client. The first id that is given is its identity; a user can have a session too. */
export const explainQuery = z.strictObject({
  method: z
    .string()
    .regex(/^[A-Za-z]{1,32}$/, 'must be a method')
    .default('GET'),
  target: z.string().min(1).max(8192).describe('Path and query, such as /api/orders/42'),
  host: z.string().min(1).max(255).default('localhost'),
  address: z.union([z.ipv4(), z.ipv6()]).default('127.0.0.1'),
  user: z.string().min(1).max(512).optional(),
  session: z.string().min(1).max(512).optional(),
  anonymous: z.string().min(1).max(512).optional(),
})
export type ExplainRequest = ResponseOf<typeof explainQuery>

const rollout = z.object({
  percent: z.number(),
  stickiness: z.string(),
  groupId: z.string(),
  value: z.string().optional(),
  bucket: z.number().optional(),
})

const flagTrace = z.object({
  flag: z.string(),
  answer: z.enum(['on', 'off', 'missing', 'stale']),
  known: z.boolean(),
  enabled: z.boolean(),
  parentsAllow: z.boolean(),
  strategies: z.array(
    z.object({
      name: z.string(),
      allows: z.boolean(),
      constraints: z.number(),
      segments: z.number(),
      rollout: rollout.optional(),
    }),
  ),
})

const changedFields = z.object({ set: z.array(z.string()), removed: z.array(z.string()) })

const refusedRequest = z.object({
  kind: z.literal('refused'),
  request: z.string(),
  failure: z.enum(namesOf(FAILURES)),
  status: z.int(),
  detail: z.string(),
})

const decidedRequest = z.object({
  kind: z.literal('decided'),
  request: z.string(),
  path: z.string().describe('The normal form of the path: the gateway matches, decides and forwards it'),
  route: z.string(),
  context: z.object({ name: z.string(), owner: z.string() }).optional(),
  auth: z
    .object({ issuer: z.string(), optional: z.boolean(), note: z.string() })
    .optional()
    .describe('The token that the route requires; absent if it requires no token'),
  identity: z.object({
    kind: z.enum(['user', 'session', 'anonymous', 'address', 'none']),
    key: z.string(),
    session: z.string().optional().describe('The session id of a user, in addition to the user id'),
    clientAddress: z.string(),
    secure: z.boolean(),
    requestId: z.string(),
    isNew: z.boolean(),
  }),
  identityTrouble: z.string().optional().describe('Why no real request can have this identity; absent if one can'),
  flag: flagTrace.optional(),
  hashWarning: z.string().optional().describe('Why another SDK can compute another bucket'),
  flagTrouble: z.string().optional().describe('Why the flags could not be read; absent if they could'),
  side,
  reason: z
    .enum([...namesOf(REASONS), 'breaker-open'])
    .describe('A gateway before 0.2.0 sends breaker-open for service-unavailable'),
  because: z.string(),
  url: z.string(),
  fallback: z.boolean(),
  serviceTrouble: z.string().optional().describe('Why the chosen service cannot answer now; absent if it can'),
  headers: z
    .object({ request: changedFields, response: changedFields })
    .optional()
    .describe('Names of the header fields that the map sets and removes; absent without rules'),
})

/** Also the output of `strangler explain --json`. */
export const explanation = z.discriminatedUnion('kind', [refusedRequest, decidedRequest])
export type Explanation = ResponseOf<typeof explanation>
