// What is said over the admin API, as the gateway, the command line and the pages know it: one schema for each body,
// and the paths. Times are milliseconds since 1970; what is not there is null.
import { z } from 'zod'
import { CHAIN_FAULTS } from '../../model/audit-log.ts'
import { DIFFERENCE_KINDS } from '../../model/comparison.ts'
import { EXPORT_FORMS } from '../../model/comparison-views.ts'
import { REASONS } from '../../model/decision.ts'
import { FAILURES } from '../../model/failures.ts'
import { ROLES, VERBS } from '../../model/shared-state.ts'

/** Where the API is, below the address of the admin port. */
export const API = '/api/v1'

/** Where each resource is, below {@link API}. */
export const PATHS = {
  status: '/status',
  contexts: '/contexts',
  context: '/contexts/:id',
  flag: '/contexts/:id/flag',
  pin: '/contexts/:id/pin',
  freeze: '/contexts/:id/freeze',
  shadow: '/contexts/:id/shadow',
  rollback: '/contexts/:id/rollback',
  parity: '/parity',
  differences: '/contexts/:id/differences',
  tryRule: '/contexts/:id/try-rule',
  difference: '/differences/:fingerprint',
  ruling: '/differences/:fingerprint/ruling',
  resolution: '/differences/:fingerprint/resolution',
  export: '/differences/:fingerprint/export',
  killSwitch: '/kill-switch',
  fleet: '/fleet',
  fleetMember: '/fleet/:id',
  audit: '/audit',
  auditVerification: '/audit/verification',
  explain: '/explain',
  events: '/events',
  openapi: '/openapi.json',
} as const

/** Lines of JSON, one record each: the audit log when all of it is asked for. */
export const JSON_LINES = 'application/jsonl'
/** Changes as they happen. */
export const EVENT_STREAM = 'text/event-stream'

/** What a schema says, for whoever only reads it. */
export type Said<Schema extends z.ZodType> = Frozen<z.output<Schema>>
/** What may be written to satisfy a schema. */
export type Asking<Schema extends z.ZodType> = Frozen<z.input<Schema>>

type Frozen<Value> = Value extends readonly (infer One)[]
  ? readonly Frozen<One>[]
  : Value extends object
    ? { readonly [Key in keyof Value]: Frozen<Value[Key]> }
    : Value

// Asked: whatever is not named here is a mistake.

const LONGEST_REASON = 500
const side = z.enum(['legacy', 'service'])
/** Logs and terminals show it, so that it is one line of visible text. */
const reason = z
  .string()
  .trim()
  .min(1)
  .max(LONGEST_REASON)
  .regex(/^[^\p{Cc}\p{Zl}\p{Zp}\p{Cs}]*$/u, 'must be one line of text')
  .nullish()
  .describe('Why: it is on record. In production and CI it must be said')

/** PUT `flag`: moves the flag of a context. */
export const flipAsked = z.strictObject({ percentage: z.int().min(0).max(100), reason })
export type FlipAsked = Asking<typeof flipAsked>

const UNITS = { s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 } as const
const LONGEST_PIN_MS = 365 * UNITS.d

/** `90s`, `30m`, `2h` or `1d` in milliseconds; undefined for anything else. */
export function durationMs(text: string): number | undefined {
  const [, amount, unit] = /^(\d{1,9})([smhd])$/.exec(text) ?? []
  return unit === undefined ? undefined : Number(amount) * UNITS[unit as keyof typeof UNITS]
}

