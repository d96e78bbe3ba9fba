import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { Comparison, Difference, Field } from '../../model/comparison.ts'
import { type Counts, NO_COUNTS } from '../../model/comparison-counts.ts'
import { mergeCounts } from '../../model/merge-counts.ts'
import { seeded } from '../compare/compare.test-kit.ts'
import { DEFAULT_NOISE, judgeFields, pairShareNow, verdictOf } from './noise.ts'
import { accountingOf, parityOf } from './parity.ts'
import { DEFAULT_CAPS, RouteCounter } from './route-counter.ts'

const NO_NOISE: ReadonlySet<Field> = new Set()

const made = new Map<string, Difference>()

function differenceAt(path: string): Difference {
  const existing = made.get(path) ?? { kind: 'value', path, legacy: 'a', service: 'b', times: 1 }
  if (made.size < 100) made.set(path, existing)
  return existing
}

function differing(paths: readonly string[]): Comparison {
  const differences = paths.map(differenceAt)
  return { kind: 'compared', differences, more: false, forgiven: 0 }
}

/** Counts with one field. */
function counts(sides: number, comparisons: number, self: number, pairs: number): Counts {
  const fields = { 'value $.a': { sides, self, firstSeen: 0, lastSeen: 0 } }
  return { ...NO_COUNTS, matched: comparisons - sides, differing: { 'value $.a': sides }, pairs, fields } as Counts
}

describe('the verdict on a field', () => {
  test.each<[string, [number, number, number, number], string]>([
    ['is real after 30 comparisons if the service is always wrong and legacy never', [30, 30, 0, 30], 'real'],
    ['is inconclusive before there are enough comparisons', [29, 29, 0, 29], 'inconclusive'],
    ['is inconclusive without enough pairs, however often the service is wrong', [500, 500, 0, 10], 'inconclusive'],
    ['is noise for a timestamp', [1000, 1000, 300, 300], 'noise'],
    ['is noise for a rotating banner', [480, 1000, 160, 300], 'noise'],
    ['is real for a banner that differs more often between the sides', [800, 1000, 160, 300], 'real'],
    [
      'is noise if the sides differ only slightly more often than legacy, however certain that is',
      [505_000, 1e6, 500_000, 1e6],
      'noise',
    ],
    ['is real for a fault in one of a hundred responses', [30, 3000, 0, 1500], 'real'],
    [
      'is inconclusive for such a fault with few pairs, because legacy might differ as often',
      [30, 3000, 0, 100],
      'inconclusive',
    ],
    ['is noise if legacy differs as often', [30, 3000, 15, 1500], 'noise'],
    ['is noise if only legacy differs from itself', [0, 3000, 100, 1500], 'noise'],
    ['is inconclusive for one or two differences', [1, 1000, 1, 500], 'inconclusive'],
  ])('%s', (_, [sides, comparisons, self, pairs], verdict) => {
    expect(judgeFields(counts(sides, comparisons, self, pairs)).get('value $.a')).toBe(verdict)
  })

  test('follows the ruling of an operator', () => {
    expect(judgeFields(counts(30, 30, 0, 30), { 'value $.a': 'noise' }).get('value $.a')).toBe('noise')
    expect(judgeFields(counts(0, 3, 1, 1), { 'value $.a': 'real' }).get('value $.a')).toBe('real')
  })

  test('decides the pair share: legacy is asked twice for each request only while a field is inconclusive, up to a limit', () => {
    const share = (of: Counts) => pairShareNow(of, judgeFields(of))
    expect(share(NO_COUNTS)).toBe(DEFAULT_NOISE.pairShare)
    expect(share(counts(1, 1000, 0, 100))).toBe(1)
    expect(share(counts(1000, 1000, 300, 300))).toBe(DEFAULT_NOISE.pairShare)
    expect(share(counts(1, 1e6, 0, 20_000))).toBe(DEFAULT_NOISE.pairShare)
  })

  test('decides the comparison: one real field makes it a mismatch, one inconclusive field makes it inconclusive', () => {
    const verdicts = new Map([
      ['value $.a', 'real'],
      ['value $.b', 'noise'],
      ['value $.c', 'inconclusive'],
    ] as const)
    expect(verdictOf(['value $.b', 'value $.a', 'value $.c'], verdicts)).toBe('mismatch')
    expect(verdictOf(['value $.b', 'value $.c'], verdicts)).toBe('inconclusive')
    expect(verdictOf(['value $.b', 'value $.new'], verdicts)).toBe('inconclusive')
    expect(verdictOf(['value $.b'], verdicts)).toBe('noise')
  })
})

