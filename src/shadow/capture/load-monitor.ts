// How busy the event loop of the gateway is, sampled at an interval.
import type { Clock } from '../../model/ports.ts'

export const SAMPLE_INTERVAL_MS = 100
/** The time constant of the average of the utilization. */
const AVERAGE_MS = 1000

export class LoadMonitor {
  readonly #clock: Pick<Clock, 'now'>
  readonly #maxLagMs: () => number
  #sampledAt: number
  #loop = performance.eventLoopUtilization()
  #utilization = 0
  #isLagging = false

  /** @param maxLagMs the delay of a sample from which the event loop counts as lagging */
  constructor(clock: Pick<Clock, 'now'>, maxLagMs: () => number) {
    this.#clock = clock
    this.#maxLagMs = maxLagMs
    this.#sampledAt = clock.now()
  }

  get isLagging(): boolean {
    return this.#isLagging
  }

  /** The average share of time in which the event loop is busy, from 0 to 1. */
  get utilization(): number {
    return this.#utilization
  }

  /** To be called every `SAMPLE_INTERVAL_MS`. */
  sample(): void {
    const now = this.#clock.now()
    const elapsedMs = now - this.#sampledAt
    this.#isLagging = elapsedMs > SAMPLE_INTERVAL_MS + this.#maxLagMs()
    this.#sampledAt = now
    const last = this.#loop
    this.#loop = performance.eventLoopUtilization()
    // NaN if no time has passed.
    const utilization = performance.eventLoopUtilization(this.#loop, last).utilization || 0
    this.#utilization += (1 - Math.exp(-elapsedMs / AVERAGE_MS)) * (utilization - this.#utilization)
  }
}