/** PUT `pin`: for how long is said in exactly one way. */
export const pinAsked = z
  .strictObject({
    side,
    for: z.string().optional().describe('How long, such as 90s, 30m, 2h or 1d'),
    forMs: z.int().nullish().describe('How long, in milliseconds'),
    noEnd: z.literal(true).optional().describe('Until it is taken off'),
    reason,
  })
  .superRefine((asked, { addIssue }) => {
    const ways = [asked.for, asked.forMs, asked.noEnd].filter((way) => way !== undefined && way !== null)
    if (ways.length !== 1) {
      return addIssue({ code: 'custom', message: 'a pin has one end: say "for" or "forMs", or "noEnd": true' })
    }
    const path = [asked.for === undefined ? 'forMs' : 'for']
    const ms = pinMs(asked)
    if (Number.isNaN(ms)) addIssue({ code: 'custom', path, message: 'must be a duration such as 90s, 30m, 2h or 1d' })
    if (ms !== null && (ms < UNITS.s || ms > LONGEST_PIN_MS)) {
      addIssue({ code: 'custom', path, message: 'must be from one second to 365 days; or say "noEnd": true' })
    }
  })
  .meta({ anyOf: [{ required: ['for'] }, { required: ['forMs'] }, { required: ['noEnd'] }] })
export type PinAsked = Asking<typeof pinAsked>

/** How long a pin is asked for: null is without end, NaN where the text is no duration. */
export function pinMs(asked: Pick<PinAsked, 'for' | 'forMs' | 'noEnd'>): number | null {
  if (asked.for !== undefined) return durationMs(asked.for) ?? Number.NaN
  return asked.forMs ?? null
}

/** PUT `shadow`: how many of a hundred eligible requests are copied to the other side. */
export const shadowAsked = z.strictObject({ percentage: z.int().min(0).max(100), reason })
export type ShadowAsked = Asking<typeof shadowAsked>

/** PUT `freeze`, PUT `kill-switch`. */
export const reasonAsked = z.strictObject({ reason })
export type ReasonAsked = Asking<typeof reasonAsked>

/** POST `rollback`. */
export const rollbackAsked = z.strictObject({
  force: z.boolean().default(false).describe('Although the config says forward-only; asks for the role admin'),
  reason,
})
export type RollbackAsked = Asking<typeof rollbackAsked>

/** The query of DELETE `pin`, `freeze`, `shadow` and `kill-switch`: a body has no meaning there (RFC 9110 section 9.3.5). */
export const undoAsked = z.strictObject({ reason })

/** A query that says nothing. */
export const nothingAsked = z.strictObject({})

/** The query of GET `audit`. */
export const auditAsked = z.strictObject({
  context: z.string().min(1).max(200).optional().describe('Only what is about this context'),
  cursor: z
    .string()
    .regex(/^[0-9]{16}$/, 'must be the "next" of an answer before')
    .optional()
    .describe('Go on behind an answer: its next'),
  limit: z.coerce.number().int().min(1).max(200).default(50),
  format: z.enum(['json', 'jsonl']).optional().describe('jsonl is everything, one record a line: for the role admin'),
})

