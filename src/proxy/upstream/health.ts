// Which addresses may be asked: passive health fed by outcomes, and the verdicts of active checks.
import type { Failure } from '../../model/failures.ts'
import { FAILURES } from '../../model/failures.ts'
import type { Side } from '../../model/route.ts'
import type { EjectionPolicy } from '../../model/snapshot.ts'
import type { AddressOutage } from '../../model/upstream-reading.ts'

/** The health of one address. Pure state: time comes in as an argument, in milliseconds. */
export class AddressHealth {
  /** Answers in a row that were a failure or a 5xx. */
  #errorsInRow = 0
  /** Attempts in a row that got no response at all. */
  #failuresInRow = 0
  #timesEjected = 0
  #ejectedUntil = 0
  #isProbedUnhealthy = false
  /** Why and when the address was last ejected, and when the checks last found it unhealthy. */
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

  /** The verdict of the active checks. @param why what the last check found */
  recordVerdict(isHealthy: boolean, why = '', now = 0): void {
    this.#isProbedUnhealthy = !isHealthy
    this.#unhealthyReason = why
    this.#unhealthyAt = now
    if (isHealthy) this.#ejectedUntil = 0
  }

  /**
   * One active check has passed. It ends an ejection, as in Envoy, unless the verdict of the checks is unhealthy: then
   * several must pass in a row.
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
   * An answer of 5xx, or no answer.
   *
   * @param isAlone a lone address is taken out only for giving no answer at all: a 500 is an answer, and there is
   *   nobody else to ask
   * @param why the failure, for `outage`
   * @returns how long the address is ejected for, or 0
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
    // After an ejection one more failure is enough: the address came back on trial.
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

/** Whether a failure says that the address is unwell: those the target is to blame for. */
export function blamesTarget(failure: Failure): boolean {
  return FAILURES[failure].blame === 'target'
}

/**
 * Whether one more address may be ejected: never legacy's last, and never more than the policy's share of several;
 * the lone address of a service may go, because legacy is there to answer.
 */
export function mayEject(side: Side, addresses: number, ejected: number, policy: EjectionPolicy): boolean {
  if (addresses === 1) return side === 'service'
  return (ejected + 1) / addresses <= policy.maxPercent / 100
}
