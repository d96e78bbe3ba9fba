// The audit log: one entry for each change or refused change, linked by hashes.
import type { Verb } from './shared-state.ts'

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
