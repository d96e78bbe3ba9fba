// The seams: what the rooms need of each other, said without naming who provides it.
import type { FlagAnswer, FlagContext } from './decision.ts'
import type { Upstream } from './route.ts'
import type { Snapshot } from './snapshot.ts'

/** Reads flags from memory; never waits, never throws. */
export type FlagReader = {
  readonly ask: (flag: string, context: FlagContext) => FlagAnswer
  /** Whether the flag is on for everybody, so that not knowing who asks does not matter. */
  readonly isFullyOn: (flag: string) => boolean
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
