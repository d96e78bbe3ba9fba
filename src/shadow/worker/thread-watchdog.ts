// Detects a comparing thread that no longer makes progress: its current comparison takes too long, or it no longer reports.
import { COMPARISONS_STARTED, CURRENT_JOB } from './messages.ts'

export type WatchdogLimits = {
  /** The longest time of one comparison. */
  readonly maxComparisonMs: number
  /** The longest time without a report while jobs are under way; normally there are four reports per second. */
  readonly maxSilenceMs: number
  readonly checkIntervalMs: number
}

type Stall = {
  readonly why: string
  /** The id of the job whose comparison does not end. */
  readonly culprit?: number
}

/** If a check comes so much too late, the gateway's own thread was blocked, and its measurements are worthless. */
const BLOCKED_MS = 1000

export class ThreadWatchdog {
  readonly #limits: WatchdogLimits
  readonly #flags: Int32Array
  #reportedAt = 0
  #checkedAt = 0
  #comparisonStartedAt = 0
  #lastComparison = 0

  /** @param flags shared memory: see `CURRENT_JOB` and `COMPARISONS_STARTED` */
  constructor(limits: WatchdogLimits, flags: Int32Array) {
    this.#limits = limits
    this.#flags = flags
  }

  /** The thread has reported, has just started, or has just received its first job after a rest. */
  noteReport(): void {
    this.#reportedAt = performance.now()
  }

  /** A new thread starts: it compares nothing yet. */
  noteStart(): void {
    this.noteReport()
    Atomics.store(this.#flags, CURRENT_JOB, 0)
  }

  /** To be called every `checkIntervalMs`. */
  check(hasJobs: boolean): Stall | undefined {
    const { maxComparisonMs, maxSilenceMs, checkIntervalMs } = this.#limits
    const now = performance.now()
    if (now - this.#checkedAt > checkIntervalMs + BLOCKED_MS) this.#reportedAt = this.#comparisonStartedAt = now
    this.#checkedAt = now
    const comparison = Atomics.load(this.#flags, COMPARISONS_STARTED)
    const job = Atomics.load(this.#flags, CURRENT_JOB)
    if (job === 0 || comparison !== this.#lastComparison) {
      this.#lastComparison = comparison
      this.#comparisonStartedAt = now
    }
    if (job !== 0 && now - this.#comparisonStartedAt > maxComparisonMs) {
      return { why: `comparing took longer than ${maxComparisonMs} ms`, culprit: job }
    }
    if (hasJobs && now - this.#reportedAt > maxSilenceMs) return { why: `it was silent for ${maxSilenceMs} ms` }
    return undefined
  }
}
