// How noisy the recordings are, so that readers can judge the figures.
import type { FamilyName } from './families.ts'
import { NOISE } from './noise.ts'
import { exchangeOf } from './recording.ts'
import { fieldsIn } from './reporters.ts'

/** The share of legacy's pairs that differ in a field of each noise, in the order of `NOISE`. */
export function noiseRates(family: FamilyName, seed: number, pairs: number): number[] {
  const hits = NOISE.map(() => 0)
  for (let number = 1; number <= pairs; number++) {
    const seen = new Set(fieldsIn(exchangeOf(family, seed, number).self()))
    for (const [i, { shows }] of NOISE.entries()) if (shows[family].some((field) => seen.has(field))) hits[i]!++
  }
  return hits.map((count) => count / pairs)
}