/** The query of GET `explain`: a request, and who would send it. */
export const explainAsked = z.strictObject({
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
export type ExplainAsked = Said<typeof explainAsked>

const LONGEST_WINDOW_MS = 7 * UNITS.d
const window = z
  .string()
  .default('24h')
  .refine((text) => isWithin(durationMs(text), UNITS.h, LONGEST_WINDOW_MS), 'must be from 1h to 7d, such as 24h')
  .describe('How far back, such as 2h or 7d; counts are kept by the hour, for 7 days')

function isWithin(value: number | undefined, least: number, most: number): boolean {
  return value !== undefined && value >= least && value <= most
}

/** A window that the schema has let through. */
export function windowMs(window: string): number {
  return durationMs(window) ?? Number.NaN
}

/** The query of GET `parity`. */
export const parityAsked = z.strictObject({
  window,
  target: z.coerce.number().min(50).max(99.999).default(99.9).describe('What is to be reached, in percent'),
})

/** The query of GET `differences`, of a context or one by its fingerprint. */
export const windowAsked = z.strictObject({ window })

/** PUT `ruling`: what the difference is, whatever the numbers say. */
export const rulingAsked = z.strictObject({ verdict: z.enum(['real', 'noise']), reason })

/** The query of GET `export`. */
export const exportAsked = z.strictObject({ as: z.enum(EXPORT_FORMS).default('curl') })

/** POST `try-rule`: rules as `shadow.compare` of a context or route would have them. */
export const tryRuleAsked = z.strictObject({
  rules: z.unknown().describe('As in the config: ignore, normalise, tolerance, treatAsSet, keyed, sortBy, …'),
  route: z.string().min(1).max(500).optional().describe('Only examples of this route, such as GET /products/:id'),
})

// Answered.

const time = z.int().describe('Milliseconds since 1970')
const generation = z.int().min(0)
const sides = z.object({ legacy: z.number(), service: z.number() })

const stamp = z.object({ by: z.string(), reason: z.string().nullable(), at: time })
const pin = stamp.extend({ side, until: time.nullable().describe('null is without end') })
const flip = stamp.extend({ flag: z.string(), percentage: z.number(), generation })
const shadow = stamp.extend({ percentage: z.number().describe('Of a hundred eligible requests, how many are copied') })

const upstreamView = z.object({
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
})
export type UpstreamView = Said<typeof upstreamView>

export const contextView = z.object({
  name: z.string(),
  owner: z.string(),
  flag: z.string(),
  service: z.string(),
  percentage: z.number().nullable().describe('Of its flag; null where no one number says it, and then why does'),
  why: z.string().nullable(),
  isForMatching: z
    .boolean()
    .optional()
    .describe('The percentage counts only people who match constraints, segments or strategies of the flag'),
  serving: z.enum(['legacy', 'service', 'split']).describe('What answers, all things considered'),
  pin: pin.nullable(),
  freeze: stamp.nullable(),
  flip: flip.nullable(),
  shadow: shadow.nullable().describe('What operators said of how much is shadowed; null is as its config says'),
  generation: generation.describe('Of its last change, 0 before the first: its ETag'),
  rollback: z.enum(['allowed', 'forward-only']),
  lastMinute: sides.describe('Requests of the last minute on all gateways'),
  fallback: z
    .enum(['reads', 'all'])
    .or(z.literal(false))
    .optional()
    .describe('Which requests legacy answers while no address of the service is available'),
  upstream: upstreamView
    .optional()
    .describe('The addresses of its service, as this gateway sees them; a gateway before 0.2.0 does not send it'),
})
export type ContextView = Said<typeof contextView>

export const contextsView = z.object({ contexts: z.array(contextView) })

export const member = z.object({
  id: z.string(),
  version: z.string(),
  address: z.string(),
  startedAt: time,
  applied: generation,
  localKill: z.array(z.string()).describe('What its own kill file sends to legacy: contexts, or * for all'),
  percentages: z.record(z.string(), z.number().nullable()),
  flags: z.object({ source: z.string(), stale: z.boolean(), ageMs: z.number().nullable() }),
  inFlight: z.record(z.string(), sides),
  lastMinute: z.record(z.string(), sides),
  serviceWrites: z
    .record(z.string(), z.object({ count: z.int(), isLowerBound: z.boolean() }))
    .optional()
    .describe('Writes that the service has answered since the context was last at 0 %; absent before version 0.2'),
  silentMs: z.number(),
  instance: z.string().optional().describe('The process, new with each start'),
  duplicateOf: z.string().optional().describe('The id that another running gateway has too'),
  isConverged: z.boolean().describe('Whether it reports, has applied the generation and has the expected percentages'),
  lag: z.string().nullable().optional().describe('Why it has not converged; a gateway before 0.2.0 does not send it'),
})
export type Member = Said<typeof member>

export const fleetView = z.object({ generation, members: z.array(member) })
export type FleetView = Said<typeof fleetView>

const fileRejection = z.object({
  file: z.enum(['map', 'flags']),
  path: z.string(),
  since: time.describe('Since when the content on disk is not in force'),
  mistake: z.string().describe('The first mistake in the content on disk'),
})
export type FileRejection = Said<typeof fileRejection>

export const statusView = z.object({
  gateway: z
    .string()
    .optional()
    .describe('The id of the gateway that answers; a gateway before 0.2.0 does not send it'),
  generation,
  kill: stamp.nullable(),
  localKill: z.array(z.string()).describe('The kill file of this gateway: contexts, or * for all'),
  killFileProblems: z
    .array(z.string())
    .optional()
    .describe('Why that file is not used as it is; a gateway before 0.2.0 does not send it'),
  rejectedFiles: z
    .array(fileRejection)
    .optional()
    .describe('Files on disk that this gateway has rejected; a gateway before 0.2.0 does not send it'),
  legacy: upstreamView
    .optional()
    .describe('The addresses of legacy, as this gateway sees them; a gateway before 0.2.0 does not send it'),
  store: z.object({
    kind: z.enum(['memory', 'file', 'redis']),
    location: z.string(),
    isConnected: z.boolean(),
    cutOffMs: z.number(),
    trouble: z.string().nullable(),
    restored: z
      .object({ at: time, detail: z.string() })
      .nullable()
      .optional()
      .describe('What this gateway has put back, since it was started, after the store had lost it'),
    folderLost: z
      .object({ at: time, generation })
      .nullable()
      .optional()
      .describe(
        'The state folder of this gateway was empty at its start, though the store had a record of the gateway',
      ),
  }),
  stateFolder: z
    .object({
      location: z.string(),
      isWritable: z.boolean().describe('False from a write that the disk has refused until a later one succeeds'),
      trouble: z.string().nullable().describe('The error of that write'),
      since: time.nullable().describe('When it happened'),
      openMode: z
        .string()
        .nullable()
        .optional()
        .describe('Its permissions in octal, if its group or others can write there; null otherwise'),
    })
    .optional()
    .describe('The state folder of this gateway; a gateway before 0.2.0 does not send it'),
  flags: z.object({
    source: z.enum(['file', 'unleash']),
    location: z.string(),
    flags: z.number(),
    ageMs: z.number().nullable(),
    stale: z.boolean(),
    trouble: z.string().nullable(),
    isRefused: z.boolean(),
  }),
  contexts: z.array(contextView),
  fleet: fleetView,
})
export type StatusView = Said<typeof statusView>

export const killSwitch = z.object({
  kill: stamp.nullable().describe('Who sent everything to legacy, and why; null while traffic flows as decided'),
  localKill: z.array(z.string()).describe('The kill file of this gateway: contexts, or * for all'),
  generation: generation.describe('Its ETag'),
})
export type KillSwitch = Said<typeof killSwitch>

const share = z.object({ share: z.number(), lower: z.number(), upper: z.number() }).describe('With its 95 % interval')
const reasons = z.record(z.string(), z.number())
const windowed = { from: time, to: time }
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
    .describe('Where each eligible request is: eligible is the sum of all others'),
  reasons: z.object({ uncomparable: reasons, shed: reasons, failed: reasons }),
  pairs: z.int().describe('Times that legacy was asked twice'),
  conclusive: z.int(),
  matching: share.nullable().describe('Of what is conclusive; null of none'),
  atLeast: z.number().describe('The lower bound if each inconclusive comparison is a mismatch: what a gate goes by'),
  untilTarget: z.int().describe('Comparisons that must still match until the lower bound is the target'),
})

