// Problems: the responses to requests that were refused (RFC 9457).
import { z } from 'zod'
import { generation } from './fields.ts'
import { namesOf, type ResponseOf } from './schema-types.ts'

/** The member `code` of a response of type `application/problem+json`, with its status and title. */
export const PROBLEMS = {
  'not-json': { status: 400, title: 'The body is not JSON' },
  'bad-request': { status: 400, title: 'The request is not valid' },
  'bad-query': { status: 400, title: 'The query is not valid' },
  unauthenticated: { status: 401, title: 'A token is required' },
  'invalid-token': { status: 401, title: 'The token is not valid' },
  forbidden: { status: 403, title: 'The role does not allow this' },
  'foreign-origin': { status: 403, title: 'A page of another origin may not do this' },
  'not-found': { status: 404, title: 'There is no such resource' },
  'unknown-context': { status: 404, title: 'There is no such context' },
  'unknown-difference': { status: 404, title: 'There is no such difference' },
  'method-not-allowed': { status: 405, title: 'The resource does not have this method' },
  refused: { status: 409, title: 'The change was refused; nothing was changed' },
  conflict: { status: 409, title: 'Another change came first; nothing was changed' },
  'in-progress': { status: 409, title: 'A request with this Idempotency-Key is in progress' },
  'not-exportable': { status: 409, title: 'There is nothing to export' },
  'precondition-failed': { status: 412, title: 'It has changed since; nothing was changed' },
  'body-too-large': { status: 413, title: 'The body is too large' },
  'not-json-type': { status: 415, title: 'Content-Type must be application/json' },
  'foreign-host': { status: 421, title: 'This host name is not served here' },
  'bad-body': { status: 422, title: 'The body is not valid' },
  'reason-required': { status: 422, title: 'A reason is required' },
  'key-reused': { status: 422, title: 'The Idempotency-Key was used for another request' },
  'too-many-failures': { status: 429, title: 'Too many failed attempts' },
  bug: { status: 500, title: 'The admin server failed' },
  unavailable: { status: 503, title: 'The store or the flag authority does not answer' },
  'keys-unreachable': { status: 503, title: 'The keys of the issuer were never read' },
  'too-many-streams': { status: 503, title: 'Too many event streams are open' },
} as const satisfies Record<string, { readonly status: number; readonly title: string }>

export type ProblemCode = keyof typeof PROBLEMS

/** Programs use `code`; people read `detail`. */
export const problem = z.object({
  type: z.literal('about:blank'),
  title: z.string(),
  status: z.int(),
  code: z.enum(namesOf(PROBLEMS)),
  detail: z.string().optional(),
  mistakes: z.array(z.object({ path: z.string(), message: z.string() })).optional(),
  known: z.array(z.string()).optional().describe('With unknown-context: the names of all contexts'),
  generation: generation
    .optional()
    .describe('With conflict and precondition-failed: the generation of the last change'),
})
export type Problem = ResponseOf<typeof problem>
