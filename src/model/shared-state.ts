// What operators have said and every gateway of a fleet must know: one small document with one generation, the audit
// log of how it came to be, and who has applied it.
import type { Field } from './comparison.ts'
import type { Side } from './route.ts'

/** Who said something, why, and when (milliseconds since 1970, by the store's clock). */
export type Stamp = { readonly by: string; readonly reason: string | null; readonly at: number }

/** An operator's override of a context. `until` is by the store's clock; null is without end. */
export type Pin = Stamp & { readonly side: Side; readonly until: number | null }

/** The percentage that was last asked for, wherever the flag lives: what a fleet's convergence is measured by. */
export type Flip = Stamp & {
  readonly flag: string
  readonly percentage: number
  readonly generation: number
  /** It is the 0 of a rollback, which is in force by its pin: an Unleash may not have it yet. */
  readonly byRollback?: true
  /** What the 0 of a rollback may be written over: any other percentage was set in Unleash since. */
  readonly replaces?: readonly (number | null)[]
}

export type ContextState = {
  readonly pin: Pin | null
  readonly freeze: Stamp | null
  readonly flip: Flip | null
  /** How much of it is shadowed, over what the config says; not there, or null, while the config says it. */
  readonly shadow?: ShadowSetting | null
  /** What operators have said of differences, by fingerprint. */
  readonly differences?: Readonly<Record<string, DifferenceNote>>
  /** Generation, verb and author of the last change of this context: what a conflict is told by. */
  readonly changed: LastChange | null
}

/** The percentage of eligible requests that are copied to the other side: whole, 0 to 100. */
export type ShadowSetting = Stamp & { readonly percentage: number }

/** What an operator has said of one difference. */
export type DifferenceNote = Stamp & {
  readonly route: string
  readonly field: Field
  /** Over what the numbers say; null leaves it to them. */
  readonly ruling: 'real' | 'noise' | null
  /** It was mended then, by the store's clock: seen later it is open again. Null if nobody has said so. */
  readonly resolvedAt: number | null
}

export type LastChange = Stamp & { readonly verb: Verb; readonly generation: number }

/** Flags in Unleash's client-features format, as the embedded authority keeps them. */
export type EmbeddedFlags = {
  /** What the flags file said of each flag when it was last taken over: tells an edit from a flip. By flag, a digest. */
  readonly seeds?: Readonly<Record<string, string>>
  readonly version: number
  readonly features: readonly EmbeddedFlag[]
  readonly segments?: readonly unknown[]
}
export type EmbeddedFlag = { readonly name: string; readonly [key: string]: unknown }

export type SharedState = {
  /** Raised by one with every change; 0 before the first. */
  readonly generation: number
  /** The pin of everything to legacy; null while traffic flows as decided. */
  readonly kill: Stamp | null
  /** The last `kill` or `revive`; not there before the first, and not changed by a gateway of the previous version. */
  readonly killChange?: LastChange
  readonly contexts: Readonly<Record<string, ContextState>>
  /** Null where an Unleash is the authority, or before the first seed. */
  readonly flags: EmbeddedFlags | null
}

export const EMPTY_STATE: SharedState = { generation: 0, kill: null, contexts: {}, flags: null }
export const EMPTY_CONTEXT: ContextState = { pin: null, freeze: null, flip: null, changed: null }

/** Everything that can be done, as the command line, the admin API and the audit log call it. */
export const VERBS = [
  'flip',
  'pin',
  'unpin',
  'rollback',
  'kill',
  'revive',
  'freeze',
  'thaw',
  /** How much is copied to the other side for comparison. */
  'shadow',
  /** That a difference is real, or is noise, whatever the numbers say. */
  'rule',
  /** That a difference was mended. */
  'resolve',
  /** Not an operator's: the flags were changed outside, in `flags.json` or in Unleash's own pages. */
  'outside',
  /** Not an operator's: the store had come back empty or older, and a gateway put back what it remembered. */
  'restore',
  /** A gateway that is gone is not waited for any more. */
  'forget',
  /** Not a change: somebody was turned away at the admin API. */
  'sign-in',
] as const
export type Verb = (typeof VERBS)[number]

export const ROLES = ['viewer', 'operator', 'admin'] as const
export type Role = (typeof ROLES)[number]

