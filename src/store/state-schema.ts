// Schemas of stored state. A user who can write to the folder or to Redis can write any text: it becomes a type of the model
// here, or is rejected. The stores do not write what these schemas would reject.
import { z } from 'zod'
import type { AuditEntry } from '../model/audit-log.ts'
import { DIFFERENCE_KINDS, type DifferenceKind } from '../model/comparison.ts'
import type { Heartbeat } from '../model/fleet.ts'
import { type SharedState, type StoredFlagBackup, VERBS } from '../model/shared-state.ts'

/** Not `__proto__`, `constructor` and other properties that every object has. */
export const name = z.string().refine((text) => !(text in Object.prototype), 'is not a name')
/** Whole milliseconds: the contract of the admin API accepts no fractions. */
export const time = z.int()
const generation = z.int().nonnegative()
export const side = z.enum(['legacy', 'service'])
/** A kind of difference at a path. */
export const field = z.templateLiteral([z.enum(Object.keys(DIFFERENCE_KINDS) as DifferenceKind[]), ' ', z.string()])

// Objects are loose: a newer gateway of the fleet may have written more fields than this one knows, and this one must not
// lose them when it writes the state.
const stamp = z.looseObject({ by: z.string(), reason: z.string().nullable(), at: time })
const pin = stamp.extend({ side, until: time.nullable() })
const flip = stamp.extend({
  flag: z.string(),
  percentage: z.number(),
  generation,
  // Absent in a state of an older gateway.
  replaces: z.array(z.number().nullable()).exactOptional(),
})
const lastChange = stamp.extend({ verb: z.enum(VERBS), generation })
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
  // Absent in a state of an older gateway.
  shadow: shadow.nullable().exactOptional(),
  differences: z.record(name, differenceNote).exactOptional(),
  changed: lastChange.nullable(),
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
  killChange: lastChange.exactOptional(),
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
  // Absent in an entry of a gateway of version 0.1. They stay the last fields of the text.
  previous: z.string().nullable().exactOptional(),
  hash: z.string().exactOptional(),
})

const heartbeat: z.ZodType<Heartbeat> = z.looseObject({
  id: z.string().min(1),
  // Absent in a heartbeat of an older gateway.
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
  // Absent in a heartbeat of an older gateway.
  serviceWrites: z
    .record(name, z.looseObject({ count: z.int().nonnegative(), isLowerBound: z.boolean() }))
    .exactOptional(),
})

const flagBackup: z.ZodType<StoredFlagBackup> = z.looseObject({ text: z.string(), at: time })

/** @throws {InvalidStoredValue} if the text is not JSON or does not match the schema */
export const parseState = createParser('a state', sharedState)
/** @throws {InvalidStoredValue} */
export const parseEntry = createParser('an entry of the audit log', auditEntry)
/** @throws {InvalidStoredValue} */
export const parseHeartbeat = createParser('the report of a gateway', heartbeat)
/** @throws {InvalidStoredValue} */
export const parseFlagBackup = createParser('a backup of the flags', flagBackup)

/** A value that was read, or is to be written, does not have its format. */
export class InvalidStoredValue extends Error {
  constructor(expected: string, reason: string, cause?: unknown) {
    super(`not ${expected}: ${reason}`, { cause })
    this.name = 'InvalidStoredValue'
  }
}

/**
 * The text that is stored for a state.
 *
 * @throws {InvalidStoredValue} if the text could not be read again, such as with a context named `__proto__`
 */
export function serializeState(state: SharedState): string {
  const text = JSON.stringify(state)
  parseState(text)
  return text
}

/** @throws {InvalidStoredValue} */
export function serializeEntry(entry: AuditEntry): string {
  // JSON leaves out an undefined field, and the entry could not be read again.
  const text = JSON.stringify({ ...entry, before: entry.before ?? null, after: entry.after ?? null })
  // The schema determines the order of the fields, as in an entry that was read: equal entries have equal text.
  return JSON.stringify(parseEntry(text))
}

/** @param keys `any key` if the schema itself handles a key `__proto__` */
export function createParser<T>(
  expected: string,
  schema: z.ZodType<T>,
  keys: 'any key' | 'no __proto__' = 'no __proto__',
): (text: string) => T {
  return (text) => {
    const result = schema.safeParse(parseJson(expected, text, keys === 'any key' ? undefined : refuseProto))
    if (result.success) return result.data
    const issue = result.error.issues[0]
    throw new InvalidStoredValue(expected, `${issue?.path.join('.') || 'the whole'}: ${issue?.message}`, result.error)
  }
}

function parseJson(expected: string, text: string, reviver: typeof refuseProto | undefined): unknown {
  try {
    return JSON.parse(text, reviver)
  } catch (error) {
    throw new InvalidStoredValue(expected, error instanceof Error ? error.message : String(error), error)
  }
}

/** JSON.parse creates an own key `__proto__`, which is harmless; a later copy of the object key by key is not. */
function refuseProto(key: string, value: unknown): unknown {
  if (key === '__proto__') throw new Error('a key is __proto__')
  return value
}
