// Three rules for what is reported, given the same comparisons: the gateway's, and two to hold it against.
import type { Comparison, Field } from '../../src/model/comparison.ts'
import { DEFAULT_NOISE, judgeFields, pairShareNow } from '../../src/shadow/stats/noise.ts'
import { differingFields, RouteCounter } from '../../src/shadow/stats/route-counter.ts'
import type { Random } from './random.ts'

export type Reporter = {
  readonly observe: (number: number, sides: Comparison, self: () => Comparison) => void
  /** Fields that are called wrong as things stand. */
  readonly reported: () => ReadonlySet<Field>
  /** Times that legacy was asked a second time. */
  readonly pairs: () => number
}

/** @param random what decides which requests legacy is asked twice for */
export type MakeReporter = (random: Random) => Reporter

export const REPORTER_NAMES = ['gateway', 'inequality', 'diffy'] as const
export type ReporterName = (typeof REPORTER_NAMES)[number]

/** The gateway and Diffy look at their counts after every so many comparisons. */
export const JUDGE_INTERVAL = 20

/** The product's own counter, verdicts and pairs, put together as a gateway does. */
const gateway: MakeReporter = (random) => {
  const counter = new RouteCounter()
  let reported: ReadonlySet<Field> = new Set()
  let noise: ReadonlySet<Field> = new Set()
  let pairShare = DEFAULT_NOISE.pairShare
  let pairs = 0
  const look = (): void => {
    const counts = counter.counts()
    const verdicts = judgeFields(counts)
    const fieldsThatAre = (word: string) =>
      new Set([...verdicts].filter(([, verdict]) => verdict === word).map(([field]) => field))
    reported = fieldsThatAre('real')
    noise = fieldsThatAre('noise')
    pairShare = pairShareNow(counts, verdicts)
  }
  return {
    observe: (number, sides, self) => {
      counter.recordComparison(sides, number, noise)
      if (random() < pairShare) {
        counter.recordPair(self(), number)
        pairs++
      }
      if (number % JUDGE_INTERVAL === 0) look()
    },
    reported: () => reported,
    pairs: () => pairs,
  }
}

/**
 * Whatever differs once. In its favour it has the gateway's comparison: one by bytes, or by position in lists, would
 * report more.
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
 * Diffy's filter, with the thresholds that it comes with: legacy is deployed and asked twice for every request, and a
 * field is reported where it differed more often between the sides (raw) than within legacy (noise), by more than 20 %
 * of the sum of both and by more than 0.03 % of all requests (DifferencesFilterFactory and JoinedField in
 * opendiffy/diffy). In its favour it has the gateway's comparison.
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

/** @param total requests */
export function exceeds(raw: number, noise: number, total: number): boolean {
  const relative = (Math.abs(raw - noise) / (raw + noise)) * 100
  const absolute = (Math.abs(raw - noise) / total) * 100
  return raw > noise && relative > 20 && absolute > 0.03
}

export const REPORTERS: Readonly<Record<ReporterName, MakeReporter>> = { gateway, inequality, diffy }

export function fieldsIn(comparison: Comparison): readonly Field[] {
  return comparison.kind === 'compared' ? differingFields(comparison) : []
}
