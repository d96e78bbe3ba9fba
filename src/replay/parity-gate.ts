// Whether a run is good enough for whoever asked: for CI, which goes by an exit code.
import type { Accounting } from '../model/comparison-counts.ts'
import { parityOf } from '../shadow/stats/parity.ts'

export type GateResult = {
  /** From 0 to below 1. */
  readonly target: number
  /** The share that matches, with all that is not known to match against it; undefined of nothing. */
  readonly share: number | undefined
  readonly isPassed: boolean
  /** Whether the comparisons are enough to say that the target is reached: with 95 % confidence, and not by luck. */
  readonly isSure: boolean
  /** Comparisons that must still match, with none that does not, until that can be said. */
  readonly untilSure: number
  /** What counts against: not told from noise yet, and not answered by the service. */
  readonly inconclusive: number
  readonly unanswered: number
}

/**
 * Stricter than parity, which leaves out what says nothing of how alike the answers are: a service that does not answer
 * is none that a percentage should be given, and what is not known to be noise may be a fault.
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
