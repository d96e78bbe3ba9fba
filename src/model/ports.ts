// Ports: interfaces between modules, defined here so that no module imports its provider.
import type { FlagAnswer, FlagContext } from './decision.ts'
import type { Upstream } from './route.ts'
import type { StoredFlagBackup } from './shared-state.ts'
import type { Snapshot } from './snapshot.ts'

/** Reads flags from memory. Its methods do not wait and do not throw. */
export type FlagReader = {
  readonly evaluate: (flag: string, context: FlagContext) => FlagAnswer
  /** Whether the flag is on for every client, so that the identity does not matter. */
  readonly isFullyOn: (flag: string) => boolean
  /** Whether the last confirmation of the flags is older than `ageMs` milliseconds. */
  readonly isOlderThan: (ageMs: number) => boolean
}

/** Whether any address of an upstream is available, by passive and active health. */
export type HealthReader = { readonly isAvailable: (upstream: Upstream) => boolean }

/** The current snapshot. A request reads it once. */
export type SnapshotSource = { readonly current: Snapshot }

/** `now` is monotonic, in milliseconds with fractions, for durations; `wallTime` is milliseconds since 1970, for timestamps. */
export type Clock = { readonly now: () => number; readonly wallTime: () => number }

export type Random = {
  /** Returns `bytes` random bytes in lower-case hexadecimal. */
  readonly hex: (bytes: number) => string
}

/** The percentage of a flag: the share of clients for which it is on, apart from constraints and segments. */
export type FlagPercentage = {
  /** An integer from 0 to 100; null if the flag has no single percentage. */
  readonly percentage: number | null
  /** Why `percentage` is null, or differs from the rollout of the flag. The text continues a sentence that begins with the flag. */
  readonly why?: string
  /** Constraints, segments, several strategies, stickiness or parent flags exclude some clients even at 100 %. */
  readonly isForMatching?: true
}

/** A change of a flag: the context, the author and the reason. */
export type FlagChangeRequest = {
  readonly context: string
  readonly by: string
  readonly reason: string | null
  /**
   * Called after the flag was read and before it is written. Returns why it must not be written; undefined if it may.
   *
   * @param percentage the current percentage of the flag; null if it has no single percentage
   */
  readonly objection?: (percentage: number | null) => Promise<string | undefined>
}

export type FlagWriteResult =
  /** `before` is null if the flag did not exist or had no single percentage; `after` is the new value. */
  | {
      readonly kind: 'written'
      readonly before: number | null
      readonly after: number | null
      /** Describes other changes that were necessary, if any. */
      readonly note?: string
    }
  /** Nothing was changed. The reason states what an operator can do. */
  | { readonly kind: 'refused'; readonly reason: string }
  /** The authority was not reachable, or rejected the request. The reason states whether anything may have changed. */
  | { readonly kind: 'failed'; readonly reason: string }

/** Changes flags at their authority. Neither method rejects. */
export type FlagWriter = {
  readonly read: (flag: string) => Promise<FlagPercentage>
  /** Creates the flag if it does not exist. @param percentage an integer from 0 to 100 */
  readonly setPercentage: (flag: string, percentage: number, change: FlagChangeRequest) => Promise<FlagWriteResult>
}

/** Stores the last good flags outside this machine; `StateStore` implements it. Methods that call the store may reject. */
export type FlagBackupStore = {
  readonly saveFlagBackup: (flags: StoredFlagBackup) => Promise<void>
  readonly loadFlagBackup: () => Promise<StoredFlagBackup | undefined>
  readonly wallTime: () => number
}