/** Shares are from 0 to 1. */
export const parityView = z.object({
  ...windowed,
  target: z.number(),
  contexts: z.array(
    tally.extend({ context: z.string(), dataSince, routes: z.array(tally.extend({ route: z.string() })) }),
  ),
})
export type ParityView = Said<typeof parityView>

const counted = z.object({ count: z.int(), of: z.int(), share: share.nullable() })

export const differenceRow = z.object({
  fingerprint: z.string(),
  context: z.string(),
  route: z.string(),
  kind: z.enum(namesOf(DIFFERENCE_KINDS)),
  path: z.string(),
  sides: counted.describe('Comparisons in which the sides differ here'),
  self: counted.describe('Pairs in which legacy differs from itself here: noise'),
  verdict: z.enum(['real', 'noise', 'inconclusive']),
  note: stamp
    .extend({ ruling: z.enum(['real', 'noise']).nullable(), resolvedAt: time.nullable() })
    .nullable()
    .describe('What operators have said of it, and who did last'),
  state: z.enum(['open', 'resolved', 'reopened']).describe('Reopened: it was seen after it was resolved'),
  firstSeen: time.nullable(),
  lastSeen: time.nullable(),
  example: z
    .object({ at: time, legacy: z.string().nullable(), service: z.string().nullable() })
    .nullable()
    .describe('The newest that was kept, masked'),
})
export type DifferenceRow = Said<typeof differenceRow>

