// The flag of one context in Unleash: a transition records its percentage, and the flag itself is written there. Pure.
import type { Flip } from '../../../model/shared-state.ts'
import type { ContextFlag } from '../flag-authority.ts'

/** @param percentage of the flag in Unleash, as far as this gateway has read it */
export function unleashContextFlag(name: string, percentage: number | null): ContextFlag {
  return {
    percentage,
    isRecorded: (flip) => flip?.percentage === percentage,
    moveTo: () => ({ kind: 'moved', flags: undefined }),
    rollBack: ({ flip }, zero) => ({
      flags: undefined,
      flip: { ...zero, byRollback: true, replaces: replacedBy(flip, percentage) },
      percentage: 0,
      note: null,
      isDone: flip?.percentage === 0,
    }),
    // A 0 that Unleash does not have yet is dropped, and the percentage in Unleash counts. A 0 that Unleash has stays, and any
    // later change of it is a change made outside.
    endRollback: (flip, change) => {
      if (flip?.byRollback !== true) return flip
      const { byRollback: _, replaces: __, ...settled } = flip
      if (percentage === 0) return settled
      return percentage === null ? null : { ...change, flag: name, percentage }
    },
    isZeroPending: (flip) => flip?.byRollback === true && percentage !== 0,
  }
}

/** The percentage that this gateway has read, and those on record: either may be the newer one. */
function replacedBy(flip: Flip | null, percentage: number | null): (number | null)[] {
  const recorded = flip === null ? [] : [flip.percentage, ...(flip.replaces ?? [])]
  return [...new Set([percentage, ...recorded])]
}
