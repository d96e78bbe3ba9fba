// How much of a processor comparing may take. The operating system lets a thread of low priority have whatever is left;
// but where it shares a processor with the one that answers, each turn of it costs that one its caches and a wait.

/**
 * What is always left for it, as a share of a processor: without it nothing would be known of a gateway that is always
 * busy. With 0.01 its turns took a hundredth of the time, and what waits for a turn was the slowest hundredth of answers:
 * p99 was 1.25 times what it was without. With 0.003 it was between 0.96 and 1.18 times, with this 0.95.
 */
const LEAST = 0.0015
/** From here on a gateway is so busy that all that is done beside it shows in how long its clients wait. */
const BUSY = 0.5

/**
 * The share that comparing may take of the only processor. Where a server is busy for a share b of the time, the waits in
 * front of it grow as 1 / (1 - b), so that the last tenth is the dearest: `most` · (1 - b / {@link BUSY})².
 *
 * @param most the share while nothing else is to be done, from 0 to 1
 * @param busy the share of the time in which the gateway's own thread is busy, from 0 to 1
 */
export function shareBeside(most: number, busy: number): number {
  const left = Math.max(0, 1 - busy / BUSY)
  return Math.max(Math.min(LEAST, most), most * left * left)
}

export type CpuAllowance = {
  /** Whether another comparison may begin now. @param now milliseconds that only grow */
  readonly mayBegin: (now: number) => boolean
  /** One begins: what it will cost is not known yet, and is taken to be what the last ones cost. */
  readonly began: () => void
  /** What so many comparisons have really cost, in milliseconds of a processor. */
  readonly spent: (cpuMs: number, comparisons: number) => void
}

/** What may be spent at once after a time of rest, as so many milliseconds of the share: a burst is felt by whoever is answered. */
const BURST_MS = 100
/** One comparison may cost a thousand times what another does: after the dearest it goes on when so much later. */
const LONGEST_PAUSE_MS = 30_000
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
      const most = share()
      const earned = left + most * (now - (at ?? now))
      left = Math.max(-most * LONGEST_PAUSE_MS, Math.min(most * BURST_MS, earned))
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
