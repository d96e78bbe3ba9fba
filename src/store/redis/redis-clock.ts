// The clock of Redis, read locally: the clocks of gateways can differ by an hour, and all of them must use the same time.
import type { Clock } from '../../model/ports.ts'

type Measurement = {
  readonly redisMs: number
  /** The monotonic time of this process at which Redis had that time. */
  readonly measuredAt: number
  readonly roundTripMs: number
}

/** A measurement is used until one with a shorter round trip arrives, or until it is this old. */
const STALE_MS = 60_000
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

  /** The largest possible error, in milliseconds. */
  get errorMs(): number {
    return this.#measurement === undefined ? 0 : this.#measurement.roundTripMs / 2
  }

  /** The server may be another one now, or its clock may have been set: the next measurement replaces the last one. */
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
