import { describe, expect, test } from 'vitest'
import type { Comparison } from '../../model/comparison.ts'
import { COUNT_PERIOD_MS, DEFAULT_WINDOW_MS, NO_COUNTS } from '../../model/comparison-counts.ts'
import type { NoisePolicy } from '../../model/shadow-policy.ts'
import { ComparisonStats } from './comparison-stats.ts'

const HOUR = COUNT_PERIOD_MS
const NOW = 500_000 * HOUR
const NOISE: NoisePolicy = { pairShare: 0.1, pairShareOpen: 0.9 }
const PLACE = { context: 'catalog', route: 'GET /products', time: NOW }
const KEY = 'catalog\nGET /products'

const MATCH = differingAt([])
const FORGIVEN: Comparison = { kind: 'compared', differences: [], more: false, forgiven: 2 }
const STAMP = differingAt(['$.generatedAt'])
const PRICE = differingAt(['$.price'])

function differingAt(paths: readonly string[]): Comparison {
  const differences = paths.map((path) => ({ kind: 'value' as const, path, legacy: 'a', service: 'b', times: 1 }))
  return { kind: 'compared', differences, more: false, forgiven: 0 }
}

function start() {
  const book = new ComparisonStats()
  const compared = (comparison: Comparison, times = 1, time = NOW) => {
    let last = ''
    for (let i = 0; i < times; i++) last = book.recordComparison({ ...PLACE, time }, NOISE, comparison)
    return last
  }
  const paired = (comparison: Comparison, times: number) => {
    for (let i = 0; i < times; i++) book.recordPair(PLACE, comparison)
  }
  /** The timestamps of legacy differ each time, its prices never. */
  const learn = () => {
    compared(differingAt(['$.generatedAt', '$.price']), 100)
    paired(STAMP, 100)
    book.judge(NOW)
  }
  return { book, compared, paired, learn }
}

describe('the outcome of a comparison', () => {
  test('is the verdict that is known at the time', () => {
    const { compared, learn } = start()
    expect(compared(MATCH)).toBe('matched')
    expect(compared(FORGIVEN)).toBe('ignored')
    expect(compared({ kind: 'uncomparable', reason: 'bomb' })).toBe('uncomparable')
    expect([compared(STAMP), compared(PRICE)]).toEqual(['inconclusive', 'inconclusive'])
    learn()
    expect([compared(STAMP), compared(PRICE)]).toEqual(['noise', 'mismatched'])
    expect(compared(differingAt(['$.generatedAt', '$.price']))).toBe('mismatched')
    expect(compared(differingAt(['$.generatedAt', '$.new']))).toBe('inconclusive')
  })

  test('depends on the route: noise of one route is inconclusive in another', () => {
    const { book, learn } = start()
    learn()
    expect(book.recordComparison({ ...PLACE, route: 'GET /orders' }, NOISE, STAMP)).toBe('inconclusive')
    expect(book.recordComparison({ ...PLACE, context: 'orders' }, NOISE, STAMP)).toBe('inconclusive')
  })
})

test('noise that other gateways have learned is known from the first judged comparison', () => {
  const { book, compared } = start()
  const seen = { sides: 100, self: 100, firstSeen: NOW, lastSeen: NOW }
  const counts = {
    ...NO_COUNTS,
    matched: 0,
    pairs: 100,
    differing: { '': 100 },
    fields: { 'value $.generatedAt': seen },
  }
  book.addEarlierCounts([{ context: 'catalog', route: 'GET /products', start: NOW - HOUR, counts }])
  compared(MATCH)
  const judged = book.judge(NOW)
  expect(compared(STAMP)).toBe('noise')
  expect(judged.counts, 'earlier counts are not reported again').toMatchObject([{ start: NOW, counts: { matched: 1 } }])
  expect(judged.parity.catalog).toMatchObject({ conclusive: 101 })
})