export const differencesView = z.object({
  ...windowed,
  context: z.string(),
  dataSince,
  comparisons: z.int(),
  pairs: z.int(),
  fieldsLeftOut: z.int().describe('Times that a field was seen and left out, as there were too many'),
  differences: z
    .array(differenceRow)
    .describe('The real ones first, then inconclusive ones, then noise, then resolved'),
})
export type DifferencesView = Said<typeof differencesView>

const maskedAnswer = z.object({
  status: z.int(),
  headers: z.array(z.string()).describe('Name, value, name, value, …'),
  body: z.string().nullable().describe('JSON; null where it is none, or was too long to be kept'),
  ms: z.number(),
})

const example = z
  .object({
    at: time,
    request: z.object({ method: z.string(), target: z.string(), headers: z.array(z.string()) }),
    answeredBy: side,
    legacy: maskedAnswer,
    service: maskedAnswer,
    differences: z.array(
      z.object({
        kind: z.enum(namesOf(DIFFERENCE_KINDS)),
        path: z.string(),
        legacy: z.string().nullable(),
        service: z.string().nullable(),
        times: z.int(),
      }),
    ),
  })
  .describe('Masked')
export type ShownExample = Said<typeof example>

export const differenceView = z.object({
  ...windowed,
  difference: differenceRow,
  examples: z.array(example),
  noise: z.array(z.string()).describe('Of the fields in the examples, written "kind path", those that are noise'),
})
export type DifferenceView = Said<typeof differenceView>

export const exportedRequest = z.object({
  fingerprint: z.string(),
  as: z.enum(EXPORT_FORMS),
  text: z.string(),
  variables: z.array(z.string()).describe('Environment variables that stand for what was masked'),
})

const place = { route: z.string(), kind: z.enum(namesOf(DIFFERENCE_KINDS)), path: z.string() }

/** What rules would make of the examples that are kept. */
export const ruleTrial = z.object({
  examples: z.int(),
  differences: z.array(
    z.object({
      ...place,
      fingerprint: z.string(),
      forgiven: z.int(),
      remaining: z.int(),
      untried: z.int().describe('No body was kept, or what differs in it is masked'),
    }),
  ),
  appearing: z
    .array(z.object({ ...place, examples: z.int() }))
    .describe('What would differ under these rules that was not reported'),
})
export type RuleTrial = Said<typeof ruleTrial>

/** What a change answers once it has happened. */
export const done = z.object({
  verb: z.enum(VERBS),
  context: z.string().nullable(),
  before: z.unknown(),
  after: z.unknown(),
  generation,
  until: time.nullable(),
  note: z.string().nullable(),
  converged: z.boolean().describe('Whether every gateway has applied it: otherwise convergence names the laggards'),
  convergence: z.object({
    applied: z.int(),
    of: z.int(),
    ms: z.number(),
    laggards: z.array(z.object({ id: z.string(), address: z.string(), why: z.string() })),
    inFlight: z.int(),
    serviceWrites: z
      .object({
        count: z.int(),
        isLowerBound: z.boolean().describe('A gateway has restarted since, is silent, or does not count them'),
      })
      .optional()
      .describe(
        'For flip, rollback and kill: writes that the service has answered with 2xx or 3xx since the context was last at 0 %',
      ),
  }),
})
export type Done = Said<typeof done>

