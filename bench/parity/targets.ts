// The targets of the study, for each family.
import { FAMILY_NAMES, type FamilyName } from './families.ts'
import { faultsIn } from './faults.ts'
import { type Figures, figuresOf } from './figures.ts'
import type { SeedResult } from './study.ts'

/** By family and seed. */
export type Results = Readonly<Partial<Record<FamilyName, readonly SeedResult[]>>>

export type TargetVerdict = {
  readonly target: string
  readonly limit: string
  readonly measured: string
  readonly verdict: 'PASS' | 'FAIL'
}

const MIN_REPORTED_SHARE = 0.95
const MAX_FALSE_FIELDS = 1
const MAX_P95_REQUESTS = 60

export function judgeTargets(results: Results): TargetVerdict[] {
  return FAMILY_NAMES.flatMap((family) => {
    const seeds = results[family]
    return seeds === undefined ? [] : judgeFamily(family, seeds)
  })
}

function judgeFamily(family: FamilyName, seeds: readonly SeedResult[]): TargetVerdict[] {
  const name = family.toUpperCase()
  const faults = faultsIn(family).map((fault, i) => ({ fault, figures: gatewayOn(seeds, i) }))
  const reported = faults
    .filter(({ fault }) => fault.percent === 1 && !fault.isHidden)
    .map(({ fault, figures }) => ({
      target: `${name}, ${fault.name} in 1 %: seeds in which it is reported within 3,000`,
      limit: `at least ${MIN_REPORTED_SHARE * 100} %`,
      measured: `${Math.round(figures.reportedInTime * 100)} %`,
      verdict: verdictOf(figures.reportedInTime >= MIN_REPORTED_SHARE),
    }))
  const slowest = Math.max(...faults.filter(({ fault }) => fault.percent === 100).map(({ figures }) => figures.p95))
  const runs = [
    figuresOf(
      seeds.map(({ faultless }) => faultless),
      'gateway',
    ),
    ...faults.map(({ figures }) => figures),
  ]
  const falseFields = Math.max(...runs.map(({ falseFields }) => (falseFields / seeds.length) * 20))
  return [
    ...reported,
    {
      target: `${name}, in every answer: requests until the slowest of them is reported, p95`,
      limit: `at most ${MAX_P95_REQUESTS}`,
      measured: `${slowest}`,
      verdict: verdictOf(slowest <= MAX_P95_REQUESTS),
    },
    {
      target: `${name}: false fields in 20 seeds, without a fault or with any one`,
      limit: `at most ${MAX_FALSE_FIELDS}`,
      measured: `${falseFields}`,
      verdict: verdictOf(falseFields <= MAX_FALSE_FIELDS),
    },
  ]
}

function gatewayOn(seeds: readonly SeedResult[], fault: number): Figures {
  return figuresOf(
    seeds.map(({ faults }) => faults[fault]!),
    'gateway',
  )
}

function verdictOf(isReached: boolean): TargetVerdict['verdict'] {
  return isReached ? 'PASS' : 'FAIL'
}
