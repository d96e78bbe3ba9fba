// A bucket of tokens: how often something may happen.
/** An amount that is used up, and comes back with time. */
export class Allowance {
  readonly #most: number
  readonly #refillMs: number
  #left: number
  #at: number

  /** @param refillMs in which one comes back */
  constructor(most: number, refillMs: number, now: number) {
    this.#most = most
    this.#refillMs = refillMs
    this.#left = most
    this.#at = now
  }

  /** Takes one if there is one. @returns how long to wait for the next one in milliseconds, 0 if it was taken */
  take(now: number): number {
    this.#left = Math.min(this.#most, this.#left + (now - this.#at) / this.#refillMs)
    this.#at = now
    if (this.#left < 1) return (1 - this.#left) * this.#refillMs
    this.#left--
    return 0
  }
}