export const auditRecord = z.object({
  position: z.string(),
  at: time,
  actor: z.string(),
  address: z.string().nullable(),
  verb: z.enum(VERBS),
  context: z.string().nullable(),
  before: z.unknown(),
  after: z.unknown(),
  reason: z.string().nullable(),
  until: time.nullable(),
  result: z.enum(['done', 'refused', 'conflict', 'failed']),
  detail: z.string().nullable(),
  generation: generation.nullable(),
  gateway: z.string(),
  previous: z.string().nullable().exactOptional().describe('The hash of the entry before; null for the first one'),
  hash: z
    .string()
    .exactOptional()
    .describe('SHA-256 of "previous" and the content; absent in what a gateway of version 0.1 has written'),
})
export type AuditRecord = Said<typeof auditRecord>

/** Newest first. */
export const auditPage = z.object({
  records: z.array(auditRecord),
  next: z.string().nullable().describe('The cursor to go on with; null at the end'),
  dropped: z.int().describe('How many older records the limit of the log took away'),
})
export type AuditPage = Said<typeof auditPage>

/** The result of following the hash chain of the audit log. */
export const auditVerification = z.object({
  verified: z.int().describe('Entries whose hash and predecessor are right, up to the first fault'),
  unchained: z
    .int()
    .describe('Entries without a hash, as gateways of version 0.1 write them: nothing is known of them'),
  unchainedAfterStart: z.int().describe('Those of them that are newer than the first chained entry'),
  branches: z
    .int()
    .describe('Entries that follow an earlier entry than the one before them, such as after Redis had lost entries'),
  head: z.string().nullable().describe('The hash of the newest verified entry: keep it elsewhere'),
  startsAfter: z
    .string()
    .nullable()
    .describe('The hash that the first chained entry follows, where that entry is not in the log any more'),
  broken: z
    .object({ position: z.string(), at: time, fault: z.enum(CHAIN_FAULTS) })
    .nullable()
    .describe('The first entry with a fault'),
})
export type AuditVerification = Said<typeof auditVerification>

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

/** The same as `strangler explain --json` prints. */
const changedFields = z.object({ set: z.array(z.string()), removed: z.array(z.string()) })

export const explained = z.discriminatedUnion('kind', [
  z.object({
    kind: z.literal('refused'),
    request: z.string(),
    failure: z.enum(namesOf(FAILURES)),
    status: z.int(),
    detail: z.string(),
  }),
  z.object({
    kind: z.literal('decided'),
    request: z.string(),
    path: z.string(),
    route: z.string(),
    context: z.object({ name: z.string(), owner: z.string() }).optional(),
    auth: z.object({ issuer: z.string(), optional: z.boolean(), note: z.string() }).optional(),
    identity: z.object({
      kind: z.enum(['user', 'session', 'anonymous', 'address', 'none']),
      key: z.string(),
      session: z.string().optional().describe('The session id that a user has beside the user id'),
      clientAddress: z.string(),
      secure: z.boolean(),
      requestId: z.string(),
      isNew: z.boolean(),
    }),
    identityTrouble: z.string().optional(),
    flag: flagTrace.optional(),
    hashWarning: z.string().optional().describe('Why another SDK can compute another bucket'),
    flagTrouble: z.string().optional(),
    side,
    reason: z
      .enum([...namesOf(REASONS), 'breaker-open'])
      .describe('A gateway before 0.2.0 sends breaker-open for service-unavailable'),
    because: z.string(),
    url: z.string(),
    fallback: z.boolean(),
    serviceTrouble: z.string().optional().describe('Why the chosen service cannot answer now; missing where it can'),
    headers: z
      .object({ request: changedFields, response: changedFields })
      .optional()
      .describe('Names of the header fields that the map sets and removes; missing where it has no rules'),
  }),
])
export type Explained = Said<typeof explained>

