// Limits the rate of requests. After a pause there is no burst.
import type { Clock } from '../model/ports.ts'

type RequestPaceOptions = {
  readonly perSecond: number
  readonly clock: Pick<Clock, 'now'>
  /** As `setTimeout` of `node:timers/promises`. */
  readonly wait: (ms: number) => Promise<unknown>
}

export class RequestPace {
  readonly #gapMs: number
  readonly #clock: RequestPaceOptions['clock']
  readonly #wait: RequestPaceOptions['wait']
  #nextAt = Number.NEGATIVE_INFINITY

  constructor({ perSecond, clock, wait }: RequestPaceOptions) {
    this.#gapMs = 1000 / perSecond
    this.#clock = clock
    this.#wait = wait
  }

  /** Resolves when the caller may send its request. */
  async turn(): Promise<void> {
    const now = this.#clock.now()
    const startsAt = Math.max(now, this.#nextAt)
    this.#nextAt = startsAt + this.#gapMs
    if (startsAt > now) await this.#wait(startsAt - now)
  }
}
