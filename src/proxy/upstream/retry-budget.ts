// Limits retries to a share of requests, so that retries do not add load to a failing upstream (after Envoy's retry budget).
import type { RetryPolicy } from '../../model/snapshot.ts'

/** The largest credit, in retries: enough for a burst after a quiet time, too little for a retry storm. */
const MAX_CREDIT = 10

/** One per upstream. Each request earns a fraction of a retry, each second a floor; each retry costs one. */
export class RetryBudget {
  #credit = MAX_CREDIT
  #refilledAt: number

  constructor(now: number) {
    this.#refilledAt = now
  }

  earn(policy: RetryPolicy): void {
    this.#credit = Math.min(MAX_CREDIT, this.#credit + policy.budgetPercent / 100)
  }

  /** @param now milliseconds. @returns false if no retry is left */
  spend(policy: RetryPolicy, now: number): boolean {
    this.#credit = Math.min(MAX_CREDIT, this.#credit + ((now - this.#refilledAt) / 1000) * policy.minimumPerSecond)
    this.#refilledAt = now
    if (this.#credit < 1) return false
    this.#credit -= 1
    return true
  }
}