/** One event of GET `events`, named `change`; its id is the generation. */
export const changeEvent = z.object({
  generation,
  kill: stamp.nullable(),
  contexts: z
    .array(
      z.object({
        name: z.string(),
        pin: pin.nullable(),
        freeze: stamp.nullable(),
        flip: flip.nullable(),
        shadow: shadow.nullable(),
        generation,
      }),
    )
    .describe('Those that were ever changed'),
  changed: stamp
    .extend({ context: z.string(), verb: z.enum(VERBS) })
    .nullable()
    .describe('The change of a context that made this generation; null where it was another, and in the first event'),
  localKill: z
    .array(z.string())
    .optional()
    .describe('The kill file of this gateway: contexts, or * for all; a gateway before 0.2.0 does not send it'),
  killFileProblems: z.array(z.string()).optional().describe('Why that file is not used as it is'),
})
export type ChangeEvent = Said<typeof changeEvent>

/** Why a request was not done: `code` in an answer of `application/problem+json`. */
export const PROBLEMS = {
  'not-json': { status: 400, title: 'The body is not JSON' },
  'bad-request': { status: 400, title: 'The request is not valid' },
  'bad-query': { status: 400, title: 'The query is not valid' },
  unauthenticated: { status: 401, title: 'A token is asked for' },
  'invalid-token': { status: 401, title: 'The token is not valid' },
  forbidden: { status: 403, title: 'The role does not allow this' },
  'foreign-origin': { status: 403, title: 'A page of another origin may not do this' },
  'not-found': { status: 404, title: 'There is nothing here' },
  'unknown-context': { status: 404, title: 'There is no such context' },
  'unknown-difference': { status: 404, title: 'There is no such difference' },
  'method-not-allowed': { status: 405, title: 'The method is not allowed here' },
  refused: { status: 409, title: 'It was refused, and nothing was changed' },
  conflict: { status: 409, title: 'Somebody else was quicker, and nothing was changed' },
  'in-progress': { status: 409, title: 'A request with this Idempotency-Key is under way' },
  'not-exportable': { status: 409, title: 'There is nothing to export' },
  'precondition-failed': { status: 412, title: 'It has changed since, and nothing was changed' },
  'body-too-large': { status: 413, title: 'The body is too large' },
  'not-json-type': { status: 415, title: 'Content-Type must be application/json' },
  'foreign-host': { status: 421, title: 'This host name is not served here' },
  'bad-body': { status: 422, title: 'The body does not say what is needed' },
  'reason-required': { status: 422, title: 'A reason is required' },
  'key-reused': { status: 422, title: 'The Idempotency-Key was used for another request' },
  'too-many-failures': { status: 429, title: 'Too many failed attempts' },
  bug: { status: 500, title: 'The admin surface failed' },
  unavailable: { status: 503, title: 'The store or the flag authority does not answer' },
  'keys-unreachable': { status: 503, title: 'The issuer’s keys were never read' },
  'too-many-streams': { status: 503, title: 'Too many streams are open' },
} as const satisfies Record<string, { readonly status: number; readonly title: string }>

export type ProblemCode = keyof typeof PROBLEMS

/** RFC 9457: `code` is what a program goes by, `detail` what a person reads. */
export const problem = z.object({
  type: z.literal('about:blank'),
  title: z.string(),
  status: z.int(),
  code: z.enum(namesOf(PROBLEMS)),
  detail: z.string().optional(),
  mistakes: z.array(z.object({ path: z.string(), message: z.string() })).optional(),
  known: z.array(z.string()).optional().describe('With unknown-context: those there are'),
  generation: generation.optional().describe('With conflict and precondition-failed: of the last change'),
})
export type Problem = Said<typeof problem>

export const role = z.enum(ROLES)

function namesOf<Name extends string>(table: Readonly<Record<Name, unknown>>): [Name, ...Name[]] {
  return Object.keys(table) as [Name, ...Name[]]
}
