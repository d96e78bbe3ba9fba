// How alike the sides answer, said of counts: where each eligible request is, and the share that matches.
import type { Accounting, Counts, Parity, Share, Signature } from '../../model/comparison-counts.ts'
import { type FieldVerdicts, signatureVerdict } from './noise.ts'
import { hitsUntil, wilson } from './statistics.ts'

/** The sum is right by construction: each eligible request was counted once, in one place. */
export function account(counts: Counts, verdicts: FieldVerdicts): Accounting {
  const differing = { mismatch: 0, noise: 0, inconclusive: 0 }
  for (const [signature, count] of Object.entries(counts.differing) as [Signature, number][]) {
    differing[signatureVerdict(signature, verdicts)] += count
  }
  const parts = {
    matched: counts.matched,
    mismatched: differing.mismatch,
    noise: differing.noise,
    inconclusive: differing.inconclusive,
    ignored: counts.ignored,
    uncomparable: sum(counts.uncomparable),
    shed: sum(counts.shed),
    failed: sum(counts.failed),
  }
  return { eligible: sum(parts), ...parts }
}

/** Of several routes, each judged by itself. */
export function addAccounts(one: Accounting, other: Accounting): Accounting {
  return {
    eligible: one.eligible + other.eligible,
    matched: one.matched + other.matched,
    mismatched: one.mismatched + other.mismatched,
    noise: one.noise + other.noise,
    inconclusive: one.inconclusive + other.inconclusive,
    ignored: one.ignored + other.ignored,
    uncomparable: one.uncomparable + other.uncomparable,
    shed: one.shed + other.shed,
    failed: one.failed + other.failed,
  }
}

/** @param target below 1: 0.999 for "99.9 % match" */
export function parityOf({ matched, noise, ignored, mismatched, inconclusive }: Accounting, target: number): Parity {
  const alike = matched + noise + ignored
  const conclusive = alike + mismatched
  return {
    conclusive,
    inconclusive,
    matching: conclusive === 0 ? undefined : shareOf(alike, conclusive),
    atLeast: wilson(alike, conclusive + inconclusive).lower,
    untilTarget: hitsUntil(alike, conclusive + inconclusive, target),
  }
}

/** A share with its 95 % interval; undefined of nothing would be a guess, so there must be trials. */
export function shareOf(hits: number, trials: number): Share {
  return { share: hits / trials, ...wilson(hits, trials) }
}

function sum(counts: Readonly<Partial<Record<string, number>>>): number {
  return Object.values(counts).reduce<number>((total, count) => total + (count ?? 0), 0)
}