describe('a seeded study of noise', () => {
  /** Simulates requests with noisy fields of rates from 1 % to 100 %, and judges the counts after every hundred. */
  function study(seed: number, { faultRate = 0, noisyFields = 0, requests = 3000 }) {
    const random = seeded(seed)
    const counter = new RouteCounter()
    const rates = Array.from({ length: noisyFields }, (_, i) => [0.01, 0.05, 0.1, 0.3, 0.5, 0.9, 1][i % 7]!)
    const names = rates.map((_, i) => `$.noise${String.fromCharCode(97 + i)}`)
    const noise = () => names.filter((_, i) => random() < rates[i]!)
    const everReal = new Set<Field>()
    let pairShare = DEFAULT_NOISE.pairShare
    let reportedAt: number | undefined
    for (let request = 1; request <= requests; request++) {
      const fault = random() < faultRate ? ['$.price'] : []
      counter.recordComparison(differing([...noise(), ...fault]), request, NO_NOISE)
      if (random() < pairShare) counter.recordPair(differing(noise()), request)
      if (request % 100 > 0) continue
      const counts = counter.counts()
      const verdicts = judgeFields(counts)
      pairShare = pairShareNow(counts, verdicts)
      for (const [field, verdict] of verdicts) if (verdict === 'real') everReal.add(field)
      if (reportedAt === undefined && everReal.has('value $.price')) reportedAt = request
    }
    everReal.delete('value $.price')
    return { found: reportedAt, falseReal: everReal.size }
  }

  test('calls a fault in one of a hundred responses real within 3,000 comparisons, in 38 of 40 seeds', () => {
    const seeds = Array.from({ length: 40 }, (_, seed) => study(seed + 1, { faultRate: 0.01 }))
    expect(seeds.filter(({ found: reportedAt }) => reportedAt !== undefined).length).toBeGreaterThanOrEqual(38)
  })

  test('calls at most one of thirty noisy fields real in twenty seeds, although it judges repeatedly', () => {
    const seeds = Array.from({ length: 20 }, (_, seed) => study(seed + 101, { noisyFields: 30 }))
    expect(seeds.reduce((sum, { falseReal }) => sum + falseReal, 0)).toBeLessThanOrEqual(1)
  })

  test('finds the fault among noise', () => {
    const seeds = Array.from({ length: 10 }, (_, seed) => study(seed + 201, { noisyFields: 10, faultRate: 0.01 }))
    expect(seeds.filter(({ found: reportedAt }) => reportedAt !== undefined).length).toBeGreaterThanOrEqual(9)
  })
})

