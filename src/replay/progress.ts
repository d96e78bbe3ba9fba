// What a run has found so far: a value that is written down and read again, so that a run can go on where it was.

import type { Comparison, Field, Masked, ShadowFailure } from '../model/comparison.ts'
import type { Accounting, Counts } from '../model/comparison-counts.ts'
import { NO_COUNTS } from '../model/comparison-counts.ts'
import { mergeCounts } from '../model/merge-counts.ts'
import type { NoisePolicy } from '../model/shadow-policy.ts'
import { maskRequestTarget, patternIn, type Redaction, redact } from '../shadow/capture/redact.ts'
import { type Counter, createCounter } from '../shadow/stats/route-counter.ts'
import { comparisonsIn, DEFAULT_NOISE, type FieldVerdicts, judgeFields, pairShareNow } from '../shadow/stats/noise.ts'
import { account, addAccounts } from '../shadow/stats/parity.ts'
import type { Prepared } from './prepare-request.ts'
import type { Skipped } from './recording.ts'

/** How far a run is, and what it has found. Plain: it goes through JSON unchanged. */
export type Progress = {
  /** Milliseconds since 1970. */
  readonly startedAt: number
  /** Of entries up to here each is counted, or is one of `underWay`. */
  readonly through: number
  /** Entries that may have been asked, and of whose answers nothing is known. */
  readonly underWay: readonly number[]
  /** How many were under way when a run was killed: they are not asked again. */
  readonly interrupted: number
  readonly skipped: Readonly<Partial<Record<Skipped, number>>>
  readonly unreadable: { readonly count: number; readonly first: readonly Unread[] }
  readonly routes: readonly RouteProgress[]
}

export type Unread = { readonly at: number; readonly why: string }

export type RouteProgress = {
  readonly context: string
  readonly route: string
  readonly counts: Counts
  /** How often legacy answered with which status: a thousand 401s that match are no evidence. */
  readonly statuses: Readonly<Record<string, number>>
  readonly examples: readonly ReplayExample[]
}

/** One request that differs in a field. Nothing secret is left. */
export type ReplayExample = {
  readonly field: Field
  readonly at: number
  readonly method: string
  readonly target: Masked
  readonly legacy: Masked | null
  readonly service: Masked | null
}

export const NO_PROGRESS: Omit<Progress, 'startedAt'> = {
  ...{ through: 0, underWay: [], interrupted: 0, skipped: {}, routes: [] },
  unreadable: { count: 0, first: [] },
}

export type Tally = {
  readonly through: () => number
  readonly skip: (at: number, reason: Skipped) => void
  readonly unreadable: (at: number, why: string) => void
  /** From here on it may have been asked. */
  readonly begin: (at: number) => void
  /** Whatever came of it has been said. */
  readonly end: (at: number) => void
  readonly of: (prepared: Prepared) => RouteTally
  readonly progress: () => Progress
  readonly sum: () => ReplayTotals
}

export type RouteTally = {
  /** The share of requests for which legacy is asked twice, by what was seen until now. */
  readonly pairShare: (policy: NoisePolicy) => number
  readonly answered: (status: number) => void
  readonly failed: (reason: ShadowFailure) => void
  readonly compared: (comparison: Comparison, at: number, prepared: Prepared, redaction: Redaction) => void
  readonly paired: (comparison: Comparison) => void
}

/** All routes together, each by its own noise. */
export type ReplayTotals = { readonly accounting: Accounting; readonly byRoute: readonly RouteSum[] }

export type RouteSum = RouteProgress & { readonly verdicts: FieldVerdicts; readonly accounting: Accounting }

