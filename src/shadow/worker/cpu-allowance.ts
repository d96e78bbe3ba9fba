// How much processor time comparing may use. The operating system gives a thread of low priority only idle time. But if it shares
// a processor with the thread that answers clients, each of its turns still costs that thread its caches and a wait.

/**
 * The smallest share of a processor that comparing keeps, so that an always busy gateway still compares something. With 0.01 the
 * slowest hundredth of responses waited for the comparing thread: p99 was 1.25 times as long as without it. With 0.003 it was
 * 0.96 to 1.18 times as long, with this value 0.95 times.
 */
const MIN_SHARE = 0.0015
/** The utilization from which any other work on the processor is visible in the latency of clients. */
const BUSY_UTILIZATION = 0.5

/**
 * The share that comparing may use of the only processor. At utilization u, queueing delays grow as 1 / (1 - u), so the last tenth
 * is the most expensive: `maxShare` · (1 - u / {@link BUSY_UTILIZATION})².
 *
 * @param maxShare the share on an idle gateway, from 0 to 1
 * @param utilization of the gateway's own thread, from 0 to 1
 */
export function shareOfOnlyProcessor(maxShare: number, utilization: number): number {
  const idle = Math.max(0, 1 - utilization / BUSY_UTILIZATION)
  return Math.max(Math.min(MIN_SHARE, maxShare), maxShare * idle * idle)
}

/** The largest balance after a rest, in milliseconds of the share: larger bursts add client latency. */
const BURST_MS = 100
/** One comparison may cost a thousand times as much as another: the longest pause after an expensive one. */
const MAX_PAUSE_MS = 30_000
/** The assumed cost of a comparison before the first report, in milliseconds. */
const INITIAL_COST_MS = 0.2
/** The weight of a new report in the average cost. */
const COST_WEIGHT = 0.2

/** A balance of processor time. It grows with time by the share; comparisons spend it. */
export class CpuAllowance {
  readonly #share: () => number
  #balanceMs = Number.POSITIVE_INFINITY
  #updatedAt: number | undefined
  #averageCostMs = INITIAL_COST_MS
  /** Reserved for comparisons whose cost is not reported yet. */
  #reservedMs = 0

  /** @param share of one processor, above 0 and up to 1 */
  constructor(share: () => number) {
    this.#share = share
  }

  /** Whether another comparison may start. @param now milliseconds of a monotonic clock */
  mayStart(now: number): boolean {
    const share = this.#share()
    const balanceMs = this.#balanceMs + share * (now - (this.#updatedAt ?? now))
    this.#balanceMs = Math.max(-share * MAX_PAUSE_MS, Math.min(share * BURST_MS, balanceMs))
    this.#updatedAt = now
    return this.#balanceMs > 0
  }

  /** Reserves the average cost for a comparison that starts. */
  reserve(): void {
    this.#balanceMs -= this.#averageCostMs
    this.#reservedMs += this.#averageCostMs
  }

  /** Replaces the reserved cost of comparisons by their real cost. @param cpuMs milliseconds of a processor */
  settle(cpuMs: number, comparisons: number): void {
    const reservedMs = Math.min(this.#reservedMs, comparisons * this.#averageCostMs)
    this.#reservedMs -= reservedMs
    this.#balanceMs += reservedMs - cpuMs
    if (comparisons > 0) this.#averageCostMs += COST_WEIGHT * (cpuMs / comparisons - this.#averageCostMs)
  }
}
