// Three rules for reporting fields from the same comparisons: the gateway's, and two others to compare it with.
import type { Comparison, Field } from '../../src/model/comparison.ts'
import { judgeCounts } from '../../src/shadow/stats/judge-route.ts'
import { DEFAULT_NOISE, noiseFieldsOf, pairShareNow } from '../../src/shadow/stats/noise.ts'
import { differingFields, RouteCounter } from '../../src/shadow/stats/route-counter.ts'
import type { Random } from './random.ts'

export type Reporter = {
  readonly observe: (number: number, sides: Comparison, self: () => Comparison) => void
  /** The fields that are reported now. */
  readonly reported: () => ReadonlySet<Field>
  /** The number of second requests to legacy. */
  readonly pairs: () => number
}

/** @param random selects the requests for which legacy is asked twice */
type MakeReporter = (random: Random) => Reporter

export const REPORTER_NAMES = ['gateway', 'inequality', 'diffy'] as const
export type ReporterName = (typeof REPORTER_NAMES)[number]

/** The gateway and Diffy judge their counts after so many comparisons. */
export const JUDGE_INTERVAL = 20

/** The gateway's own counter, verdicts and pairs. */
const gateway: MakeReporter = (random) => {
  const counter = new RouteCounter()
  let reported: ReadonlySet<Field> = new Set()
  let noise: ReadonlySet<Field> = new Set()
  let pairShare = DEFAULT_NOISE.pairShare
  let pairs = 0
  const judge = (): void => {
    const { counts, verdicts } = judgeCounts([counter.counts()])
    reported = new Set([...verdicts].flatMap(([field, verdict]) => (verdict === 'real' ? [field] : [])))
    noise = noiseFieldsOf(verdicts)
    pairShare = pairShareNow(counts, verdicts)
  }
  return {
    observe: (number, sides, self) => {
      counter.recordComparison(sides, number, noise)
      if (random() < pairShare) {
        counter.recordPair(self(), number)
        pairs++
      }
      if (number % JUDGE_INTERVAL === 0) judge()
    },
    reported: () => reported,
    pairs: () => pairs,
  }
}

/**
 * Reports each field that differs once. It uses the gateway's comparison, which favours it: a comparison by bytes, or by position in
 * lists, would report more fields.
 */
const inequality: MakeReporter = () => {
  const reported = new Set<Field>()
  return {
    observe: (_, sides) => {
      for (const field of fieldsIn(sides)) reported.add(field)
    },
    reported: () => reported,
    pairs: () => 0,
  }
}

/**
 * Diffy's filter with its default thresholds: legacy is deployed twice and asked twice for every request. A field is reported if it
 * differs more often between the sides (raw) than within legacy (noise), by more than 20 % of the sum of both and by more than 0.03 %
 * of all requests (DifferencesFilterFactory and JoinedField in opendiffy/diffy). It uses the gateway's comparison, which favours it.
 */
const diffy: MakeReporter = () => {
  const raw = new Map<Field, number>()
  const noise = new Map<Field, number>()
  let total = 0
  let reported: ReadonlySet<Field> = new Set()
  return {
    observe: (number, sides, self) => {
      total++
      for (const field of fieldsIn(sides)) raw.set(field, (raw.get(field) ?? 0) + 1)
      for (const field of fieldsIn(self())) noise.set(field, (noise.get(field) ?? 0) + 1)
      if (number % JUDGE_INTERVAL > 0) return
      reported = new Set(
        [...raw].filter(([field, hits]) => exceeds(hits, noise.get(field) ?? 0, total)).map(([field]) => field),
      )
    },
    reported: () => reported,
    pairs: () => total,
  }
}

/** @param total the number of requests */
export function exceeds(raw: number, noise: number, total: number): boolean {
  const relative = (Math.abs(raw - noise) / (raw + noise)) * 100
  const absolute = (Math.abs(raw - noise) / total) * 100
  return raw > noise && relative > 20 && absolute > 0.03
}

export const REPORTERS: Readonly<Record<ReporterName, MakeReporter>> = { gateway, inequality, diffy }

export function fieldsIn(comparison: Comparison): readonly Field[] {
  return comparison.kind === 'compared' ? differingFields(comparison) : []
}
