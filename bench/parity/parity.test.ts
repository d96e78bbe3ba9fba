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
import { type RunResult, type ReporterResult, type SeedResult, studySeed } from './study.ts'
import { judgeTargets } from './targets.ts'

describe.each(FAMILY_NAMES)('a recording of the %s service', (family) => {
  const bodies = (seed: number) =>
    Array.from({ length: 50 }, (_, number) => {
      const { legacy, service, legacyAgain } = answersTo(family, seed, number)
      return [legacy(), service(), legacyAgain()].map(({ body }) => Buffer.from(body).toString())
    })

  test('is the same for the same seed, and another for another', () => {
    expect(bodies(1)).toEqual(bodies(1))
    expect(bodies(2)).not.toEqual(bodies(1))
  })

  test('differs by nothing but its noise', () => {
    const known = new Set<string>(NOISE.flatMap(({ shows }) => shows[family]))
    const seen = Array.from({ length: 500 }, (_, number) => exchangeOf(family, 1, number)).flatMap(
      ({ sides, self }) => [...fieldsIn(sides(undefined)), ...fieldsIn(self())],
    )
    expect(seen.filter((field) => !known.has(field))).toEqual([])
  })

  test.each(NOISE)('$name is seen where it is said to be', ({ apply: stir, shows }) => {
    const random = seeded(1)
    const right = rightPage(requestOf(1, random))
    const missed = new Set<string>(shows[family])
    for (let i = 0; missed.size > 0 && i < 10_000; i++) {
      const [one, other] = [stir(right, random, i * 1000), stir(right, random, i * 1000 + 1500)]
      if (JSON.stringify(one) === JSON.stringify(other)) continue
      for (const field of fieldsIn(compareAnswers(answerIn(family, one), answerIn(family, other)))) missed.delete(field)
    }
    expect([...missed]).toEqual([])
  })

  test.each(faultsIn(family))('$name ($percent %) is seen where it is said to be, and as often', (fault) => {
    const bitten = Array.from({ length: 5000 }, (_, number) => number).filter(
      (number) => answersTo(family, 1, number).wrong(fault) !== undefined,
    )
    expect((bitten.length / 5000) * 100).toBeGreaterThan(fault.percent / 3)
    expect((bitten.length / 5000) * 100).toBeLessThan(Math.min(101, fault.percent * 3))
    const seen = bitten.slice(0, 20).flatMap((number) => fieldsIn(exchangeOf(family, 1, number).sides(fault)))
    expect(seen).toContain(fault.shows[family])
    const noise = new Set<string>(NOISE.flatMap(({ shows }) => shows[family]))
    expect(seen.filter((field) => !noise.has(field) && !isCausedBy(fault, family, field))).toEqual([])
  })

  test('studied twice, it says the same: what is in every answer is reported, and nothing else', () => {
    const once = studySeed(family, 1, 100)
    expect(studySeed(family, 1, 100)).toEqual(once)
    const said = once.faults.map(({ gateway }) => gateway)
    const isEvery = faultsIn(family).map(({ percent }) => percent === 100)
    expect(said.map(({ reportedAt: foundAt }) => foundAt !== undefined)).toEqual(isEvery)
    expect([once.faultless.gateway, ...said].every(({ falseFields }) => falseFields === 0)).toBe(true)
  })
})

test('the figures of several seeds: a fault that was not found in one is found later than any', () => {
  const said = (foundAt: number | undefined): RunResult => {
    const one: ReporterResult = { reportedAt: foundAt, falseFields: 1, falseInTheEnd: 0, falseReports: 2, comparisons: 1000, pairs: 100 }
    return { gateway: one, inequality: one, diffy: one }
  }
  const of = (all: readonly (number | undefined)[]) => figuresOf(all.map(said), 'gateway')
  expect(of([40, undefined, 20, 4000])).toEqual({
    seeds: 4,
    median: 40,
    p95: Number.POSITIVE_INFINITY,
    found: 0.75,
    foundWithin: 0.5,
    falseFields: 4,
    falseInTheEnd: 0,
    falseReports: 20,
    pairShare: 0.1,
  })
})

test('a fault that is not found, or a field too many, fails the study', () => {
  const said = (foundAt: number | undefined, falseFields: number): RunResult => {
    const one: ReporterResult = { reportedAt: foundAt, falseFields, falseInTheEnd: 0, falseReports: 0, comparisons: 1000, pairs: 100 }
    return { gateway: one, inequality: one, diffy: one }
  }
  const seeds = (foundAt: number | undefined, falseFields: number) =>
    Array.from({ length: 20 }, (): SeedResult => {
      const result = said(foundAt, falseFields)
      return { faultless: result, faults: faultsIn('json').map(() => result) }
    })
  const words = (all: readonly SeedResult[]) => judgeTargets({ json: all }).map(({ verdict: word }) => word)
  const [good, late, wrong] = [seeds(60, 0), seeds(3001, 0), seeds(60, 1)]
  expect(words(good)).toEqual(['PASS', 'PASS', 'PASS', 'PASS'])
  expect(words([...good.slice(1), late[0]!])).toEqual(['PASS', 'PASS', 'PASS', 'PASS'])
  expect(words([...good.slice(2), ...late.slice(0, 2)])).toEqual(['FAIL', 'FAIL', 'FAIL', 'PASS'])
  expect(words([...good.slice(1), wrong[0]!])).toEqual(['PASS', 'PASS', 'PASS', 'PASS'])
  expect(words([...good.slice(2), ...wrong.slice(0, 2)])).toEqual(['PASS', 'PASS', 'PASS', 'FAIL'])
})

test.each([
  ['more between the sides than within legacy, clearly', [30, 0, 3000], true],
  ['less', [0, 30, 3000], false],
  ['by 20 % of both and no more', [60, 40, 3000], false],
  ['by a little more', [61, 40, 3000], true],
  ['by 0.03 % of all and no more', [3, 0, 10_000], false],
] as const)('Diffy’s rule: %s', (_, [raw, noise, total], isReported) => {
  expect(exceeds(raw, noise, total)).toBe(isReported)
})
