// The audit log: one entry for each change or refused change, linked by hashes.
import type { Verb } from './shared-state.ts'

/** One line of the audit log. Never changed once written. */
export type AuditEntry = {
  /** By the store's clock, in milliseconds since 1970. */
  readonly at: number
  /** The author: the subject of the token, or one of `BUILT_IN_ACTORS`, such as `kill file`. */
  readonly actor: string
  /** The client's address; null if the change was not made over the network. */
  readonly address: string | null
  readonly verb: Verb
  /** The context; null if the change applies to all contexts. */
  readonly context: string | null
  readonly before: unknown
  readonly after: unknown
  readonly reason: string | null
  /** When the effect ends, in milliseconds since 1970; null if it does not end by itself. */
  readonly until: number | null
  readonly result: 'done' | 'refused' | 'conflict' | 'failed'
  /** An explanation, such as the reason of a refusal or the error; null if there is nothing to explain. */
  readonly detail: string | null
  /** The generation of the new state; null if nothing was changed. */
  readonly generation: number | null
  /** The gateway that made the change. */
  readonly gateway: string
  /** The hash of the previous entry; null for the first entry. Absent in entries of version 0.1. */
  readonly previous?: string | null
  /** SHA-256, hexadecimal, of `previous` and the content. Absent where `previous` is. */
  readonly hash?: string
}

/** An entry and its position. Positions sort like the log, oldest first, and are opaque otherwise. */
export type AuditRecord = AuditEntry & { readonly position: string }

export type AuditQuery = {
  readonly context?: string | undefined
  /** Returns only entries before this position. */
  readonly before?: string | undefined
  readonly limit: number
}

/** Records, newest first. `next` is the `before` of the next page; null on the last page. `dropped` counts the entries that the store's limit has deleted. */
export type AuditPage = {
  readonly records: readonly AuditRecord[]
  readonly next: string | null
  readonly dropped: number
}

/** How an audit log can differ from the chain that its hashes form. */
export const CHAIN_FAULTS = [
  /** The content does not match the hash. */
  'edited',
  /** The log does not contain the previous entry. */
  'missing',
  /** The previous entry comes later in the log. */
  'reordered',
  /** The log contains the entry twice. */
  'repeated',
] as const

/** The result of verifying the hash chain of the audit log, up to the first fault. */
export type ChainReport = {
  /** Entries whose hash and previous entry are valid. */
  readonly verified: number
  /** Entries without a hash, as version 0.1 writes them: they cannot be verified. */
  readonly unchained: number
  /** Entries without a hash that are newer than the first chained entry. */
  readonly unchainedAfterStart: number
  /** Entries whose previous entry is not directly before them, as happens after Redis has lost entries. */
  readonly branches: number
  /** The hash of the newest verified entry; null without one. */
  readonly head: string | null
  /** The `previous` of the first chained entry, whose entry the log no longer contains. Null if that entry begins the chain. */
  readonly startsAfter: string | null
  /** The first entry with a fault; null without one. */
  readonly broken: {
    readonly position: string
    readonly at: number
    readonly fault: (typeof CHAIN_FAULTS)[number]
  } | null
}
