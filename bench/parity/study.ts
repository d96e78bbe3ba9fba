// Studies one seed of one family: the service without a fault, and with each fault alone. All runs use the same recording, and all
// reporters observe each run.
import type { Comparison, Field } from '../../src/model/comparison.ts'
import type { FamilyName } from './families.ts'
import { type Fault, faultsIn, isCausedBy } from './faults.ts'
import { seeded } from './random.ts'
import { exchangeOf } from './recording.ts'
import { fieldsIn, REPORTER_NAMES, REPORTERS, type Reporter, type ReporterName } from './reporters.ts'

/** The result of one reporter in one run. Requests are counted from 1. */
export type ReporterResult = {
  /** The request at which the fault was reported; undefined if it was not. */
  readonly reportedAt: number | undefined
  /** Fields that were reported at any time and do not belong to the fault. */
  readonly falseFields: number
  /** Those that were still reported in the end. */
  readonly falseInTheEnd: number
  /** Comparisons that differ in a field that was wrongly reported at the time. */
  readonly falseReports: number
  readonly comparisons: number
  readonly pairs: number
}

export type RunResult = Readonly<Record<ReporterName, ReporterResult>>

/** `faults` are in the order of `faultsIn`; `faultless` is the run without a fault. */
export type SeedResult = { readonly faultless: RunResult; readonly faults: readonly RunResult[] }

/** The requests within which a fault is to be reported. */
export const MAX_REQUESTS = 3000

/**
 * The number of requests of a run. A fault in each response is reported long before 500. A fault in one of a thousand responses needs
 * more than `MAX_REQUESTS`. Both families count it in the same way, so only the family that is faster to compare waits for it.
 */
export function horizonOf(family: FamilyName, fault: Fault | undefined): number {
  if (fault === undefined) return family === 'json' ? 10_000 : 5000
  if (fault.percent === 100) return 500
  return fault.percent < 1 && family === 'json' ? 30_000 : MAX_REQUESTS
}

/** @param maxRequests a limit for each run, for a short study */
export function studySeed(
  family: FamilyName,
  seed: number,
  maxRequests: number = Number.POSITIVE_INFINITY,
): SeedResult {
  const faultless = new StudyRun(family, undefined, seed, 0)
  const faulty = faultsIn(family).map((fault, i) => new StudyRun(family, fault, seed, i + 1))
  let running = [faultless, ...faulty]
  for (let number = 1; running.length > 0 && number <= maxRequests; number++) {
    const { sides, self } = exchangeOf(family, seed, number)
    for (const run of running) run.observe(number, sides(run.fault), self)
    running = running.filter((run) => !run.isOver(number))
  }
  return { faultless: faultless.result(), faults: faulty.map((run) => run.result()) }
}

class StudyRun {
  readonly fault: Fault | undefined
  readonly #horizon: number
  readonly #scores: readonly { readonly name: ReporterName; readonly score: ReporterScore }[]

  constructor(family: FamilyName, fault: Fault | undefined, seed: number, index: number) {
    this.fault = fault
    this.#horizon = horizonOf(family, fault)
    const isTrue = (field: Field): boolean => fault !== undefined && isCausedBy(fault, family, field)
    this.#scores = REPORTER_NAMES.map((name, i) => {
      const reporter = REPORTERS[name](seeded(seed, index, REPORTER_SEED + i))
      return { name, score: new ReporterScore(reporter, isTrue) }
    })
  }

  /** The other reporters observe `MAX_REQUESTS` only: Diffy needs a second response of legacy for each request. */
  observe(number: number, sides: Comparison, self: () => Comparison): void {
    for (const { name, score } of this.#scores) {
      if (name === 'gateway' || number <= MAX_REQUESTS) score.observe(number, sides, self)
    }
  }

  /** A run with a rare fault ends after the gateway has reported it. */
  isOver(number: number): boolean {
    if (number >= this.#horizon) return true
    return this.fault !== undefined && number >= MAX_REQUESTS && this.result().gateway.reportedAt !== undefined
  }

  result(): RunResult {
    return Object.fromEntries(this.#scores.map(({ name, score }) => [name, score.result()])) as RunResult
  }
}

/** Compares the fields that a reporter reports with those of the fault. */
class ReporterScore {
  readonly #reporter: Reporter
  readonly #isTrue: (field: Field) => boolean
  #lastReported: ReadonlySet<Field> | undefined
  #lastSize = 0
  #falseFields: ReadonlySet<Field> = new Set()
  readonly #everFalse = new Set<Field>()
  #reportedAt: number | undefined
  #falseReports = 0
  #comparisons = 0

  constructor(reporter: Reporter, isTrue: (field: Field) => boolean) {
    this.#reporter = reporter
    this.#isTrue = isTrue
  }

  observe(number: number, sides: Comparison, self: () => Comparison): void {
    this.#comparisons++
    this.#reporter.observe(number, sides, self)
    this.#readReported(number)
    if (this.#falseFields.size > 0 && fieldsIn(sides).some((field) => this.#falseFields.has(field)))
      this.#falseReports++
  }

  result(): ReporterResult {
    return {
      reportedAt: this.#reportedAt,
      falseFields: this.#everFalse.size,
      falseInTheEnd: this.#falseFields.size,
      falseReports: this.#falseReports,
      comparisons: this.#comparisons,
      pairs: this.#reporter.pairs(),
    }
  }

  #readReported(number: number): void {
    const reported = this.#reporter.reported()
    if (reported === this.#lastReported && reported.size === this.#lastSize) return
    this.#lastReported = reported
    this.#lastSize = reported.size
    this.#falseFields = new Set([...reported].filter((field) => !this.#isTrue(field)))
    for (const field of this.#falseFields) this.#everFalse.add(field)
    if (reported.size > this.#falseFields.size) this.#reportedAt ??= number
  }
}

const REPORTER_SEED = 20
