// The seam between what should be true and where it is kept: memory, a folder, or Redis. One contract test
// (test/contract/state-store.test.ts) says what each must do.
import type { AuditEntry, AuditPage, AuditQuery, ChainReport } from './audit-log.ts'
import type { FleetMember, Heartbeat } from './fleet.ts'
import type { SharedState, StoredFlagBackup } from './shared-state.ts'

/** `conflict` carries the state that was there instead: nothing was written. */
export type CommitResult = { readonly ok: true } | { readonly ok: false; readonly conflict: SharedState }

export type StoreStatus = {
  readonly kind: 'memory' | 'file' | 'redis'
  /** The folder, or the URL without credentials. */
  readonly location: string
  /** Whether it can be written now. */
  readonly isConnected: boolean
  /** How long it has not been reachable, in milliseconds; 0 while it is. */
  readonly cutOffMs: number
  /** Why not; undefined while it is. */
  readonly trouble: string | undefined
  /** The last time, in this run, that this gateway put back what the store had lost: when (by its clock), and what. */
  readonly restored?: { readonly at: number; readonly detail: string } | undefined
  /** The state folder was empty at the start (by this gateway's clock), though the gateway has run before: its generation then. */
  readonly folderLost?: { readonly at: number; readonly generation: number } | undefined
}

/**
 * The store cannot be reached or written. A write that is rejected so may have been carried out all the same, if only
 * its answer was lost; once it is rejected it is not carried out any more. The next {@link StateStore.read} shows which.
 */
export class StoreUnavailable extends Error {
  constructor(message: string, cause: unknown) {
    super(message, { cause })
    this.name = 'StoreUnavailable'
  }
}

/**
 * Where shared state is kept. Methods that ask the store reject with {@link StoreUnavailable} if it does not answer
 * within the store's limit; none is ever called on a request's path.
 */
export type StateStore = {
  /** Resolves once the state is known, or a short limit is up: then it goes on trying by itself. Never rejects. */
  readonly start: () => Promise<void>
  /** The last state known in this process, at once; the state of the last run where the store cannot be reached. */
  readonly current: () => SharedState
  /** The state as the store has it now. */
  readonly read: () => Promise<SharedState>
  /**
   * Puts `next` in the place of the state with the generation before it, and `entry` in the audit log: both or neither.
   * When it resolves with `ok`, both survive the process being killed. It can be repeated: the same state and entry are
   * `ok` again, so that who lost the answer may ask once more.
   */
  readonly commit: (next: SharedState, entry: AuditEntry) => Promise<CommitResult>
  /** Adds to the audit log what changed nothing: refusals, failures. */
  readonly record: (entry: AuditEntry) => Promise<void>
  readonly history: (query: AuditQuery) => Promise<AuditPage>
  /** Reads all of the audit log and verifies its hash chain. */
  readonly verifyHistory: () => Promise<ChainReport>
  /** Called with each newer state, whoever made it; also repairs a lost message within two seconds. */
  readonly onChange: (listener: (state: SharedState) => void) => () => void
  /** Says that this gateway lives, and what it has applied. */
  readonly sendHeartbeat: (report: Heartbeat) => Promise<void>
  /** A gateway leaves in an orderly way, or is forgotten as it does not come back: no gateway waits for it any more. */
  readonly removeMember: (id: string) => Promise<void>
  /**
   * All that have been heard of and have not left. A silent one stays for a quarter of an hour, or as the store was told;
   * also if the store has lost its data since.
   */
  readonly fleet: () => Promise<readonly FleetMember[]>
  /** Called when a gateway has sent a report, as soon as it is known here. */
  readonly onHeartbeat: (listener: (report: Heartbeat) => void) => () => void
  /** Unless newer ones are kept already. */
  readonly saveFlagBackup: (flags: StoredFlagBackup) => Promise<void>
  readonly loadFlagBackup: () => Promise<StoredFlagBackup | undefined>
  /** The clock that all gateways of the fleet share, in milliseconds since 1970; our own as long as it is not known. */
  readonly wallTime: () => number
  readonly status: () => StoreStatus
  readonly close: () => Promise<void>
}
