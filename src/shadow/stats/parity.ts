// How often the two sides agree: the outcome of each eligible request, and the share that matches.
import {
  type Accounting,
  type Counts,
  NO_COUNTS,
  type Parity,
  type Share,
  type Signature,
} from '../../model/comparison-counts.ts'
import { type FieldVerdicts, signatureVerdict } from './noise.ts'
import { hitsUntil, wilson } from './statistics.ts'

/** The target of a gate that does not name its own. */
export const DEFAULT_PARITY_TARGET = 0.999

/** Each eligible request was counted once, so `eligible` is the sum of the parts. */
export function accountingOf(counts: Counts, verdicts: FieldVerdicts): Accounting {
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

/** The sum over several routes, each of which was judged by itself. */
export function sumAccountings(accountings: readonly Accounting[]): Accounting {
  return accountings.reduce(addAccountings, accountingOf(NO_COUNTS, new Map()))
}

function addAccountings(a: Accounting, b: Accounting): Accounting {
  return {
    eligible: a.eligible + b.eligible,
    matched: a.matched + b.matched,
    mismatched: a.mismatched + b.mismatched,
    noise: a.noise + b.noise,
    inconclusive: a.inconclusive + b.inconclusive,
    ignored: a.ignored + b.ignored,
    uncomparable: a.uncomparable + b.uncomparable,
    shed: a.shed + b.shed,
    failed: a.failed + b.failed,
  }
}

/** @param target below 1: 0.999 for "99.9 % match" */
export function parityOf({ matched, noise, ignored, mismatched, inconclusive }: Accounting, target: number): Parity {
  const matching = matched + noise + ignored
  const conclusive = matching + mismatched
  return {
    conclusive,
    inconclusive,
    matching: conclusive === 0 ? undefined : shareOf(matching, conclusive),
    atLeast: wilson(matching, conclusive + inconclusive).lower,
    untilTarget: hitsUntil(matching, conclusive + inconclusive, target),
  }
}

/** A share with its 95 % interval. @param trials above 0: without trials any share would be a guess */
export function shareOf(hits: number, trials: number): Share {
  return { share: hits / trials, ...wilson(hits, trials) }
}

function sum(counts: Readonly<Partial<Record<string, number>>>): number {
  return Object.values(counts).reduce<number>((total, count) => total + (count ?? 0), 0)
}
