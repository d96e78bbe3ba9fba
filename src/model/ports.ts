// The seams: what the rooms need of each other, said without naming who provides it.
import type { FlagAnswer, FlagContext } from './decision.ts'
import type { Upstream } from './route.ts'
import type { StoredFlagBackup } from './shared-state.ts'
import type { Snapshot } from './snapshot.ts'

/** Reads flags from memory; never waits, never throws. */
export type FlagReader = {
  readonly evaluate: (flag: string, context: FlagContext) => FlagAnswer
  /** Whether the flag is on for everybody, so that not knowing who asks does not matter. */
  readonly isFullyOn: (flag: string) => boolean
  /** Whether the flags in use may have been out of date for longer. @param ageMs milliseconds */
  readonly isOlderThan: (ageMs: number) => boolean
}

/** Whether any address of an upstream may be asked now (passive and active health together). */
export type HealthReader = { readonly isAvailable: (upstream: Upstream) => boolean }

/** The current snapshot; a request reads it once. */
export type SnapshotSource = { readonly current: Snapshot }

/** Monotonic milliseconds with fractions for durations, and the calendar for stamps. */
export type Clock = { readonly now: () => number; readonly wallTime: () => number }

export type Random = {
  /** `bytes` random bytes in lower-case hexadecimal. */
  readonly hex: (bytes: number) => string
}

/** What one number says of a flag: how many of a hundred people it is on for, constraints and segments aside. */
export type FlagPercentage = {
  /** Whole, 0 to 100; null where no one number says it. */
  readonly percentage: number | null
  /** Why there is none, or why it is not the one that the rollout has; it begins after the flag's name. */
  readonly why?: string
  /** Constraints, segments, several strategies, stickiness or parent flags leave people out, also at 100 %. */
  readonly isForMatching?: true
}

/** For what, by whom and why a flag is moved. */
export type FlagChangeRequest = {
  readonly context: string
  readonly by: string
  readonly reason: string | null
  /**
   * Asked once the flag was read and before it is written: why it must not be written any more; undefined if it may be.
   *
   * @param percentage that the flag has now; null where it has no single one
   */
  readonly objection?: (percentage: number | null) => Promise<string | undefined>
}

export type FlagWriteResult =
  /** `before` is null where the flag was not there or had no one percentage; `after` is what is there now. */
  | {
      readonly kind: 'written'
      readonly before: number | null
      readonly after: number | null
      /** What else had to be changed for it, where something had. */
      readonly note?: string
    }
  /** Nothing was changed; the reason says what a person can do. */
  | { readonly kind: 'refused'; readonly reason: string }
  /** The authority could not be reached, or turned us away; the reason says whether anything may have changed. */
  | { readonly kind: 'failed'; readonly reason: string }

/** Moves flags where they live. Neither method rejects. */
export type FlagWriter = {
  readonly read: (flag: string) => Promise<FlagPercentage>
  /** Makes the flag if it is missing. @param percentage whole, 0 to 100 */
  readonly setPercentage: (flag: string, percentage: number, order: FlagChangeRequest) => Promise<FlagWriteResult>
}

/** Where the last good flags are kept beside the disk: the `StateStore` is one. What asks it may reject. */
export type FlagBackupStore = {
  readonly saveFlagBackup: (flags: StoredFlagBackup) => Promise<void>
  readonly loadFlagBackup: () => Promise<StoredFlagBackup | undefined>
  readonly wallTime: () => number
}
