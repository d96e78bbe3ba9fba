// A clock that only the test moves.
import type { Clock } from '../model/ports.ts'

/** The calendar time at which a manual clock begins, in milliseconds since 1970. */
export const NOON = Date.UTC(2026, 0, 1, 12)

export type ManualClock = Clock & { readonly advance: (ms: number) => void }

/** @param wallTime at the start, in milliseconds since 1970 */
export function manualClock(wallTime = NOON): ManualClock {
  let elapsed = 0
  return {
    now: () => elapsed,
    wallTime: () => wallTime + elapsed,
    advance: (ms) => {
      elapsed += ms
    },
  }
}
