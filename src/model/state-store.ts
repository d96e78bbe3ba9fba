// The port for shared state, implemented by memory, file and Redis stores. test/contract/state-store.test.ts tests every
// implementation.
import type { AuditEntry, AuditPage, AuditQuery, ChainReport } from './audit-log.ts'
import type { FleetMember, Heartbeat } from './fleet.ts'
import type { SharedState, StoredFlagBackup } from './shared-state.ts'

/** `conflict` is the state that the store has instead. Nothing was written then. */
export type CommitResult = { readonly ok: true } | { readonly ok: false; readonly conflict: SharedState }

export type StoreStatus = {
  readonly kind: 'memory' | 'file' | 'redis'
  /** The folder, or the URL without credentials. */
  readonly location: string
  /** Whether the store can be written now. */
  readonly isConnected: boolean
  /** How long the store has been unreachable, in milliseconds; 0 while it is reachable. */
  readonly cutOffMs: number
  /** The error; undefined while the store is reachable. */
  readonly trouble: string | undefined
  /** The last time in this run that this gateway has restored lost data: the time by its own clock, and a description. */
  readonly restored?: { readonly at: number; readonly detail: string } | undefined
  /** Set if the state folder was empty at the start although the gateway had run before: the time by its own clock, and the generation. */
  readonly folderLost?: { readonly at: number; readonly generation: number } | undefined
}

/**
 * The store cannot be reached or written. A rejected write may still have taken effect, if only the answer was lost, but it does
 * not take effect after the rejection. The next {@link StateStore.read} returns the result.
 */
export class StoreUnavailable extends Error {
  constructor(message: string, cause: unknown) {
    super(message, { cause })
    this.name = 'StoreUnavailable'
  }
}

/**
 * A store of shared state. Methods that call the store reject with {@link StoreUnavailable} if it does not answer within its
 * limit. No request waits for them.
 */
export type StateStore = {
  /** Resolves when the state is read, or after a short limit; then the store keeps trying. Never rejects. */
  readonly start: () => Promise<void>
  /** Returns the last state of this process without waiting; the state of the last run if the store is not reachable. */
  readonly current: () => SharedState
  /** Reads the current state of the store. */
  readonly read: () => Promise<SharedState>
  /**
   * Atomically replaces the state of the previous generation by `next` and adds `entry` to the audit log. When it resolves with
   * `ok`, both survive a kill of the process. It can be repeated: a caller that has lost the answer sends the same state and entry
   * again and gets `ok`.
   */
  readonly commit: (next: SharedState, entry: AuditEntry) => Promise<CommitResult>
  /** Adds an entry that belongs to no change, such as a refusal or a failure, to the audit log. */
  readonly record: (entry: AuditEntry) => Promise<void>
  readonly history: (query: AuditQuery) => Promise<AuditPage>
  /** Reads all of the audit log and verifies its hash chain. */
  readonly verifyHistory: () => Promise<ChainReport>
  /** Calls the listener with each newer state, of this and of other gateways; within two seconds even if a message is lost. */
  readonly onChange: (listener: (state: SharedState) => void) => () => void
  /** Reports that this gateway runs, and the generation that it has applied. */
  readonly sendHeartbeat: (report: Heartbeat) => Promise<void>
  /** Removes a gateway that stops, or that does not return, so that no gateway waits for it. */
  readonly removeMember: (id: string) => Promise<void>
  /**
   * Returns the gateways that have sent a heartbeat and have not left. A silent gateway stays for the configured time (a quarter of
   * an hour by default), even if the store has lost its data since.
   */
  readonly fleet: () => Promise<readonly FleetMember[]>
  /** Calls the listener with each heartbeat that this gateway receives. */
  readonly onHeartbeat: (listener: (report: Heartbeat) => void) => () => void
  /** Saves flags, unless the store has newer ones. */
  readonly saveFlagBackup: (flags: StoredFlagBackup) => Promise<void>
  readonly loadFlagBackup: () => Promise<StoredFlagBackup | undefined>
  /** The clock of the store, shared by the fleet, in milliseconds since 1970; the own clock until the first answer of the store. */
  readonly wallTime: () => number
  readonly status: () => StoreStatus
  readonly close: () => Promise<void>
}
