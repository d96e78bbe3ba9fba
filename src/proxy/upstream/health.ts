// The health of addresses: passive (results of requests) and active (verdicts of health checks).
import type { Failure } from '../../model/failures.ts'
import { FAILURES } from '../../model/failures.ts'
import type { Side } from '../../model/route.ts'
import type { EjectionPolicy } from '../../model/snapshot.ts'
import type { AddressOutage } from '../../model/upstream-reading.ts'

/** The health of one address. Pure state: time comes in as an argument, in milliseconds. */
export class AddressHealth {
  /** Consecutive results that were a failure or a 5xx. */
  #errorsInRow = 0
  /** Consecutive attempts without a response. */
  #failuresInRow = 0
  #timesEjected = 0
  #ejectedUntil = 0
  #isProbedUnhealthy = false
  /** Reason and time of the last ejection and of the last unhealthy verdict. */
  #ejectionReason = ''
  #ejectedAt = 0
  #unhealthyReason = ''
  #unhealthyAt = 0

  isAvailable(now: number): boolean {
    return !this.#isProbedUnhealthy && now >= this.#ejectedUntil
  }

  /** Why the address is unavailable, and until when; undefined while it is available. */
  outage(now: number): Omit<AddressOutage, 'address'> | undefined {
    if (this.#isProbedUnhealthy) return { why: this.#unhealthyReason, forMs: now - this.#unhealthyAt, endsInMs: null }
    if (now >= this.#ejectedUntil) return undefined
    return { why: this.#ejectionReason, forMs: now - this.#ejectedAt, endsInMs: this.#ejectedUntil - now }
  }

  /** Records the verdict of the active checks. @param why the result of the last check */
  recordVerdict(isHealthy: boolean, why = '', now = 0): void {
    this.#isProbedUnhealthy = !isHealthy
    this.#unhealthyReason = why
    this.#unhealthyAt = now
    if (isHealthy) this.#ejectedUntil = 0
  }

  /**
   * Records that one active check has passed. It ends an ejection, as in Envoy, unless the verdict of the checks is
   * unhealthy: then several must pass in a row.
   *
   * @returns whether an ejection ended
   */
  recordPassedCheck(now: number): boolean {
    if (this.#isProbedUnhealthy || now >= this.#ejectedUntil) return false
    this.#ejectedUntil = 0
    return true
  }

  recordSuccess(): void {
    this.#errorsInRow = 0
    this.#failuresInRow = 0
    this.#timesEjected = 0
    this.#ejectedUntil = 0
  }

  /**
   * Records a response of 5xx, or no response.
   *
   * @param isAlone whether the upstream has no other address. Such an address is ejected only for missing responses: a
   *   500 is a response, and no other address could give a better one
   * @param why the failure, for `outage`
   * @returns for how many milliseconds the address is ejected; 0 if it is not
   */
  recordFailure(
    gotNoResponse: boolean,
    isAlone: boolean,
    mayEject: boolean,
    policy: EjectionPolicy,
    now: number,
    why = '',
  ): number {
    this.#errorsInRow++
    this.#failuresInRow = gotNoResponse ? this.#failuresInRow + 1 : 0
    const inRow = isAlone ? this.#failuresInRow : this.#errorsInRow
    // An address that returns from an ejection is on trial: one more failure ejects it again.
    const threshold = this.#timesEjected > 0 ? 1 : policy.consecutiveFailures
    if (!mayEject || inRow < threshold || now < this.#ejectedUntil) return 0
    this.#timesEjected++
    this.#errorsInRow = 0
    this.#failuresInRow = 0
    const forMs = Math.min(policy.baseMs * this.#timesEjected, policy.maxMs)
    this.#ejectedUntil = now + forMs
    this.#ejectedAt = now
    this.#ejectionReason = why
    return forMs
  }
}

/** Whether a failure counts against the address: the upstream is to blame for it. */
export function blamesTarget(failure: Failure): boolean {
  return FAILURES[failure].blame === 'target'
}

/**
 * Whether one more address may be ejected. The last address of legacy stays. Of several addresses, at most the share of
 * the policy is ejected. The only address of a service may be ejected, because legacy can answer.
 */
export function mayEject(side: Side, addresses: number, ejected: number, policy: EjectionPolicy): boolean {
  if (addresses === 1) return side === 'service'
  return (ejected + 1) / addresses <= policy.maxPercent / 100
}