/** @param wallTime milliseconds since 1970 */
export function createTally(before: Progress, wallTime: () => number): Tally {
  let { through } = before
  const interrupted = before.interrupted + before.underWay.length
  const skipped: Partial<Record<Skipped, number>> = { ...before.skipped }
  const unread: Unread[] = [...before.unreadable.first]
  let unreadCount = before.unreadable.count
  const underWay = new Set<number>()
  const routes = new Map<string, Live>()
  for (const route of before.routes) routes.set(keyOf(route), new Live(route, wallTime))

  return {
    through: () => through,
    skip: (at, reason) => {
      through = at
      skipped[reason] = (skipped[reason] ?? 0) + 1
    },
    unreadable: (at, why) => {
      through = at
      unreadCount++
      if (unread.length < UNREAD_NAMED) unread.push({ at, why })
    },
    begin: (at) => {
      through = at
      underWay.add(at)
    },
    end: (at) => void underWay.delete(at),
    of: ({ context, label }) => {
      const named = { context: context.name, route: label }
      const known = routes.get(keyOf(named))
      if (known !== undefined) return known
      const live = new Live({ ...named, counts: NO_COUNTS, statuses: {}, examples: [] }, wallTime)
      routes.set(keyOf(named), live)
      return live
    },
    progress: () => ({
      startedAt: before.startedAt,
      through,
      underWay: [...underWay],
      interrupted,
      skipped,
      unreadable: { count: unreadCount, first: unread },
      routes: [...routes.values()].map((live) => live.progress()),
    }),
    sum: () => sumOf([...routes.values()].map((live) => live.progress())),
  }
}

/** Unreadable entries that are named, so that somebody can look. */
const UNREAD_NAMED = 5

function keyOf({ context, route }: Pick<RouteProgress, 'context' | 'route'>): string {
  return `${context}\n${route}`
}

/** One route, being counted. */
class Live implements RouteTally {
  readonly #before: RouteProgress
  readonly #counter: Counter = createCounter()
  readonly #statuses: Record<string, number>
  readonly #examples: ReplayExample[]
  readonly #wallTime: () => number
  #verdicts: FieldVerdicts = new Map()
  #judgeAt = 0

  constructor(before: RouteProgress, wallTime: () => number) {
    this.#before = before
    this.#statuses = { ...before.statuses }
    this.#examples = [...before.examples]
    this.#wallTime = wallTime
  }

  progress(): RouteProgress {
    const { context, route } = this.#before
    return { context, route, counts: this.#counts(), statuses: this.#statuses, examples: this.#examples }
  }

  pairShare(policy: NoisePolicy): number {
    return pairShareNow(this.#counts(), this.#judged(), { ...DEFAULT_NOISE, ...policy })
  }

  answered(status: number): void {
    this.#statuses[status] = (this.#statuses[status] ?? 0) + 1
  }

  failed(reason: ShadowFailure): void {
    this.#counter.uncompared({ outcome: 'failed', reason })
  }

  compared(comparison: Comparison, at: number, { head }: Prepared, redaction: Redaction): void {
    const verdicts = this.#judged()
    const noise = new Set([...verdicts].flatMap(([field, verdict]) => (verdict === 'noise' ? [field] : [])))
    this.#counter.compared(comparison, this.#wallTime(), noise)
    if (comparison.kind === 'uncomparable') return
    for (const difference of comparison.differences) {
      const field: Field = `${difference.kind} ${difference.path}`
      const isKnown = this.#examples.some((example) => example.field === field)
      if (isKnown || this.#examples.length >= EXAMPLES_OF_ROUTE) continue
      const { legacy, service } = redact(difference, redaction)
      const pattern = patternIn(this.#before.route)
      const target = maskRequestTarget(head.path, head.query, redaction, pattern)
      this.#examples.push({ field, at, method: head.method, target, legacy, service })
    }
  }

  paired(comparison: Comparison): void {
    this.#counter.paired(comparison, this.#wallTime())
  }

  #counts(): Counts {
    return mergeCounts(this.#before.counts, this.#counter.counts())
  }

  /** Judging is work, and the verdicts of thousands of comparisons do not change by one more. */
  #judged(): FieldVerdicts {
    const counts = this.#counts()
    const seen = comparisonsIn(counts) + counts.pairs
    if (seen >= this.#judgeAt) {
      this.#verdicts = judgeFields(counts)
      this.#judgeAt = seen * 1.02 + 1
    }
    return this.#verdicts
  }
}

/** All of them are written before each request. */
const EXAMPLES_OF_ROUTE = 40

export function sumOf(routes: readonly RouteProgress[]): ReplayTotals {
  const byRoute = routes.map((route) => {
    const verdicts = judgeFields(route.counts)
    return { ...route, verdicts, accounting: account(route.counts, verdicts) }
  })
  return { accounting: addUp(byRoute.map(({ accounting }) => accounting)), byRoute }
}

export function addUp(all: readonly Accounting[]): Accounting {
  return all.reduce(addAccounts, account(NO_COUNTS, new Map()))
}