/** One line of the audit log. Never changed once written. */
export type AuditEntry = {
  /** By the store's clock, in milliseconds since 1970. */
  readonly at: number
  /** Who: the token's subject, or how else they came (`kill file`, `signal`, `flags.json`). */
  readonly actor: string
  /** From where: the client's address; null where it was not over the network. */
  readonly address: string | null
  readonly verb: Verb
  /** The context; null where it is about all of them. */
  readonly context: string | null
  readonly before: unknown
  readonly after: unknown
  readonly reason: string | null
  /** The end of what was done, where it has one. */
  readonly until: number | null
  readonly result: 'done' | 'refused' | 'conflict' | 'failed'
  /** What a person should know beside: why it was refused, what failed. */
  readonly detail: string | null
  /** Of the state that it made; null where nothing was changed. */
  readonly generation: number | null
  /** The gateway that did it. */
  readonly gateway: string
  /** The hash of the entry before it; null for the first one. Absent in what a gateway of version 0.1 has written. */
  readonly previous?: string | null
  /** SHA-256, hexadecimal, of `previous` and the content. Absent where `previous` is. */
  readonly hash?: string
}

/** An entry and where it stands: positions sort as the log does, oldest first, and are opaque otherwise. */
export type AuditRecord = AuditEntry & { readonly position: string }

export type AuditQuery = {
  readonly context?: string | undefined
  /** Only what stands before this position. */
  readonly before?: string | undefined
  readonly limit: number
}

/** Newest first. `next` is the position to go on before; null at the end. `dropped` counts what the limit took away. */
export type AuditPage = {
  readonly records: readonly AuditRecord[]
  readonly next: string | null
  readonly dropped: number
}

/** How an audit log can differ from the chain that its hashes form. */
export const CHAIN_FAULTS = [
  /** The content does not match the hash. */
  'edited',
  /** The entry that it follows is not in the log. */
  'missing',
  /** The entry that it follows is behind it. */
  'reordered',
  /** It is in the log twice. */
  'repeated',
] as const

/** The result of verifying the hash chain of the audit log, up to the first fault. */
export type ChainReport = {
  /** Entries whose hash and predecessor are right. */
  readonly verified: number
  /** Entries without a hash, such as a gateway of version 0.1 writes: nothing is known of them. */
  readonly unchained: number
  /** Those of them that are newer than the first chained entry. */
  readonly unchainedAfterStart: number
  /** Entries that follow an earlier entry than the one before them, such as after Redis had lost entries. */
  readonly branches: number
  /** The hash of the newest verified entry; null if there is none. */
  readonly head: string | null
  /** The hash that the first chained entry follows: that entry is not in the log any more. Null if it is the first of all. */
  readonly startsAfter: string | null
  /** The first entry with a fault; null if there is none. */
  readonly broken: {
    readonly position: string
    readonly at: number
    readonly fault: (typeof CHAIN_FAULTS)[number]
  } | null
}

/** What a gateway says of itself with every heartbeat. */
export type Heartbeat = {
  /** The same after a restart with the same state folder; of the previous version, new with each start. */
  readonly id: string
  /** The process, new with each start; not there in a report of the previous version. */
  readonly instance?: string
  /** The id that another gateway has too, which runs: the folder was copied, or the name was given twice. */
  readonly duplicateOf?: string
  readonly version: string
  /** Its admin surface, such as `http://10.0.0.7:8081`. */
  readonly address: string
  readonly startedAt: number
  /** The generation of the state that its requests are decided by. */
  readonly applied: number
  /** What its own kill file sends to legacy: contexts, or `*` for all. */
  readonly localKill: readonly string[]
  /** The percentage that it has of each context's flag; null where the flag has no single one. */
  readonly percentages: Readonly<Record<string, number | null>>
  readonly flags: { readonly source: string; readonly stale: boolean; readonly ageMs: number | null }
  /** Requests that are being answered, by context and side, as `applied` was applied. */
  readonly inFlight: Readonly<Record<string, Readonly<Record<Side, number>>>>
  /** Requests of the last minute by context and side. */
  readonly lastMinute: Readonly<Record<string, Readonly<Record<Side, number>>>>
  /** Absent in the reports of gateways before version 0.2. */
  readonly serviceWrites?: ServiceWrites
}

/**
 * By context: the writes that the service has answered with 2xx or 3xx since the context was last at 0 %, on one gateway.
 * `isLowerBound` if the gateway started after that.
 */
export type ServiceWrites = Readonly<Record<string, { readonly count: number; readonly isLowerBound: boolean }>>

/** A gateway of the fleet. `silentMs` is since its last heartbeat, by the store's clock. */
export type FleetMember = Heartbeat & { readonly silentMs: number }

/** Flags of an Unleash that were good when they came: text as it was sent, and when by the store's clock. */
export type StoredFlagBackup = { readonly text: string; readonly at: number }
