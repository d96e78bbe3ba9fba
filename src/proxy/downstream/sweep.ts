// Checks every exchange periodically: one timer for all timeouts of the data plane.
import type { Exchange } from '../forward/exchange.ts'

/** The precision of timeouts, in milliseconds. */
const SWEEP_MS = 50
/** The most that one check adds, in milliseconds: a pause of this process must not count as silence of a peer. */
const MOST_ELAPSED_MS = 2 * SWEEP_MS

/** @returns a function that stops it */
export function startSweep(exchanges: ReadonlySet<Exchange>): () => void {
  let checkedAt = performance.now()
  const timer = setInterval(() => {
    const now = performance.now()
    const elapsedMs = Math.min(now - checkedAt, MOST_ELAPSED_MS)
    checkedAt = now
    for (const exchange of exchanges) exchange.sweep(elapsedMs)
  }, SWEEP_MS)
  timer.unref()
  return () => clearInterval(timer)
}
