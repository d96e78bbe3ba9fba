// A token bucket: how often something may happen.

/** Holds up to `capacity` tokens; one is added every `refillMs` milliseconds. It starts full. */
export class TokenBucket {
  readonly #capacity: number
  readonly #refillMs: number
  #tokens: number
  #refilledAt: number

  /** @param now milliseconds of a monotonic clock, as for `take` */
  constructor(capacity: number, refillMs: number, now: number) {
    this.#capacity = capacity
    this.#refillMs = refillMs
    this.#tokens = capacity
    this.#refilledAt = now
  }

  /** Takes a token if there is one. @returns milliseconds until the next token; 0 if one was taken */
  take(now: number): number {
    this.#tokens = Math.min(this.#capacity, this.#tokens + (now - this.#refilledAt) / this.#refillMs)
    this.#refilledAt = now
    if (this.#tokens < 1) return (1 - this.#tokens) * this.#refillMs
    this.#tokens--
    return 0
  }
}
