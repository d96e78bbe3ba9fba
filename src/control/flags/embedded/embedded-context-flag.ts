// The embedded flag of one context: a transition moves it together with the rest of the shared state. Pure.
import type { EmbeddedFlags, Flip } from '../../../model/shared-state.ts'
import type { ContextFlag, FlagMove, FlagRollback } from '../flag-authority.ts'
import { percentageAmong, withPercentage } from './embedded-writer.ts'

const NO_FLAGS: EmbeddedFlags = { version: 2, features: [] }

/** @param flags null before the first seed */
export function embeddedContextFlag(flags: EmbeddedFlags | null, name: string): ContextFlag {
  const { percentage } = percentageAmong(flags ?? NO_FLAGS, name)
  return {
    percentage,
    isRecorded: () => true,
    moveTo,
    rollBack: ({ flip }, zero) => rollBack(flip, zero),
    endRollback: (flip) => flip,
    isZeroPending: () => false,
  }

  function moveTo(percentage: number): FlagMove {
    return withPercentage(flags ?? NO_FLAGS, name, percentage)
  }

  /** A missing flag is off for all users. A flag without a single percentage stays as it is: the pin overrides it. */
  function rollBack(flip: Flip | null, zero: Flip): FlagRollback {
    const exists = flags?.features.some((feature) => feature.name === name) === true
    if (!exists || percentage === 0) return { flags: undefined, flip: zero, percentage: 0, note: null, isDone: true }
    const move = withPercentage(flags, name, 0)
    if (move.kind === 'moved') return { flags: move.flags, flip: zero, percentage: 0, note: null, isDone: false }
    const note = `the pin keeps it on legacy; its flag could not be set to 0 (${move.reason})`
    return { flags: undefined, flip, percentage, note, isDone: true }
  }
}
