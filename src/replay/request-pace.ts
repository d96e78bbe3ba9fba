// A bounded rate: one turn after another, never two at once to make up for a pause.
import type { Clock } from '../model/ports.ts'

export type Pace = {
  /** Resolves when it is one's turn. */
  readonly turn: () => Promise<void>
}

/** @param wait as setTimeout does */
export function createPace(perSecond: number, clock: Pick<Clock, 'now'>, wait: (ms: number) => Promise<unknown>): Pace {
  const gapMs = 1000 / perSecond
  let next = Number.NEGATIVE_INFINITY
  return {
    turn: async () => {
      const now = clock.now()
      const mine = Math.max(now, next)
      next = mine + gapMs
      if (mine > now) await wait(mine - now)
    },
  }
}
