// Noise told from fault. A field is real where the sides differ more often than legacy differs from itself; the
// formula, and why it is this one, is in docs/adr/0008.

import type { Field, FieldVerdict, Rulings, Verdict } from '../../model/comparison.ts'
import type { Counts, FieldCounts, Signature } from '../../model/comparison-counts.ts'
import { TOO_MANY } from '../../model/comparison-counts.ts'
import { alphaNow, greaterOddsP, holm } from './statistics.ts'

export type NoiseOptions = {
  /** The probability with which any field of a route may be called real that is not. */
  readonly alpha: number
  /** The sides’ odds of differing must be greater than legacy’s own by this factor. */
  readonly odds: number
  /** Comparisons before anything is said. */
  readonly minComparisons: number
  /** Pairs of legacy’s own answers before anything is said. */
  readonly minPairs: number
  /** Pairs that differ before a field is noise. */
  readonly minSelf: number
  /** A field is noise only where the sides show no sign of differing more: not even with this probability of error. */
  readonly noSign: number
  /** The share of safe requests for which legacy is asked twice while nothing is open, from 0 to 1. */
  readonly pairShare: number
  /** And while a field is. One pair for each comparison makes a fault of 1 % known after half as many requests. */
  readonly pairShareOpen: number
  /** After so many pairs a field that is still open is too rare to double legacy’s load for. */
  readonly enoughPairs: number
}

export const DEFAULT_NOISE: NoiseOptions = {
  alpha: 0.02,
  odds: 1.2,
  minComparisons: 30,
  minPairs: 30,
  minSelf: 3,
  noSign: 0.01,
  pairShare: 0.1,
  pairShareOpen: 1,
  enoughPairs: 20_000,
}

export type FieldVerdicts = ReadonlyMap<Field, FieldVerdict>

/**
 * What each field of a route is. A place that was never seen to differ, on either count, is not tested and needs no
 * correction: with no hits to share out it could not have been called real (R. E. Tarone, A modified Bonferroni
 * method for discrete data, Biometrics 46 (1990) 515–522).
 */
export function judgeFields(
  counts: Counts,
  rulings: Rulings = {},
  options: NoiseOptions = DEFAULT_NOISE,
): FieldVerdicts {
  const comparisons = comparisonsIn(counts)
  const fields = Object.entries(counts.fields) as [Field, FieldCounts][]
  const enough = comparisons >= options.minComparisons && counts.pairs >= options.minPairs
  const pValues = fields.map(([, { sides, self }]) => {
    if (!enough || sides === 0) return 1
    return greaterOddsP({ hits: sides, trials: comparisons }, { hits: self, trials: counts.pairs }, options.odds)
  })
  const isReal = holm(pValues, alphaNow(options.alpha, comparisons, options.minComparisons))
  return new Map(
    fields.map(([field, { self }], i) => {
      if (Object.hasOwn(rulings, field)) return [field, rulings[field]!]
      if (isReal[i]) return [field, 'real']
      const isNoise = enough && self >= options.minSelf && pValues[i]! > options.noSign
      return [field, isNoise ? 'noise' : 'inconclusive']
    }),
  )
}

/**
 * The share of the next requests for which legacy is asked twice. It goes by what was seen before, never by the request
 * itself: pairs that are asked for because an answer differs would be of the requests that differ.
 */
export function pairShareNow(counts: Counts, verdicts: FieldVerdicts, options: NoiseOptions = DEFAULT_NOISE): number {
  const isOpen = [...verdicts].some(([field, verdict]) => verdict === 'inconclusive' && counts.fields[field]!.sides > 0)
  return isOpen && counts.pairs < options.enoughPairs ? options.pairShareOpen : options.pairShare
}

/** Comparisons between the sides that were made, whatever came of them. */
export function comparisonsIn(counts: Counts): number {
  return counts.matched + counts.ignored + Object.values(counts.differing).reduce((sum, count) => sum + count, 0)
}

/** What a comparison that differs in these fields says. */
export function verdictOf(fields: readonly Field[], verdicts: FieldVerdicts): Exclude<Verdict, 'match'> {
  const found = fields.map((field) => verdicts.get(field) ?? 'inconclusive')
  if (found.includes('real')) return 'mismatch'
  return found.includes('inconclusive') ? 'inconclusive' : 'noise'
}

export function signatureVerdict(signature: Signature, verdicts: FieldVerdicts): Exclude<Verdict, 'match'> {
  return signature === TOO_MANY ? 'inconclusive' : verdictOf(fieldsOf(signature), verdicts)
}

/** The fields, in one order, so that the same fields are always the same signature. */
export function signatureOf(fields: readonly Field[], most: number): Signature {
  return fields.length > most ? TOO_MANY : [...fields].sort().join('\n')
}

/** Paths are quoted where they are odd, so a line end is in none. */
function fieldsOf(signature: Signature): Field[] {
  return signature === '' ? [] : (signature.split('\n') as Field[])
}
