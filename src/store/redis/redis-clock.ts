// Estimates the clock of Redis from its replies. The clocks of gateways can differ by an hour, and all of them must use the same
// time.
import type { Clock } from '../../model/ports.ts'

type Measurement = {
  readonly redisMs: number
  /** The monotonic time of this process when the clock of Redis showed `redisMs`. */
  readonly measuredAt: number
  readonly roundTripMs: number
}

/** A measurement is used until one with a shorter round trip arrives, or until it is this old. */
const STALE_MS = 60_000
/** Two measurements may differ by this much more than their round trips explain: clocks are adjusted in small steps. */
const SLACK_MS = 50

export class RedisClock {
  readonly #clock: Clock
  #measurement: Measurement | undefined

  constructor(clock: Clock) {
    this.#clock = clock
  }

  get isKnown(): boolean {
    return this.#measurement !== undefined && Number.isFinite(this.#measurement.roundTripMs)
  }

  /**
   * The largest possible error, in milliseconds: infinite after `distrust`, and 0 before the first measurement, when `wallTime` is the
   * clock of this process.
   */
  get errorMs(): number {
    return this.#measurement === undefined ? 0 : this.#measurement.roundTripMs / 2
  }

  /** Lets any next measurement replace the last one. Call it when the server may be another one, or its clock may have been set. */
  distrust(): void {
    if (this.#measurement !== undefined)
      this.#measurement = { ...this.#measurement, roundTripMs: Number.POSITIVE_INFINITY }
  }

  /** Milliseconds since 1970 by the clock of Redis; by the clock of this process before the first measurement. */
  wallTime(): number {
    if (this.#measurement === undefined) return this.#clock.wallTime()
    return Math.round(this.#measurement.redisMs + this.#clock.now() - this.#measurement.measuredAt)
  }

  /** Takes the time in a reply of Redis. @param requestedAt the monotonic time of this process at the request */
  measure(redisMs: number, requestedAt: number): void {
    const now = this.#clock.now()
    const roundTripMs = now - requestedAt
    if (this.#isLastBetter(redisMs, now, roundTripMs)) return
    this.#measurement = { redisMs, measuredAt: now - roundTripMs / 2, roundTripMs }
  }

  /** Whether the last measurement is more exact and does not contradict the new one. */
  #isLastBetter(redisMs: number, now: number, roundTripMs: number): boolean {
    const last = this.#measurement
    if (last === undefined || roundTripMs <= last.roundTripMs || now - last.measuredAt > STALE_MS) return false
    const predictedMs = last.redisMs + (now - roundTripMs / 2) - last.measuredAt
    // A difference that the round trips cannot explain: the clock of Redis was set.
    return Math.abs(redisMs - predictedMs) <= roundTripMs + SLACK_MS
  }
}
