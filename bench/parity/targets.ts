// What telling noise from fault has to reach, in each family by itself.
import { FAMILY_NAMES, type FamilyName } from './families.ts'
import { faultsIn } from './faults.ts'
import { type Figures, figuresOf } from './figures.ts'
import type { SeedResult } from './study.ts'

/** By family, and there by seed. */
export type Results = Readonly<Partial<Record<FamilyName, readonly SeedResult[]>>>

export type TargetVerdict = {
  readonly target: string
  readonly limit: string
  readonly measured: string
  readonly verdict: 'PASS' | 'FAIL'
}

const FOUND_SHARE = 0.95
const FALSE_FIELDS = 1
const SOON = 60

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
      what: `${name}, ${fault.name} in 1 %: seeds in which it is reported within 3,000`,
      limit: `at least ${FOUND_SHARE * 100} %`,
      measured: `${Math.round(figures.foundWithin * 100)} %`,
      verdictOf: word(figures.foundWithin >= FOUND_SHARE),
    }))
  const slowest = Math.max(...faults.filter(({ fault }) => fault.percent === 100).map(({ figures }) => figures.p95))
  const runs = [
    figuresOf(
      seeds.map(({ faultless }) => faultless),
      'gateway',
    ),
    ...faults.map(({ figures }) => figures),
  ]
  const most = Math.max(...runs.map(({ falseFields }) => (falseFields / seeds.length) * 20))
  return [
    ...reported,
    {
      target: `${name}, in every answer: requests until the slowest of them is reported, p95`,
      limit: `at most ${SOON}`,
      measured: `${slowest}`,
      verdict: word(slowest <= SOON),
    },
    {
      target: `${name}: false fields in 20 seeds, without a fault or with any one`,
      limit: `at most ${FALSE_FIELDS}`,
      measured: `${most}`,
      verdict: word(most <= FALSE_FIELDS),
    },
  ]
}

function gatewayOn(seeds: readonly SeedResult[], fault: number): Figures {
  return figuresOf(
    seeds.map(({ faults }) => faults[fault]!),
    'gateway',
  )
}

function word(isReached: boolean): TargetVerdict['verdict'] {
  return isReached ? 'PASS' : 'FAIL'
}
