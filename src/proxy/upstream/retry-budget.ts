// Retries as a share of requests, so that a failing upstream is not asked ever harder (after Envoy's retry budget).
import type { RetryPolicy } from '../../model/snapshot.ts'

/** Credit that can be saved up: enough for a burst after a quiet spell, too little for a storm. */
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

  /** Takes one retry if there is one left. @param now milliseconds */
  spend(policy: RetryPolicy, now: number): boolean {
    this.#credit = Math.min(MAX_CREDIT, this.#credit + ((now - this.#refilledAt) / 1000) * policy.minimumPerSecond)
    this.#refilledAt = now
    if (this.#credit < 1) return false
    this.#credit -= 1
    return true
  }
}
