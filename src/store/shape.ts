// Text from outside becomes a type of the model here, or is refused: whoever can write to the folder or to Redis could
// write anything. What these guards would refuse to read, the stores refuse to write.
import { z } from 'zod'
import type { AuditEntry } from '../model/audit-log.ts'
import { DIFFERENCE_KINDS, type DifferenceKind } from '../model/comparison.ts'
import type { Heartbeat } from '../model/fleet.ts'
import type { SharedState, StoredFlagBackup } from '../model/shared-state.ts'
import { VERBS } from '../model/shared-state.ts'

/** Not `__proto__`, `constructor` and their like, which mean something else to an object than a name. */
export const name = z.string().refine((text) => !(text in Object.prototype), 'is not a name')
/** Whole milliseconds: what the admin API says of it is whole, and would otherwise not be read by who asks. */
export const time = z.int()
const generation = z.int().nonnegative()
export const side = z.enum(['legacy', 'service'])
/** A kind of difference at a path. */
export const field = z.templateLiteral([z.enum(Object.keys(DIFFERENCE_KINDS) as DifferenceKind[]), ' ', z.string()])

// Loose wherever an object is kept: a newer gateway of the fleet may have written more than this one knows, and what
// this one writes back must not lose it.
const stamp = z.looseObject({ by: z.string(), reason: z.string().nullable(), at: time })
const pin = stamp.extend({ side, until: time.nullable() })
const flip = stamp.extend({
  flag: z.string(),
  percentage: z.number(),
  generation,
  // Not there in what an older gateway has written.
  replaces: z.array(z.number().nullable()).exactOptional(),
})
const changed = stamp.extend({ verb: z.enum(VERBS), generation })
const shadow = stamp.extend({ percentage: z.int().min(0).max(100) })
const differenceNote = stamp.extend({
  route: z.string(),
  field,
  ruling: z.enum(['real', 'noise']).nullable(),
  resolvedAt: time.nullable(),
})
const context = z.looseObject({
  pin: pin.nullable(),
  freeze: stamp.nullable(),
  flip: flip.nullable(),
  // Not there in what an older gateway has written.
  shadow: shadow.nullable().exactOptional(),
  differences: z.record(name, differenceNote).exactOptional(),
  changed: changed.nullable(),
})
const embeddedFlags = z.looseObject({
  seeds: z.record(name, z.string()).exactOptional(),
  version: z.number(),
  features: z.array(z.looseObject({ name })),
  segments: z.array(z.unknown()).exactOptional(),
})
const sharedState: z.ZodType<SharedState> = z.looseObject({
  generation,
  kill: stamp.nullable(),
  killChange: changed.exactOptional(),
  contexts: z.record(name, context),
  flags: embeddedFlags.nullable(),
})

const auditEntry: z.ZodType<AuditEntry> = z.looseObject({
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
  // Absent in what a gateway of version 0.1 has written. They stay the last fields of the text.
  previous: z.string().nullable().exactOptional(),
  hash: z.string().exactOptional(),
})

const report: z.ZodType<Heartbeat> = z.looseObject({
  id: z.string().min(1),
  // Not there in the report of an older gateway.
  instance: z.string().exactOptional(),
  duplicateOf: z.string().exactOptional(),
  version: z.string(),
  address: z.string(),
  startedAt: time,
  applied: generation,
  localKill: z.array(z.string()),
  percentages: z.record(name, z.number().nullable()),
  flags: z.looseObject({ source: z.string(), stale: z.boolean(), ageMs: z.number().nullable() }),
  inFlight: z.record(name, z.record(side, z.number())),
  lastMinute: z.record(name, z.record(side, z.number())),
  // Absent in the reports of older gateways.
  serviceWrites: z
    .record(name, z.looseObject({ count: z.int().nonnegative(), isLowerBound: z.boolean() }))
    .exactOptional(),
})

const keptFlags: z.ZodType<StoredFlagBackup> = z.looseObject({ text: z.string(), at: time })

/** @throws {NotThat} if the text is not JSON, or not what it should be */
export const parseState = reader('a state', sharedState)
/** @throws {NotThat} */
export const parseEntry = reader('an entry of the audit log', auditEntry)
/** @throws {NotThat} */
export const parseReport = reader('the report of a gateway', report)
/** @throws {NotThat} */
export const parseKeptFlags = reader('flags that were kept', keptFlags)

/** What was read, or was to be written, is not what it should be. */
export class NotThat extends Error {
  constructor(what: string, why: string, cause?: unknown) {
    super(`not ${what}: ${why}`, { cause })
    this.name = 'NotThat'
  }
}

/**
 * The text that is kept for a state.
 *
 * @throws {NotThat} if no store would read it again, such as with a context named `__proto__`
 */
export function textOfState(state: SharedState): string {
  const text = JSON.stringify(state)
  parseState(text)
  return text
}

/** @throws {NotThat} */
export function textOfEntry(entry: AuditEntry): string {
  // An undefined would be left out and not be read again.
  const text = JSON.stringify({ ...entry, before: entry.before ?? null, after: entry.after ?? null })
  // The order of the fields is that of the shape, as in an entry that was read: the same entry is the same text.
  return JSON.stringify(parseEntry(text))
}

/** @param keys `any key`: the schema itself sees to a key that is `__proto__` */
export function reader<T>(
  what: string,
  schema: z.ZodType<T>,
  keys: 'any key' | 'no __proto__' = 'no __proto__',
): (text: string) => T {
  return (text) => {
    const result = schema.safeParse(parseJson(what, text, keys === 'any key' ? undefined : refuseProto))
    if (result.success) return result.data
    const issue = result.error.issues[0]
    throw new NotThat(what, `${issue?.path.join('.') || 'the whole'}: ${issue?.message}`, result.error)
  }
}

function parseJson(what: string, text: string, reviver: typeof refuseProto | undefined): unknown {
  try {
    return JSON.parse(text, reviver)
  } catch (error) {
    throw new NotThat(what, error instanceof Error ? error.message : String(error), error)
  }
}

/** JSON.parse makes `__proto__` a harmless key of its own; the first one who copies it key by key does not. */
function refuseProto(key: string, value: unknown): unknown {
  if (key === '__proto__') throw new Error('a key is __proto__')
  return value
}
