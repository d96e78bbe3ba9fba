// Counts the outcomes of the requests of one route while a recording is replayed.

import type { Comparison, Field, ShadowFailure } from '../model/comparison.ts'
import { type Counts, NO_COUNTS } from '../model/comparison-counts.ts'
import type { NoisePolicy } from '../model/shadow-policy.ts'
import { maskRequestTarget, patternIn, type Redaction, redact } from '../shadow/capture/redact.ts'
import { type JudgedCounts, judgeCounts } from '../shadow/stats/judge-route.ts'
import { comparisonsIn, DEFAULT_NOISE, noiseFieldsOf, pairShareNow } from '../shadow/stats/noise.ts'
import { RouteCounter } from '../shadow/stats/route-counter.ts'
import { sumCounts } from '../shadow/stats/sum-counts.ts'
import type { PreparedRequest } from './prepare-request.ts'
import type { ReplayExample, RouteProgress } from './progress.ts'

/** The state file contains all examples and is written before each request. */
const MAX_EXAMPLES = 40
/** One comparison more hardly changes the verdicts of thousands: the counts grow by this factor before they are judged again. */
const GROWTH_BEFORE_JUDGING = 1.02

export class RouteTracker {
  readonly #saved: RouteProgress
  readonly #counter = new RouteCounter()
  readonly #statuses: Record<string, number>
  readonly #examples: ReplayExample[]
  readonly #wallTime: () => number
  #judged: JudgedCounts = { counts: NO_COUNTS, verdicts: new Map() }
  #judgeAfter = 0

  constructor(saved: RouteProgress, wallTime: () => number) {
    this.#saved = saved
    this.#statuses = { ...saved.statuses }
    this.#examples = [...saved.examples]
    this.#wallTime = wallTime
  }

  snapshot(): RouteProgress {
    const { context, route } = this.#saved
    return { context, route, counts: this.#counts(), statuses: this.#statuses, examples: this.#examples }
  }

  /** The share of the next requests for which legacy is asked twice. */
  pairShare(policy: NoisePolicy): number {
    const { verdicts } = this.#judge()
    return pairShareNow(this.#counts(), verdicts, { ...DEFAULT_NOISE, ...policy })
  }

  /** Records the status of legacy's response. */
  recordStatus(status: number): void {
    this.#statuses[status] = (this.#statuses[status] ?? 0) + 1
  }

  recordFailure(reason: ShadowFailure): void {
    this.#counter.recordUncompared({ outcome: 'failed', reason })
  }

  /** @param entry the number of the entry in the recording */
  recordComparison(comparison: Comparison, entry: number, { head }: PreparedRequest, redaction: Redaction): void {
    this.#counter.recordComparison(comparison, this.#wallTime(), noiseFieldsOf(this.#judge().verdicts))
    if (comparison.kind === 'uncomparable') return
    for (const difference of comparison.differences) {
      const field: Field = `${difference.kind} ${difference.path}`
      const hasExample = this.#examples.some((example) => example.field === field)
      if (hasExample || this.#examples.length >= MAX_EXAMPLES) continue
      const { legacy, service } = redact(difference, redaction)
      const target = maskRequestTarget(head.path, head.query, redaction, patternIn(this.#saved.route))
      this.#examples.push({ field, at: entry, method: head.method, target, legacy, service })
    }
  }

  recordPair(comparison: Comparison): void {
    this.#counter.recordPair(comparison, this.#wallTime())
  }

  #counts(): Counts {
    return sumCounts([this.#saved.counts, this.#counter.counts()])
  }

  #judge(): JudgedCounts {
    const counts = this.#counts()
    const comparisons = comparisonsIn(counts) + counts.pairs
    if (comparisons >= this.#judgeAfter) {
      this.#judged = judgeCounts([counts])
      this.#judgeAfter = comparisons * GROWTH_BEFORE_JUDGING + 1
    }
    return this.#judged
  }
}
