// Looks at every exchange again and again: the one clock behind all timeouts of the data plane.
import type { Exchange } from '../forward/exchange.ts'

/** How exact timeouts are, in milliseconds. */
const SWEEP_MS = 50
/** What a look may add at most: time in which this process itself stood still is nobody's silence. */
const MOST_ELAPSED_MS = 2 * SWEEP_MS

/** @returns what ends it */
export function startSweep(exchanges: ReadonlySet<Exchange>): () => void {
  let lookedAt = performance.now()
  const timer = setInterval(() => {
    const now = performance.now()
    const elapsedMs = Math.min(now - lookedAt, MOST_ELAPSED_MS)
    lookedAt = now
    for (const exchange of exchanges) exchange.sweep(elapsedMs)
  }, SWEEP_MS)
  timer.unref()
  return () => clearInterval(timer)
}
