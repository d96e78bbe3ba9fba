// Summarises one run over all seeds.
import type { ReporterName } from './reporters.ts'
import { MAX_REQUESTS, type ReporterResult, type RunResult } from './study.ts'

export type Figures = {
  readonly seeds: number
  /** Requests until the fault was reported; infinite if it was not reported in so many seeds. */
  readonly median: number
  readonly p95: number
  /** The share of seeds in which the fault was reported, and in which it was reported within `MAX_REQUESTS`. */
  readonly reported: number
  readonly reportedInTime: number
  /** Of all seeds together. */
  readonly falseFields: number
  readonly falseInTheEnd: number
  /** Per 10,000 comparisons. */
  readonly falseReports: number
  /** Second requests to legacy, as a share of all requests. */
  readonly pairShare: number
}

export function figuresOf(runs: readonly RunResult[], name: ReporterName): Figures {
  const results = runs.map((run) => run[name])
  const requests = results.map(({ reportedAt }) => reportedAt ?? Number.POSITIVE_INFINITY).sort((a, b) => a - b)
  const sum = (value: (result: ReporterResult) => number) => results.reduce((total, result) => total + value(result), 0)
  const shareOf = (isCounted: (request: number) => boolean) => requests.filter(isCounted).length / requests.length
  const comparisons = sum((result) => result.comparisons)
  return {
    seeds: results.length,
    median: atRank(requests, 0.5),
    p95: atRank(requests, 0.95),
    reported: shareOf(Number.isFinite),
    reportedInTime: shareOf((request) => request <= MAX_REQUESTS),
    falseFields: sum((result) => result.falseFields),
    falseInTheEnd: sum((result) => result.falseInTheEnd),
    falseReports: (sum((result) => result.falseReports) / comparisons) * 10_000,
    pairShare: sum((result) => result.pairs) / comparisons,
  }
}

/** The smallest value that is not exceeded by this share of the values: for 0.95 the 19th of 20. */
function atRank(ascending: readonly number[], share: number): number {
  return ascending[Math.ceil(share * ascending.length) - 1] ?? Number.POSITIVE_INFINITY
}
