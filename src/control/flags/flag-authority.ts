// The interface of the system that keeps the flags of the contexts. There are two implementations: embedded flags, which are
// part of the shared state, and Unleash. The rest of the control plane does not know which one it has.

import type { FleetMember } from '../../model/fleet.ts'
import type { FlagPercentage } from '../../model/ports.ts'
import type { Context } from '../../model/route.ts'
import type { ContextState, EmbeddedFlags, Flip, SharedState, Stamp } from '../../model/shared-state.ts'
import type { ChangeRequest } from '../control.ts'
import type { ExpectedPercentages } from '../fleet/expected-percentages.ts'
import type { Flags } from './flags.ts'

export type FlagAuthority = {
  /** Reads the flags from memory, for decisions. */
  readonly flags: Flags
  /** The percentage of a flag. @param state read after the last known change */
  readonly percentageIn: (state: SharedState, flag: string) => FlagPercentage
  /** The percentages that the gateways of the fleet must report, by context; empty if the generation already proves them. */
  readonly expectedPercentages: (state: SharedState, members: readonly FleetMember[]) => ExpectedPercentages
  /** The flag of a context for a transition of `state`. @param percentageBefore if it is known better than from memory */
  readonly contextFlag: (state: SharedState, context: Context, percentageBefore?: PercentageBefore) => ContextFlag
  /** Sets the percentage of a flip before the shared state is committed. Never rejects for an authority that is unreachable. */
  readonly writePercentage: (context: Context, percentage: number, request: ChangeRequest) => Promise<FlagWrite>
  /**
   * Sets the flag to 0 % after a rollback was committed. Does not reject.
   *
   * @returns why the flag is not at 0 %; undefined if it is
   */
  readonly writeZero: (context: Context, request: ChangeRequest) => Promise<string | undefined>
  /**
   * Takes the flags of a newer shared state into use, or fetches the flags that it says were flipped.
   *
   * @param onRead called when fetched flags have the percentages of their flips
   */
  readonly applyState: (state: SharedState, onRead: () => void) => void
  /** The store can be reached again: a change that could not be written to it is tried again. */
  readonly retry: () => void
  /** Reads the flags, and from then on records changes made outside the control plane. Never rejects. */
  readonly start: () => Promise<void>
  readonly stop: () => Promise<void>
}

/** `percentage` is null if no single percentage described the flag. */
export type PercentageBefore = { readonly percentage: number | null }

export type FlagWrite =
  /** The shared state may be committed. */
  | {
      readonly kind: 'written'
      readonly before?: PercentageBefore
      readonly note?: string | undefined
      /** The change that stays although the commit fails; undefined without one. */
      readonly remainder?: string
    }
  | { readonly kind: 'refused' | 'failed' | 'conflict'; readonly why: string }

/** The flag of one context, as a transition reads and moves it. Pure. */
export type ContextFlag = {
  /** Before the transition: whole, 0 to 100; null if no single percentage describes the flag. */
  readonly percentage: number | null
  /** Whether a flip to the percentage that the flag has would be recorded twice. */
  readonly isRecorded: (flip: Flip | null) => boolean
  readonly moveTo: (percentage: number) => FlagMove
  /** @param zero the flip to 0 % that the rollback puts on record */
  readonly rollBack: (current: ContextState, zero: Flip) => FlagRollback
  /** The flip on record after a change that ends a rollback. @param change the stamp and the generation of that change */
  readonly endRollback: (flip: Flip | null, change: Stamp & { readonly generation: number }) => Flip | null
  /** Whether the 0 % of a rollback is on record, but not yet written. */
  readonly isZeroPending: (flip: Flip | null) => boolean
}

export type FlagMove =
  /** `flags` is undefined if the flag is not part of the shared state. */
  | { readonly kind: 'moved'; readonly flags: EmbeddedFlags | undefined }
  | { readonly kind: 'refused'; readonly reason: string }

export type FlagRollback = {
  /** The embedded flags with this one at 0 %; undefined if they do not change. */
  readonly flags: EmbeddedFlags | undefined
  /** The flip on record. */
  readonly flip: Flip | null
  readonly percentage: number | null
  readonly note: string | null
  /** A rollback of a context that is already pinned to legacy changes nothing. */
  readonly isDone: boolean
}
