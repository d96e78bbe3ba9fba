// Judges a replay by the target of the caller, for CI, which uses the exit code.
import type { Accounting } from '../model/comparison-counts.ts'
import { parityOf } from '../shadow/stats/parity.ts'

export type GateResult = {
  /** From 0 to below 1. */
  readonly target: number
  /** The share that matches; inconclusive and unanswered requests count as mismatches. Undefined without comparisons. */
  readonly share: number | undefined
  readonly isPassed: boolean
  /** Whether the share reaches the target with 95 % confidence. */
  readonly isSure: boolean
  /** Further comparisons that must all match until `isSure`. */
  readonly untilSure: number
  readonly inconclusive: number
  /** Requests that legacy answered and the service did not. */
  readonly unanswered: number
}

/**
 * Stricter than parity, which leaves out unanswered requests: a service that does not answer should not get a percentage, and an
 * inconclusive difference may be a fault.
 *
 * @param unanswered requests that legacy answered and the service did not
 */
export function judgeGate(accounting: Accounting, unanswered: number, target: number): GateResult {
  const { inconclusive, mismatched } = accounting
  const against = { ...accounting, inconclusive: inconclusive + unanswered }
  const { atLeast, untilTarget } = parityOf(against, target)
  const alike = accounting.matched + accounting.noise + accounting.ignored
  const trials = alike + mismatched + inconclusive + unanswered
  const share = trials === 0 ? undefined : alike / trials
  return {
    target,
    share,
    isPassed: share !== undefined && share >= target,
    isSure: atLeast >= target,
    untilSure: untilTarget,
    inconclusive,
    unanswered,
  }
}
