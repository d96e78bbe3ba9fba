// How much of a processor comparing may take. The operating system lets a thread of low priority have whatever is left;
// but where it shares a processor with the one that answers, each turn of it costs that one its caches and a wait.

export type CpuAllowance = {
  /** Whether another comparison may begin now. @param now milliseconds that only grow */
  readonly mayBegin: (now: number) => boolean
  /** One begins: what it will cost is not known yet, and is taken to be what the last ones cost. */
  readonly began: () => void
  /** What so many comparisons have really cost, in milliseconds of a processor. */
  readonly spent: (cpuMs: number, comparisons: number) => void
}

/** What may be spent at once after a time of rest, as so many milliseconds of the share: the first ones are the dearest. */
const BURST_MS = 1000
/** Until the first ones have said what they cost, in milliseconds. */
const FIRST_COST_MS = 0.2
const WEIGHT = 0.2

/** @param share of one processor, above 0 and up to 1 */
export function createCpuAllowance(share: () => number): CpuAllowance {
  let left = Number.POSITIVE_INFINITY
  let at: number | undefined
  let costMs = FIRST_COST_MS
  /** What was taken off for those that have begun and have not told what they cost. */
  let assumedMs = 0

  return {
    mayBegin: (now) => {
      left = Math.min(share() * BURST_MS, left + share() * (now - (at ?? now)))
      at = now
      return left > 0
    },
    began: () => {
      left -= costMs
      assumedMs += costMs
    },
    spent: (cpuMs, comparisons) => {
      const assumed = Math.min(assumedMs, comparisons * costMs)
      assumedMs -= assumed
      left += assumed - cpuMs
      if (comparisons > 0) costMs += WEIGHT * (cpuMs / comparisons - costMs)
    },
  }
}
