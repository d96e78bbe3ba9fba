// The clock of Redis, told here: gateways may be an hour apart, and all of them say the same time.
import type { Clock } from '../../model/ports.ts'

/** A measurement is kept until one with a shorter round trip comes, or it is this old. */
const STALE_MS = 60_000
const SLACK_MS = 50

export class RedisClock {
  private readonly clock: Clock
  /** What Redis said, at which of our monotonic milliseconds, and how exact that can be. */
  private measured: { readonly redisMs: number; readonly at: number; readonly roundTripMs: number } | undefined

  constructor(clock: Clock) {
    this.clock = clock
  }

  get isKnown(): boolean {
    return this.measured !== undefined && Number.isFinite(this.measured.roundTripMs)
  }

  /** How wrong it can be, in milliseconds. */
  get errorMs(): number {
    return this.measured === undefined ? 0 : this.measured.roundTripMs / 2
  }

  /** It may be another Redis now, or have another time: the next measurement is taken, whatever it is. */
  distrust(): void {
    if (this.measured !== undefined) this.measured = { ...this.measured, roundTripMs: Number.POSITIVE_INFINITY }
  }

  /** Milliseconds since 1970: by Redis, or by our own calendar as long as Redis was never asked. */
  wallTime(): number {
    if (this.measured === undefined) return this.clock.wallTime()
    return Math.round(this.measured.redisMs + this.clock.now() - this.measured.at)
  }

  /** Takes what Redis answered to a question asked at `askedAt` of our monotonic clock. */
  measure(redisMs: number, askedAt: number): void {
    const now = this.clock.now()
    const roundTripMs = now - askedAt
    if (this.isBetterKept(redisMs, now, roundTripMs)) return
    this.measured = { redisMs, at: now - roundTripMs / 2, roundTripMs }
  }

  /** Whether the last measurement is the more exact one, and this one does not contradict it. */
  private isBetterKept(redisMs: number, now: number, roundTripMs: number): boolean {
    const last = this.measured
    if (last === undefined || roundTripMs <= last.roundTripMs || now - last.at > STALE_MS) return false
    const predictedMs = last.redisMs + (now - roundTripMs / 2) - last.at
    // Further apart than the round trips explain: somebody has set the clock of Redis.
    return Math.abs(redisMs - predictedMs) <= roundTripMs + SLACK_MS
  }
}