describe('a ruling', () => {
  test('applies at once, to this route alone, until it is removed', () => {
    const { book, compared, learn } = start()
    learn()
    book.setRulings({ [KEY]: { 'value $.price': 'noise', 'value $.generatedAt': 'real' } })
    expect([compared(STAMP), compared(PRICE)]).toEqual(['mismatched', 'noise'])
    expect(book.recordComparison({ ...PLACE, route: 'GET /orders' }, NOISE, PRICE)).toBe('inconclusive')
    book.setRulings({})
    expect([compared(STAMP), compared(PRICE)]).toEqual(['noise', 'mismatched'])
  })

  test('changes the reported parity without a further comparison', () => {
    const { book, learn } = start()
    learn()
    expect(book.judge(NOW).parity).toEqual({})
    book.setRulings({ [KEY]: { 'value $.price': 'noise' } })
    expect(book.judge(NOW).parity.catalog?.matching?.share).toBe(1)
    expect(book.judge(NOW).parity, 'once').toEqual({})
  })

  test('for a route called __proto__ has no effect', () => {
    const { book, compared } = start()
    book.setRulings({ ['__proto__']: { 'value $.price': 'noise' } })
    expect(compared(PRICE)).toBe('inconclusive')
  })
})

test('legacy is asked twice more often while a field is inconclusive', () => {
  const { book, compared, paired } = start()
  compared(MATCH, 40)
  expect(book.judge(NOW).pairShares).toEqual({ [KEY]: 0.1 })
  compared(STAMP)
  expect(book.judge(NOW).pairShares).toEqual({ [KEY]: 0.9 })
  paired(STAMP, 40)
  expect(book.judge(NOW).pairShares).toEqual({ [KEY]: 0.1 })
})

describe('the report of counts', () => {
  test('contains the whole counts of each changed hour, once', () => {
    const { book, compared } = start()
    compared(MATCH, 2)
    compared(MATCH, 1, NOW + HOUR)
    expect(book.judge(NOW + HOUR).counts.map(({ start, counts }) => [start, counts.matched])).toEqual([
      [NOW, 2],
      [NOW + HOUR, 1],
    ])
    compared(MATCH, 1, NOW + HOUR)
    expect(book.judge(NOW + HOUR).counts.map(({ start, counts }) => [start, counts.matched])).toEqual([[NOW + HOUR, 2]])
    expect(book.judge(NOW + HOUR).counts).toEqual([])
  })

  test('contains requests that ended without a comparison', () => {
    const { book } = start()
    book.recordUncompared(PLACE, { outcome: 'shed', reason: 'bytes' })
    book.recordUncompared(PLACE, { outcome: 'failed', reason: 'response-timeout' })
    expect(book.judge(NOW).counts).toMatchObject([
      { counts: { shed: { bytes: 1 }, failed: { 'response-timeout': 1 } } },
    ])
  })
})

describe('the window of parity', () => {
  test('moves on without further requests: an old fault no longer counts', () => {
    const { book, compared } = start()
    book.setRulings({ [KEY]: { 'value $.price': 'real' } })
    compared(PRICE, 5)
    compared(MATCH, 5)
    book.recordComparison({ ...PLACE, route: 'GET /orders' }, NOISE, MATCH)
    expect(book.judge(NOW).parity.catalog?.conclusive).toBe(11)
    const tomorrow = NOW + DEFAULT_WINDOW_MS + 2 * HOUR
    book.recordComparison({ ...PLACE, route: 'GET /orders', time: tomorrow }, NOISE, MATCH)
    expect(book.judge(tomorrow).parity.catalog?.conclusive).toBe(1)
  })

  test('also applies to counts of other gateways', () => {
    const { book, compared } = start()
    book.addEarlierCounts([
      { context: 'catalog', route: 'GET /products', start: NOW - 26 * HOUR, counts: { ...NO_COUNTS, matched: 9 } },
    ])
    compared(MATCH)
    expect(book.judge(NOW).parity.catalog?.conclusive).toBe(1)
  })

  test('keeps the counts of the current hour after a wrong clock is corrected', () => {
    const { book, compared } = start()
    compared(MATCH, 5)
    book.judge(NOW)
    const ahead = NOW + 72 * HOUR
    compared(MATCH, 1, ahead)
    book.judge(ahead)
    compared(MATCH, 1)
    expect(book.judge(NOW).counts).toMatchObject([{ start: NOW, counts: { matched: 6 } }])
  })

  test('holds a day and an hour of a month of counts', () => {
    const { book, compared } = start()
    for (let hour = 0; hour < 30 * 24; hour++) compared(MATCH, 1, NOW + hour * HOUR)
    expect(book.judge(NOW + 30 * 24 * HOUR).counts).toHaveLength(25)
  })
})
