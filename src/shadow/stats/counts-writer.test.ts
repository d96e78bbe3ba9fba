import { describe, expect, test } from 'vitest'
import { COUNT_PERIOD_MS, type Counts, NO_COUNTS, type RouteCounts } from '../../model/comparison-counts.ts'
import type { StoredExample } from '../../model/comparison-example.ts'
import { storedExampleOf } from '../report/comparison-reports.test-kit.ts'
import { CountsWriter } from './counts-writer.ts'

const HOUR = COUNT_PERIOD_MS
const NOW = 500_000 * HOUR
const PLACE = { context: 'catalog', route: 'GET /products' }
const MATCH = { kind: 'compared', differences: [], more: false, forgiven: 0 } as const

/** A store like the real ones: the counts of a writer for an hour replace its earlier counts. */
function start() {
  const stored = new Map<number, Counts>()
  const calls: (readonly RouteCounts[])[] = []
  const examples: StoredExample[] = []
  const fails = { counts: false, examples: false }
  const ledger = new CountsWriter({
    writer: 'me',
    store: {
      saveCounts: async (writer, counts) => {
        expect(writer).toBe('me')
        if (fails.counts) throw new Error('away')
        calls.push(counts)
        for (const routeCounts of counts) stored.set(routeCounts.start, routeCounts.counts)
      },
      saveExamples: async (more) => {
        if (fails.examples) throw new Error('away')
        examples.push(...more)
      },
    },
  })
  const matchHere = (times: number, time = NOW) => {
    for (let i = 0; i < times; i++) ledger.counterFor({ ...PLACE, time: time }).recordComparison(MATCH, time, new Set())
  }
  return {
    ...{ ledger, stored, calls, examples, fails, matchHere },
    say: (matched: number, start = NOW) =>
      ledger.replaceThreadCounts([{ ...PLACE, start, counts: { ...NO_COUNTS, matched } }]),
    matched: (start = NOW) => stored.get(start)?.matched,
  }
}

test('a report of the comparing thread replaces its earlier report, and the counts of this thread are added', async () => {
  const { ledger, say, matchHere, matched } = start()
  say(3)
  say(5)
  matchHere(2)
  await ledger.save()
  expect(matched()).toBe(7)
  say(6)
  await ledger.save()
  expect(matched()).toBe(8)
})

test('the counts of a lost thread are kept, and the next thread begins at 0', async () => {
  const { ledger, say, matched } = start()
  say(5)
  ledger.sealThreadCounts()
  expect(ledger.sealedCounts()).toMatchObject([{ ...PLACE, start: NOW, counts: { matched: 5 } }])
  await ledger.save()
  expect(matched()).toBe(5)
  say(1)
  await ledger.save()
  expect(matched()).toBe(6)
  // Twice in a row, without a report in between.
  ledger.sealThreadCounts()
  ledger.sealThreadCounts()
  say(10)
  await ledger.save()
  expect(matched()).toBe(16)
  expect(ledger.sealedCounts()).toMatchObject([{ counts: { matched: 6 } }])
})

describe('after a failed save', () => {
  test('all counts are saved once', async () => {
    const { ledger, say, matchHere, matched, fails, examples } = start()
    fails.counts = true
    say(5)
    ledger.addExamples([storedExampleOf()])
    expect(await ledger.save()).toBeInstanceOf(Error)
    say(6)
    matchHere(1)
    expect(await ledger.save()).toBeInstanceOf(Error)
    expect(matched()).toBeUndefined()
    fails.counts = false
    expect(await ledger.save()).toBeUndefined()
    expect(matched()).toBe(7)
    expect(examples).toHaveLength(1)
  })

  test('of examples alone, the counts are saved again and counted once', async () => {
    const { ledger, say, matched, fails, examples } = start()
    fails.examples = true
    say(5)
    ledger.addExamples([storedExampleOf()])
    expect(await ledger.save()).toBeInstanceOf(Error)
    fails.examples = false
    await ledger.save()
    expect(matched()).toBe(5)
    expect(examples).toHaveLength(1)
  })

  test('over a long time, only the newest examples wait', async () => {
    const { ledger, fails, examples } = start()
    fails.counts = fails.examples = true
    for (let i = 0; i < 500; i++) {
      ledger.addExamples([storedExampleOf('value $.a', { at: i })])
      if (i % 7 === 0) await ledger.save()
    }
    fails.counts = fails.examples = false
    await ledger.save()
    expect(examples.map(({ example }) => example.at)).toEqual(Array.from({ length: 200 }, (_, i) => 300 + i))
  })
})

test('unchanged counts are not saved again', async () => {
  const { ledger, say, calls } = start()
  expect(await ledger.save()).toBeUndefined()
  expect(calls).toEqual([])
  say(1)
  say(1, NOW + HOUR)
  await ledger.save()
  say(2, NOW + HOUR)
  await ledger.save()
  await ledger.save()
  expect(calls.map((counts) => counts.map(({ start }) => start))).toEqual([[NOW, NOW + HOUR], [NOW + HOUR]])
})

describe('the hours of counts', () => {
  test('are those of the response', async () => {
    const { ledger, matchHere, stored } = start()
    matchHere(1, NOW)
    matchHere(2, NOW + HOUR - 1)
    matchHere(4, NOW + HOUR)
    await ledger.save()
    expect([...stored].map(([start, { matched }]) => [start, matched])).toEqual([
      [NOW, 3],
      [NOW + HOUR, 4],
    ])
  })

  test('are held for a day and an hour', async () => {
    const { ledger, say } = start()
    for (let hour = 0; hour < 30 * 24; hour++) {
      say(1, NOW + hour * HOUR)
      await ledger.save()
    }
    ledger.sealThreadCounts()
    expect(ledger.sealedCounts()).toHaveLength(25)
  })

  test('lose no counts after a wrong clock is corrected', async () => {
    const { ledger, say, matchHere, matched } = start()
    const ahead = NOW + 72 * HOUR
    say(5)
    matchHere(1)
    await ledger.save()
    say(1, ahead)
    await ledger.save()
    say(6)
    matchHere(1)
    await ledger.save()
    matchHere(1)
    await ledger.save()
    expect(matched()).toBe(9)
    expect(matched(ahead)).toBe(1)
  })
})
