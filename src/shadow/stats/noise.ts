// Separates faults from noise. A field is real if the sides differ in it more often than legacy differs from itself. The formula
// and its reasons are in docs/adr/0008.

import type { Field, FieldVerdict, Rulings, Verdict } from '../../model/comparison.ts'
import { type Counts, type FieldCounts, type Signature, TOO_MANY } from '../../model/comparison-counts.ts'
import { alphaNow, greaterOddsP, holm } from './statistics.ts'

export type NoiseOptions = {
  /** The probability that at least one field of a route is called real and is not. */
  readonly alpha: number
  /** The sides' odds of differing must exceed legacy's own by this factor. */
  readonly odds: number
  /** Comparisons before the first verdict. */
  readonly minComparisons: number
  /** Pairs of legacy's own answers before the first verdict. */
  readonly minPairs: number
  /** Pairs that differ before a field is noise. */
  readonly minSelf: number
  /** A field is noise only if its p-value is above this one: the sides do not even seem to differ more than legacy does. */
  readonly minNoiseP: number
  /** The share of safe requests for which legacy is asked twice while no field is inconclusive, from 0 to 1. */
  readonly pairShare: number
  /** The same while a field is inconclusive. One pair for each comparison finds a fault of 1 % after half as many requests. */
  readonly pairShareOpen: number
  /** After so many pairs a field that is still inconclusive is too rare to double the load of legacy for it. */
  readonly enoughPairs: number
}

export const DEFAULT_NOISE: NoiseOptions = {
  alpha: 0.02,
  odds: 1.2,
  minComparisons: 30,
  minPairs: 30,
  minSelf: 3,
  minNoiseP: 0.01,
  pairShare: 0.1,
  pairShareOpen: 1,
  enoughPairs: 20_000,
}

export type FieldVerdicts = ReadonlyMap<Field, FieldVerdict>

/**
 * The verdict on each field of a route. A field that has never differed is not tested and needs no correction: without hits it
 * cannot be called real (R. E. Tarone, A modified Bonferroni method for discrete data, Biometrics 46 (1990) 515–522).
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
      const isNoise = enough && self >= options.minSelf && pValues[i]! > options.minNoiseP
      return [field, isNoise ? 'noise' : 'inconclusive']
    }),
  )
}

/** The fields with the verdict noise. */
export function noiseFieldsOf(verdicts: FieldVerdicts): ReadonlySet<Field> {
  return new Set([...verdicts].flatMap(([field, verdict]) => (verdict === 'noise' ? [field] : [])))
}

/**
 * The share of the next requests for which legacy is asked twice. It depends on earlier comparisons, never on the request itself:
 * pairs that are requested because an answer differs would be a biased sample.
 */
export function pairShareNow(counts: Counts, verdicts: FieldVerdicts, options: NoiseOptions = DEFAULT_NOISE): number {
  const isOpen = [...verdicts].some(([field, verdict]) => verdict === 'inconclusive' && counts.fields[field]!.sides > 0)
  return isOpen && counts.pairs < options.enoughPairs ? options.pairShareOpen : options.pairShare
}

/** Comparisons between the sides, with any result. */
export function comparisonsIn(counts: Counts): number {
  return counts.matched + counts.ignored + Object.values(counts.differing).reduce((sum, count) => sum + count, 0)
}

/** The verdict on a comparison that differs in these fields. */
export function verdictOf(fields: readonly Field[], verdicts: FieldVerdicts): Exclude<Verdict, 'match'> {
  const fieldVerdicts = fields.map((field) => verdicts.get(field) ?? 'inconclusive')
  if (fieldVerdicts.includes('real')) return 'mismatch'
  return fieldVerdicts.includes('inconclusive') ? 'inconclusive' : 'noise'
}

export function signatureVerdict(signature: Signature, verdicts: FieldVerdicts): Exclude<Verdict, 'match'> {
  return signature === TOO_MANY ? 'inconclusive' : verdictOf(fieldsOf(signature), verdicts)
}

/** Sorts the fields, so that the same fields always have the same signature. */
export function signatureOf(fields: readonly Field[], maxFields: number): Signature {
  return fields.length > maxFields ? TOO_MANY : [...fields].sort().join('\n')
}

/** Unusual names in paths are quoted, so no path contains a line end. */
function fieldsOf(signature: Signature): Field[] {
  return signature === '' ? [] : (signature.split('\n') as Field[])
}
