// What all seeds together say of one run.
import type { ReporterName } from './reporters.ts'
import { type RunResult, type ReporterResult, MAX_REQUESTS } from './study.ts'

export type Figures = {
  readonly seeds: number
  /** Requests until the fault was reported; infinite where in so many seeds it was not. */
  readonly median: number
  readonly p95: number
  /** The share of seeds in which it was reported at all, and within 3,000 requests. */
  readonly found: number
  readonly foundWithin: number
  /** Of all seeds together. */
  readonly falseFields: number
  readonly falseInTheEnd: number
  /** For each 10,000 comparisons. */
  readonly falseReports: number
  /** Second requests to legacy, as a share of all. */
  readonly pairShare: number
}

export function figuresOf(results: readonly RunResult[], name: ReporterName): Figures {
  const results = results.map((result) => result[name])
  const found = results.map(({ foundAt }) => foundAt ?? Number.POSITIVE_INFINITY).sort((a, b) => a - b)
  const sum = (read: (one: ReporterResult) => number) => results.reduce((total, one) => total + read(one), 0)
  const share = (isSo: (at: number) => boolean) => found.filter(isSo).length / found.length
  const comparisons = sum((one) => one.comparisons)
  return {
    seeds: results.length,
    median: atRank(found, 0.5),
    p95: atRank(found, 0.95),
    found: share(Number.isFinite),
    foundWithin: share((at) => at <= MAX_REQUESTS),
    falseFields: sum((one) => one.falseFields),
    falseInTheEnd: sum((one) => one.falseInTheEnd),
    falseReports: (sum((one) => one.falseReports) / comparisons) * 10_000,
    pairShare: sum((one) => one.pairs) / comparisons,
  }
}

/** The smallest value that so large a share does not exceed: of 20 the 19th, for 0.95. */
function atRank(ascending: readonly number[], share: number): number {
  return ascending[Math.ceil(share * ascending.length) - 1] ?? Number.POSITIVE_INFINITY
}
