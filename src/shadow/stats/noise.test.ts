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
  const known = made.get(path) ?? { kind: 'value', path, legacy: 'a', service: 'b', times: 1 }
  if (made.size < 100) made.set(path, known)
  return known
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

describe('what a field is', () => {
  test.each<[string, [number, number, number, number], string]>([
    ['always wrong, and legacy never: real at once', [30, 30, 0, 30], 'real'],
    ['nothing is said before there are enough', [29, 29, 0, 29], 'inconclusive'],
    ['nor without pairs, however wrong it is', [500, 500, 0, 10], 'inconclusive'],
    ['a timestamp', [1000, 1000, 300, 300], 'noise'],
    ['a banner', [480, 1000, 160, 300], 'noise'],
    ['a banner that is wrong more often', [800, 1000, 160, 300], 'real'],
    ['a hair more often than legacy is not enough, however sure it is', [505_000, 1e6, 500_000, 1e6], 'noise'],
    ['one in a hundred', [30, 3000, 0, 1500], 'real'],
    ['one in a hundred, with few pairs: legacy might do so too', [30, 3000, 0, 100], 'inconclusive'],
    ['it does so too', [30, 3000, 15, 1500], 'noise'],
    ['legacy alone: the service is steadier', [0, 3000, 100, 1500], 'noise'],
    ['once or twice', [1, 1000, 1, 500], 'inconclusive'],
  ])('%s', (_, [sides, comparisons, self, pairs], verdict) => {
    expect(judgeFields(counts(sides, comparisons, self, pairs)).get('value $.a')).toBe(verdict)
  })

  test('an operator’s ruling is over what the numbers say', () => {
    expect(judgeFields(counts(30, 30, 0, 30), { 'value $.a': 'noise' }).get('value $.a')).toBe('noise')
    expect(judgeFields(counts(0, 3, 1, 1), { 'value $.a': 'real' }).get('value $.a')).toBe('real')
  })

  test('legacy is asked twice for each request only while a field is open, and not for ever', () => {
    const share = (of: Counts) => pairShareNow(of, judgeFields(of))
    expect(share(NO_COUNTS)).toBe(DEFAULT_NOISE.pairShare)
    expect(share(counts(1, 1000, 0, 100))).toBe(1)
    expect(share(counts(1000, 1000, 300, 300))).toBe(DEFAULT_NOISE.pairShare)
    expect(share(counts(1, 1e6, 0, 20_000))).toBe(DEFAULT_NOISE.pairShare)
  })

  test('one real field makes a mismatch; one that is open makes it inconclusive', () => {
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

describe('a seeded study', () => {
  /** Requests with thirty fields of noise, of rates from nearly never to always, looked at after every hundred. */
  function study(seed: number, { faultRate = 0, noisyFields = 0, requests = 3000 }) {
    const random = seeded(seed)
    const counter = new RouteCounter()
    const rates = Array.from({ length: noisyFields }, (_, i) => [0.01, 0.05, 0.1, 0.3, 0.5, 0.9, 1][i % 7]!)
    const names = rates.map((_, i) => `$.noise${String.fromCharCode(97 + i)}`)
    const noise = () => names.filter((_, i) => random() < rates[i]!)
    const everReal = new Set<Field>()
    let pairShare = DEFAULT_NOISE.pairShare
    let found: number | undefined
    for (let request = 1; request <= requests; request++) {
      const fault = random() < faultRate ? ['$.price'] : []
      counter.recordComparison(differing([...noise(), ...fault]), request, NO_NOISE)
      if (random() < pairShare) counter.recordPair(differing(noise()), request)
      if (request % 100 > 0) continue
      const counts = counter.counts()
      const verdicts = judgeFields(counts)
      pairShare = pairShareNow(counts, verdicts)
      for (const [field, verdict] of verdicts) if (verdict === 'real') everReal.add(field)
      if (found === undefined && everReal.has('value $.price')) found = request
    }
    everReal.delete('value $.price')
    return { found, falseReal: everReal.size }
  }

  test('a field wrong in one answer of a hundred is called real within 3,000 comparisons, in 38 of 40 seeds', () => {
    const seeds = Array.from({ length: 40 }, (_, seed) => study(seed + 1, { faultRate: 0.01 }))
    expect(seeds.filter(({ found }) => found !== undefined).length).toBeGreaterThanOrEqual(38)
  })

  test('thirty fields of noise: at most one is ever called real in twenty seeds, however often one looks', () => {
    const seeds = Array.from({ length: 20 }, (_, seed) => study(seed + 101, { noisyFields: 30 }))
    expect(seeds.reduce((sum, { falseReal }) => sum + falseReal, 0)).toBeLessThanOrEqual(1)
  })

  test('the fault is found among the noise too', () => {
    const seeds = Array.from({ length: 10 }, (_, seed) => study(seed + 201, { noisyFields: 10, faultRate: 0.01 }))
    expect(seeds.filter(({ found }) => found !== undefined).length).toBeGreaterThanOrEqual(9)
  })
})

describe('counting', () => {
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

  function countAll(all: readonly Event[]): Counts {
    const counter = new RouteCounter()
    for (const one of all) {
      if (one.is === 'compared') counter.recordComparison(differing(one.paths), one.at, NO_NOISE)
      else if (one.is === 'paired') counter.recordPair(differing(one.paths), one.at)
      else if (one.is === 'shed') counter.recordUncompared({ outcome: 'shed', reason: 'queue' })
      else if (one.is === 'failed') counter.recordUncompared({ outcome: 'failed', reason: 'connection-lost' })
      else if (one.is === 'forgiven')
        counter.recordComparison({ ...differing([]), forgiven: 1 } as Comparison, 0, NO_NOISE)
      else counter.recordComparison({ kind: 'uncomparable', reason: 'bomb' }, 0, NO_NOISE)
    }
    return counter.counts()
  }
  /** As it comes back from a store. */
  const kept = (value: unknown) => JSON.parse(JSON.stringify(value))
  const sorted = (value: unknown): unknown =>
    typeof value !== 'object' || value === null
      ? value
      : Object.entries(value)
          .sort(([a], [b]) => (a < b ? -1 : 1))
          .map(([key, member]) => [key, sorted(member)])

  test('every eligible request is in one place, and the sum is right', () => {
    fc.assert(
      fc.property(events, (all) => {
        const total = countAll(all)
        const { eligible, ...parts } = accountingOf(total, judgeFields(total))
        expect(eligible).toBe(all.filter(({ is }) => is !== 'paired').length)
        expect(Object.values(parts).reduce((sum, part) => sum + part, 0)).toBe(eligible)
      }),
    )
  })

  test('counted apart and merged is counted together, in any order', () => {
    fc.assert(
      fc.property(events, events, events, (one, two, three) => {
        const [a, b, c] = [countAll(one), countAll(two), kept(countAll(three)) as Counts]
        const together = sorted(kept(countAll([...one, ...two, ...three])))
        expect(sorted(kept(mergeCounts(mergeCounts(a, b), c)))).toEqual(together)
        expect(sorted(kept(mergeCounts(c, mergeCounts(b, a))))).toEqual(together)
        expect(sorted(kept(mergeCounts(a, NO_COUNTS)))).toEqual(sorted(kept(a)))
      }),
    )
  })

  test('what is learned of a field is true of earlier comparisons too', () => {
    const early = counts(20, 20, 20, 20)
    expect(accountingOf(early, judgeFields(early))).toMatchObject({ inconclusive: 20, noise: 0 })
    const later = mergeCounts(early, counts(20, 20, 20, 20))
    expect(accountingOf(later, judgeFields(later))).toMatchObject({ inconclusive: 0, noise: 40 })
  })

  test('fields that are known as noise are left out of signatures', () => {
    const counter = new RouteCounter()
    counter.recordComparison(differing(['$.a', '$.b']), 0, new Set<Field>(['value $.a']))
    counter.recordComparison(differing(['$.a']), 0, new Set<Field>(['value $.a']))
    expect({ ...counter.counts().differing }).toEqual({ 'value $.b': 1, '': 1 })
    expect(accountingOf(counter.counts(), new Map())).toMatchObject({ noise: 1, inconclusive: 1 })
  })

  test('a hundred thousand different fields grow nothing, and are counted', () => {
    const counter = new RouteCounter()
    for (let i = 0; i < 100_000; i++) counter.recordComparison(differing([`$.k${i}`]), i, NO_NOISE)
    const { fields, differing: signatures, fieldsLeftOut } = counter.counts()
    expect(Object.keys(fields)).toHaveLength(DEFAULT_CAPS.fields)
    expect(Object.keys(signatures)).toHaveLength(DEFAULT_CAPS.signatures + 1)
    expect(fieldsLeftOut).toBe(100_000 - DEFAULT_CAPS.fields)
    expect(accountingOf(counter.counts(), new Map()).eligible).toBe(100_000)
  })

  test('counts that were given out stay as they are', () => {
    const counter = new RouteCounter()
    counter.recordComparison(differing(['$.a']), 1, NO_NOISE)
    const before = kept(counter.counts())
    const given = counter.counts()
    counter.recordComparison(differing(['$.a']), 9, NO_NOISE)
    expect(kept(given)).toEqual(before)
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

  test('nothing is known of nothing', () => {
    expect(parityOf(none, 0.999)).toEqual({
      conclusive: 0,
      inconclusive: 0,
      matching: undefined,
      atLeast: 0,
      untilTarget: 3838,
    })
  })

  test('noise and what is forgiven match; what is open counts against the bound that a gate goes by', () => {
    const parity = parityOf({ ...none, matched: 900, noise: 50, ignored: 40, mismatched: 10, inconclusive: 100 }, 0.999)
    expect(parity.matching?.share).toBe(0.99)
    expect(parity.atLeast).toBeLessThan(parity.matching!.lower)
    expect(parity.untilTarget).toBeGreaterThan(3838)
  })
})

test('the defaults say what the ADR says', () => {
  expect(DEFAULT_NOISE).toMatchObject({ alpha: 0.02, odds: 1.2, minComparisons: 30, minPairs: 30, minSelf: 3 })
})