describe('the counter of a route', () => {
  type Event =
    | { readonly is: 'compared' | 'paired'; readonly paths: readonly string[]; readonly at: number }
    | { readonly is: 'uncomparable' | 'forgiven' | 'shed' | 'failed' }
  const path = fc.constantFrom('$.a', '$.b', '$.c', '$.__proto__')
  const event: fc.Arbitrary<Event> = fc.oneof(
    fc.record({
      is: fc.constantFrom('compared', 'paired'),
      paths: fc.uniqueArray(path),
      at: fc.nat({ max: 1000 }),
    }),
    fc.record({ is: fc.constantFrom('uncomparable', 'forgiven', 'shed', 'failed') }),
  )
  const events = fc.array(event, { maxLength: 30 })

  function countAll(events: readonly Event[]): Counts {
    const counter = new RouteCounter()
    for (const event of events) {
      if (event.is === 'compared') counter.recordComparison(differing(event.paths), event.at, NO_NOISE)
      else if (event.is === 'paired') counter.recordPair(differing(event.paths), event.at)
      else if (event.is === 'shed') counter.recordUncompared({ outcome: 'shed', reason: 'queue' })
      else if (event.is === 'failed') counter.recordUncompared({ outcome: 'failed', reason: 'connection-lost' })
      else if (event.is === 'forgiven')
        counter.recordComparison({ ...differing([]), forgiven: 1 } as Comparison, 0, NO_NOISE)
      else counter.recordComparison({ kind: 'uncomparable', reason: 'bomb' }, 0, NO_NOISE)
    }
    return counter.counts()
  }
  /** The value after a round trip through a store. */
  const throughJson = (value: unknown) => JSON.parse(JSON.stringify(value))
  const sorted = (value: unknown): unknown =>
    typeof value !== 'object' || value === null
      ? value
      : Object.entries(value)
          .sort(([a], [b]) => (a < b ? -1 : 1))
          .map(([key, member]) => [key, sorted(member)])

  test('counts each eligible request once, so that the parts add up', () => {
    fc.assert(
      fc.property(events, (recorded) => {
        const total = countAll(recorded)
        const { eligible, ...parts } = accountingOf(total, judgeFields(total))
        expect(eligible).toBe(recorded.filter(({ is }) => is !== 'paired').length)
        expect(Object.values(parts).reduce((sum, part) => sum + part, 0)).toBe(eligible)
      }),
    )
  })

  test('gives the same counts apart and merged as together, in any order', () => {
    fc.assert(
      fc.property(events, events, events, (first, two, three) => {
        const [a, b, c] = [countAll(first), countAll(two), throughJson(countAll(three)) as Counts]
        const together = sorted(throughJson(countAll([...first, ...two, ...three])))
        expect(sorted(throughJson(mergeCounts(mergeCounts(a, b), c)))).toEqual(together)
        expect(sorted(throughJson(mergeCounts(c, mergeCounts(b, a))))).toEqual(together)
        expect(sorted(throughJson(mergeCounts(a, NO_COUNTS)))).toEqual(sorted(throughJson(a)))
      }),
    )
  })

  test('lets later evidence change the verdict on earlier comparisons', () => {
    const early = counts(20, 20, 20, 20)
    expect(accountingOf(early, judgeFields(early))).toMatchObject({ inconclusive: 20, noise: 0 })
    const later = mergeCounts(early, counts(20, 20, 20, 20))
    expect(accountingOf(later, judgeFields(later))).toMatchObject({ inconclusive: 0, noise: 40 })
  })

  test('leaves fields that are known as noise out of signatures', () => {
    const counter = new RouteCounter()
    counter.recordComparison(differing(['$.a', '$.b']), 0, new Set<Field>(['value $.a']))
    counter.recordComparison(differing(['$.a']), 0, new Set<Field>(['value $.a']))
    expect({ ...counter.counts().differing }).toEqual({ 'value $.b': 1, '': 1 })
    expect(accountingOf(counter.counts(), new Map())).toMatchObject({ noise: 1, inconclusive: 1 })
  })

  test('bounds its memory for a hundred thousand different fields, and counts them', () => {
    const counter = new RouteCounter()
    for (let i = 0; i < 100_000; i++) counter.recordComparison(differing([`$.k${i}`]), i, NO_NOISE)
    const { fields, differing: signatures, fieldsLeftOut } = counter.counts()
    expect(Object.keys(fields)).toHaveLength(DEFAULT_CAPS.fields)
    expect(Object.keys(signatures)).toHaveLength(DEFAULT_CAPS.signatures + 1)
    expect(fieldsLeftOut).toBe(100_000 - DEFAULT_CAPS.fields)
    expect(accountingOf(counter.counts(), new Map()).eligible).toBe(100_000)
  })

  test('returns counts that later counting does not change', () => {
    const counter = new RouteCounter()
    counter.recordComparison(differing(['$.a']), 1, NO_NOISE)
    const snapshot = throughJson(counter.counts())
    const given = counter.counts()
    counter.recordComparison(differing(['$.a']), 9, NO_NOISE)
    expect(throughJson(given)).toEqual(snapshot)
  })
})

describe('parity', () => {
  const none = {
    eligible: 0,
    matched: 0,
    mismatched: 0,
    noise: 0,
    inconclusive: 0,
    ignored: 0,
    uncomparable: 0,
    shed: 0,
    failed: 0,
  }

  test('is unknown without comparisons', () => {
    expect(parityOf(none, 0.999)).toEqual({
      conclusive: 0,
      inconclusive: 0,
      matching: undefined,
      atLeast: 0,
      untilTarget: 3838,
    })
  })

  test('counts noise and forgiven differences as matches, and inconclusive ones against the lower bound', () => {
    const parity = parityOf({ ...none, matched: 900, noise: 50, ignored: 40, mismatched: 10, inconclusive: 100 }, 0.999)
    expect(parity.matching?.share).toBe(0.99)
    expect(parity.atLeast).toBeLessThan(parity.matching!.lower)
    expect(parity.untilTarget).toBeGreaterThan(3838)
  })
})

test('the defaults of noise are those of ADR 0008', () => {
  expect(DEFAULT_NOISE).toMatchObject({ alpha: 0.02, odds: 1.2, minComparisons: 30, minPairs: 30, minSelf: 3 })
})
