// One seed of one family: the service without a fault, and with each fault by itself, all on the same recording and
// each under the eyes of all reporters.
import type { Comparison, Field } from '../../src/model/comparison.ts'
import type { FamilyName } from './families.ts'
import { type Fault, faultsIn, isCausedBy } from './faults.ts'
import { seeded } from './random.ts'
import { exchangeOf } from './recording.ts'
import { REPORTER_NAMES, REPORTERS, type Reporter, type ReporterName, fieldsIn } from './reporters.ts'

/** What one reporter said in one run. Requests are counted from 1. */
export type ReporterResult = {
  /** Undefined where the fault was not reported. */
  readonly reportedAt: number | undefined
  /** Fields that were ever reported and are not the fault's. */
  readonly falseFields: number
  /** Those that still were in the end. */
  readonly falseInTheEnd: number
  /** Comparisons in which a field differed that was wrongly reported at the time. */
  readonly falseReports: number
  readonly comparisons: number
  readonly pairs: number
}

export type RunResult = Readonly<Record<ReporterName, ReporterResult>>

/** By fault, in the order of `faultsIn`; `faultless` is the run without any. */
export type SeedResult = { readonly faultless: RunResult; readonly faults: readonly RunResult[] }

export const MAX_REQUESTS = 3000

/**
 * How many requests a run has. What is in every answer is known long before five hundred. What is in one of a thousand
 * takes more than is asked for within 3,000, and as it is counted in the same way in both families, it is waited for
 * in the one that is quicker to compare.
 */
export function horizonOf(family: FamilyName, fault: Fault | undefined): number {
  if (fault === undefined) return family === 'json' ? 10_000 : 5000
  if (fault.percent === 100) return 500
  return fault.percent < 1 && family === 'json' ? 30_000 : MAX_REQUESTS
}

/** @param most requests of any run, for a look that is quick */
export function studySeed(family: FamilyName, seed: number, most: number = Number.POSITIVE_INFINITY): SeedResult {
  const faultless = startRun(family, undefined, seed, 0)
  const faulty = faultsIn(family).map((fault, i) => startRun(family, fault, seed, i + 1))
  let open = [faultless, ...faulty]
  for (let number = 1; open.length > 0 && number <= most; number++) {
    const { sides, self } = exchangeOf(family, seed, number)
    for (const run of open) run.see(number, sides(run.fault), self)
    open = open.filter((run) => !run.isOver(number))
  }
  return { faultless: faultless.result(), faults: faulty.map((run) => run.result()) }
}

function startRun(family: FamilyName, fault: Fault | undefined, seed: number, index: number) {
  const isRight = (field: Field): boolean => fault !== undefined && isCausedBy(fault, family, field)
  const watches = REPORTER_NAMES.map((name, i) => {
    const reporter = REPORTERS[name](seeded(seed, index, PAIRS + i))
    return { name, watch: startWatch(reporter, isRight) }
  })
  const gatewayWatch = watches[0]!.watch
  return {
    fault,
    see: (number: number, sides: Comparison, self: () => Comparison): void => {
      // The others are asked what they say within 3,000; what Diffy needs beyond is a second answer for each request.
      for (const { name, watch } of watches) if (name === 'gateway' || number <= MAX_REQUESTS) watch.see(number, sides, self)
    },
    /** Nothing more is learned of a rare fault after it was found. */
    isOver: (number: number): boolean =>
      number >= horizonOf(family, fault) ||
      (fault !== undefined && number >= MAX_REQUESTS && gatewayWatch.said().reportedAt !== undefined),
    result: () => Object.fromEntries(watches.map(({ name, watch }) => [name, watch.said()])) as RunResult,
  }
}

/** Takes down what a reporter says while it looks at one run. */
function startWatch(reporter: Reporter, isRight: (field: Field) => boolean) {
  let lastReported: ReadonlySet<Field> | undefined
  let size = 0
  let wrong: ReadonlySet<Field> = new Set()
  const everWrong = new Set<Field>()
  let foundAt: number | undefined
  let falseReports = 0
  let comparisons = 0
  const observe = (number: number): void => {
    const reported = reporter.reported()
    if (reported === lastReported && reported.size === size) return
    lastReported = reported
    size = reported.size
    wrong = new Set([...reported].filter((field) => !isRight(field)))
    for (const field of wrong) everWrong.add(field)
    if (reported.size > wrong.size) foundAt ??= number
  }
  return {
    see: (number: number, sides: Comparison, self: () => Comparison): void => {
      comparisons++
      reporter.observe(number, sides, self)
      observe(number)
      if (wrong.size > 0 && fieldsIn(sides).some((field) => wrong.has(field))) falseReports++
    },
    said: (): ReporterResult => ({
      reportedAt: foundAt,
      falseFields: everWrong.size,
      falseInTheEnd: wrong.size,
      falseReports,
      comparisons,
      pairs: reporter.pairs(),
    }),
  }
}

const PAIRS = 20
