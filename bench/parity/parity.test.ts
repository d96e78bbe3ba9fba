import { describe, expect, test } from 'vitest'
import { compareAnswers } from '../../src/shadow/compare/compare-answers.ts'
import { answerIn, FAMILY_NAMES } from './families.ts'
import { faultsIn, isCausedBy } from './faults.ts'
import { figuresOf } from './figures.ts'
import { NOISE } from './noise.ts'
import { seeded } from './random.ts'
import { answersTo, exchangeOf } from './recording.ts'
import { exceeds, fieldsIn } from './reporters.ts'
import { requestOf, rightPage } from './shop.ts'
import { type ReporterResult, type RunResult, type SeedResult, studySeed } from './study.ts'
import { judgeTargets } from './targets.ts'

describe.each(FAMILY_NAMES)('a recording of the %s service', (family) => {
  const bodies = (seed: number) =>
    Array.from({ length: 50 }, (_, number) => {
      const { legacy, service, legacyAgain } = answersTo(family, seed, number)
      return [legacy(), service(), legacyAgain()].map(({ body }) => Buffer.from(body).toString())
    })

  test('is the same for the same seed, and different for another seed', () => {
    expect(bodies(1)).toEqual(bodies(1))
    expect(bodies(2)).not.toEqual(bodies(1))
  })

  test('differs from itself only in the fields of its noise', () => {
    const noiseFields = new Set<string>(NOISE.flatMap(({ shows }) => shows[family]))
    const seen = Array.from({ length: 500 }, (_, number) => exchangeOf(family, 1, number)).flatMap(
      ({ sides, self }) => [...fieldsIn(sides(undefined)), ...fieldsIn(self())],
    )
    expect(seen.filter((field) => !noiseFields.has(field))).toEqual([])
  })

  test.each(NOISE)('shows the noise "$name" in its fields', ({ apply, shows }) => {
    const random = seeded(1)
    const right = rightPage(requestOf(1, random))
    const missed = new Set<string>(shows[family])
    for (let i = 0; missed.size > 0 && i < 10_000; i++) {
      const [first, second] = [apply(right, random, i * 1000), apply(right, random, i * 1000 + 1500)]
      if (JSON.stringify(first) === JSON.stringify(second)) continue
      for (const field of fieldsIn(compareAnswers(answerIn(family, first), answerIn(family, second))))
        missed.delete(field)
    }
    expect([...missed]).toEqual([])
  })

  test.each(faultsIn(family))('shows the fault "$name" in its field, in about $percent % of the responses', (fault) => {
    const affected = Array.from({ length: 5000 }, (_, number) => number).filter(
      (number) => answersTo(family, 1, number).wrong(fault) !== undefined,
    )
    expect((affected.length / 5000) * 100).toBeGreaterThan(fault.percent / 3)
    expect((affected.length / 5000) * 100).toBeLessThan(Math.min(101, fault.percent * 3))
    const seen = affected.slice(0, 20).flatMap((number) => fieldsIn(exchangeOf(family, 1, number).sides(fault)))
    expect(seen).toContain(fault.shows[family])
    const noise = new Set<string>(NOISE.flatMap(({ shows }) => shows[family]))
    expect(seen.filter((field) => !noise.has(field) && !isCausedBy(fault, family, field))).toEqual([])
  })

  test('gives the same results in two studies: faults in each response are reported, and nothing else is', () => {
    const result = studySeed(family, 1, 100)
    expect(studySeed(family, 1, 100)).toEqual(result)
    const gatewayResults = result.faults.map(({ gateway }) => gateway)
    const isInEach = faultsIn(family).map(({ percent }) => percent === 100)
    expect(gatewayResults.map(({ reportedAt }) => reportedAt !== undefined)).toEqual(isInEach)
    expect([result.faultless.gateway, ...gatewayResults].every(({ falseFields }) => falseFields === 0)).toBe(true)
  })
})

function runOf(result: Partial<ReporterResult>): RunResult {
  const whole: ReporterResult = {
    ...{ reportedAt: undefined, falseFields: 0, falseInTheEnd: 0, falseReports: 0, comparisons: 1000, pairs: 100 },
    ...result,
  }
  return { gateway: whole, inequality: whole, diffy: whole }
}

test('a fault that was not reported in one seed counts as reported after all others', () => {
  const requests = [40, undefined, 20, 4000]
  const runs = requests.map((reportedAt) => runOf({ reportedAt, falseFields: 1, falseReports: 2 }))
  expect(figuresOf(runs, 'gateway')).toEqual({
    seeds: 4,
    median: 40,
    p95: Number.POSITIVE_INFINITY,
    reported: 0.75,
    reportedInTime: 0.5,
    falseFields: 4,
    falseInTheEnd: 0,
    falseReports: 20,
    pairShare: 0.1,
  })
})

test('the study fails if a fault is not reported in time in two of twenty seeds, or with two false fields', () => {
  const seeds = (reportedAt: number | undefined, falseFields: number) =>
    Array.from({ length: 20 }, (): SeedResult => {
      const run = runOf({ reportedAt, falseFields })
      return { faultless: run, faults: faultsIn('json').map(() => run) }
    })
  const verdictsOf = (results: readonly SeedResult[]) => judgeTargets({ json: results }).map(({ verdict }) => verdict)
  const [good, late, wrong] = [seeds(60, 0), seeds(3001, 0), seeds(60, 1)]
  expect(verdictsOf(good)).toEqual(['PASS', 'PASS', 'PASS', 'PASS'])
  expect(verdictsOf([...good.slice(1), late[0]!])).toEqual(['PASS', 'PASS', 'PASS', 'PASS'])
  expect(verdictsOf([...good.slice(2), ...late.slice(0, 2)])).toEqual(['FAIL', 'FAIL', 'FAIL', 'PASS'])
  expect(verdictsOf([...good.slice(1), wrong[0]!])).toEqual(['PASS', 'PASS', 'PASS', 'PASS'])
  expect(verdictsOf([...good.slice(2), ...wrong.slice(0, 2)])).toEqual(['PASS', 'PASS', 'PASS', 'FAIL'])
})

test.each([
  ['reports a field that differs clearly more often between the sides', [30, 0, 3000], true],
  ['does not report a field that differs less often between the sides', [0, 30, 3000], false],
  ['does not report a field at a surplus of exactly 20 % of both counts', [60, 40, 3000], false],
  ['reports a field at a surplus of more than 20 % of both counts', [61, 40, 3000], true],
  ['does not report a field at a surplus of exactly 0.03 % of all requests', [3, 0, 10_000], false],
] as const)("Diffy's rule %s", (_, [raw, noise, total], isReported) => {
  expect(exceeds(raw, noise, total)).toBe(isReported)
})
