// The promises of every store for comparisons: memory, folder and Redis.
import { describe, expect, it } from 'vitest'
import { COUNT_PERIOD_MS, type Counts } from '../../src/model/comparison-counts.ts'
import type { StoredExample } from '../../src/model/comparison-example.ts'
import {
  COUNTS_RETENTION_MS,
  EXAMPLES_RETENTION_MS,
  MAX_DIFFERENCES_PER_CONTEXT,
  MAX_EXAMPLES_PER_DIFFERENCE,
} from '../../src/model/comparison-store.ts'
import { mergeCounts } from '../../src/model/merge-counts.ts'
import { mask, matched, routeCounts, STRANGE, storedExample, stretch } from '../../src/store/comparisons.test-kit.ts'
import { sharedByFile } from '../kit/lifetime.ts'
import { startRedis } from '../kit/redis.ts'
import { filePlace, memoryPlace, redisPlace } from './places.ts'

/** The Redis of REDIS_URL, or one that is started for this file. */
const redis = sharedByFile(async () => ({ url: process.env.REDIS_URL ?? (await startRedis()).url }))

const PLACES = [
  ['memory', () => memoryPlace()],
  ['file', () => filePlace()],
  ['redis', () => redisPlace(redis().url)],
] as const

describe.each(PLACES)('counts in the %s store', (_kind, makePlace) => {
  it('are empty at first', async () => {
    const { comparisons } = await (await makePlace()).open()
    expect(await comparisons.counts({ from: 0 })).toEqual([])
  })

  it('are read as they were saved, also with names that a response body chose', async () => {
    const { comparisons } = await (await makePlace()).open()
    await comparisons.saveCounts('gateway-1', [routeCounts()])
    const [saved] = await comparisons.counts({ from: 0 })
    expect(saved).toEqual(routeCounts())
    expect(Object.entries(saved?.counts.differing ?? {})).toContainEqual(['__proto__', 3])
    expect(Object.keys(saved?.counts.fields ?? {})).toContain('value __proto__')
    expect(({} as { sides?: unknown }).sides).toBeUndefined()
  })

  it('replace the counts of the same writer, so that saving them twice counts them once', async () => {
    const place = await makePlace()
    const [storeA, storeB] = [await place.open(), await place.open()]
    for (const times of [1, 1, 5]) await storeA.comparisons.saveCounts('gateway-1', [matched(times)])
    expect(await storeB.comparisons.counts({ from: 0 })).toEqual([matched(5)])
  })

  it('of other routes and periods stay when one is replaced', async () => {
    const { comparisons } = await (await makePlace()).open()
    const [other, earlier] = [matched(2, { route: 'GET /products' }), matched(3, { start: stretch(1) })]
    await comparisons.saveCounts('gateway-1', [matched(1), other, earlier])
    await comparisons.saveCounts('gateway-1', [matched(9)])
    expect(await comparisons.counts({ from: 0 })).toEqual([other, earlier, matched(9)])
  })

  it('of several writers are merged by mergeCounts', async () => {
    const place = await makePlace()
    const [storeA, storeB] = [await place.open(), await place.open()]
    const second: Counts = { ...STRANGE, matched: 100, shed: { lag: 1 }, fields: {} }
    await storeA.comparisons.saveCounts('gateway-1', [routeCounts()])
    await storeB.comparisons.saveCounts('gateway-2', [routeCounts({ counts: second })])
    const sum = routeCounts({ counts: mergeCounts(STRANGE, second) })
    expect(await storeA.comparisons.counts({ from: 0 })).toEqual([sum])
    expect(await storeB.comparisons.counts({ from: 0 })).toEqual([sum])
  })

  it('are sorted by context, route and period', async () => {
    const { comparisons } = await (await makePlace()).open()
    const counts = ['a', 'b'].flatMap((context) =>
      ['GET /', 'GET /x'].flatMap((route) =>
        [2, 1, 0].map((ago) => matched(1, { context, route, start: stretch(ago) })),
      ),
    )
    await comparisons.saveCounts('gateway-1', counts.toReversed())
    expect(await comparisons.counts({ from: 0 })).toEqual(counts)
  })

  it('are returned without the periods that begin before the requested time', async () => {
    const { comparisons } = await (await makePlace()).open()
    const counts = [3, 2, 1, 0].map((ago) => matched(ago + 1, { start: stretch(ago) }))
    await comparisons.saveCounts('gateway-1', counts)
    expect(await comparisons.counts({ from: stretch(2) })).toEqual(counts.slice(1))
    expect(await comparisons.counts({ from: stretch(2) + 1 })).toEqual(counts.slice(2))
    expect(await comparisons.counts({ from: stretch(-1) })).toEqual([])
  })

  it.each(['catalog', 'a,"b', '["a"]', 'ü\u0000 %2e/../', '{x}'])(
    'are returned for one context: %j',
    async (context) => {
      const { comparisons } = await (await makePlace()).open()
      const others = [`${context}s`, 'cata', 'a', context.slice(1)].map((name) => matched(1, { context: name }))
      await comparisons.saveCounts('gateway-1', [...others, matched(2, { context })])
      expect(await comparisons.counts({ from: 0, context })).toEqual([matched(2, { context })])
      expect(await comparisons.counts({ from: 0, context: 'nowhere' })).toEqual([])
    },
  )

  it.each(['gateway-1', '1', ',"1', '"]', '__proto__'])(
    'are returned without the excluded writer %j',
    async (writer) => {
      const { comparisons } = await (await makePlace()).open()
      await comparisons.saveCounts(writer, [matched(1)])
      await comparisons.saveCounts(`x${writer}`, [matched(10)])
      await comparisons.saveCounts(`${writer}x`, [matched(100)])
      expect(await comparisons.counts({ from: 0, except: writer })).toEqual([matched(110)])
      expect(await comparisons.counts({ from: 0 })).toEqual([matched(111)])
    },
  )

  it('of fifty writers that save at the same time are complete', async () => {
    const place = await makePlace()
    const handles = [await place.open(), await place.open()]
    const save = (number: number) =>
      handles[number % 2]!.comparisons.saveCounts(`gateway-${number}`, [
        matched(number, { route: 'GET /same' }),
        matched(1, { route: `GET /${number}` }),
      ])
    await Promise.all(Array.from({ length: 50 }, (_, number) => save(number)))
    const counts = await handles[0]!.comparisons.counts({ from: 0 })
    expect(counts).toHaveLength(51)
    expect(counts.find(({ route }) => route === 'GET /same')?.counts.matched).toBe(1225)
  })

  it('survive a restart of the gateway, which is another writer afterwards', async () => {
    const place = await makePlace()
    for (let number = 1; number <= 4; number++) {
      const { comparisons } = await place.restart()
      await comparisons.saveCounts(`start-${number}`, [matched(number), matched(1, { start: stretch(5) })])
    }
    const { comparisons } = await place.restart()
    expect(await comparisons.counts({ from: 0 })).toEqual([matched(4, { start: stretch(5) }), matched(10)])
  })

  it('are not saved for an expired period', async () => {
    const { comparisons } = await (await makePlace()).open()
    const retainedPeriods = COUNTS_RETENTION_MS / COUNT_PERIOD_MS
    const [last, gone] = [
      matched(1, { start: stretch(retainedPeriods - 1) }),
      matched(1, { start: stretch(retainedPeriods + 1) }),
    ]
    await comparisons.saveCounts('gateway-1', [gone, last])
    expect(await comparisons.counts({ from: 0 })).toEqual([last])
  })

  it.each([
    ['a context named __proto__', 'gateway-1', matched(1, { context: '__proto__' })],
    ['a half comparison', 'gateway-1', matched(0.5)],
    ['a negative count', 'gateway-1', matched(-1)],
    ['a half millisecond', 'gateway-1', matched(1, { start: 0.5 })],
    ['a writer without a name', '', matched(1)],
  ])('are rejected as a whole with %s', async (_what, writer, counts) => {
    const { comparisons } = await (await makePlace()).open()
    await expect(comparisons.saveCounts(writer, [matched(1), counts])).rejects.toThrow(/^not /)
    expect(await comparisons.counts({ from: 0 })).toEqual([])
  })
})

describe.each(PLACES)('examples in the %s store', (_kind, makePlace) => {
  const now = Date.now()

  it('are empty at first, and are read as they were saved', async () => {
    const place = await makePlace()
    const [storeA, storeB] = [await place.open(), await place.open()]
    expect(await storeA.comparisons.examples({})).toEqual([])
    await storeA.comparisons.saveExamples([storedExample()])
    expect(await storeB.comparisons.examples({})).toEqual([storedExample({}, expect.any(Number) as number)])
  })

  it('that are saved again are stored once', async () => {
    const { comparisons } = await (await makePlace()).open()
    const [first, second] = [storedExample({}, now), storedExample({ route: 'GET /products' }, now)]
    for (let round = 0; round < 3; round++) await comparisons.saveExamples([first, second])
    expect(await comparisons.examples({})).toHaveLength(2)
  })

  it('of one difference are the newest three, whatever the order of saving', async () => {
    const { comparisons } = await (await makePlace()).open()
    const examples = Array.from({ length: MAX_EXAMPLES_PER_DIFFERENCE + 3 }, (_, index) =>
      storedExample({}, now - index),
    )
    await comparisons.saveExamples(examples.slice(2).toReversed())
    await Promise.all(examples.slice(0, 2).map((example) => comparisons.saveExamples([example])))
    expect(await comparisons.examples({})).toEqual(examples.slice(0, MAX_EXAMPLES_PER_DIFFERENCE))
  })

  it('are returned by context and by fingerprint, the newest first', async () => {
    const { comparisons } = await (await makePlace()).open()
    const strange = 'fingerprint/../ü\u0000"'
    const [first, second, third] = [
      storedExample({ fingerprint: 'a', context: 'orders' }, now - 3),
      storedExample({ fingerprint: strange }, now - 2),
      storedExample({ fingerprint: 'c', context: '../orders {x}' }, now - 1),
    ]
    await comparisons.saveExamples([second, third, first])
    expect(await comparisons.examples({})).toEqual([third, second, first])
    expect(await comparisons.examples({ context: 'orders' })).toEqual([first])
    expect(await comparisons.examples({ context: '../orders {x}' })).toEqual([third])
    expect(await comparisons.examples({ fingerprint: strange })).toEqual([second])
    expect(await comparisons.examples({ context: 'orders', fingerprint: strange })).toEqual([])
  })

  it('of a context have a limited number of differences: the one whose newest example is oldest is evicted with all its examples', {
    timeout: 60_000,
  }, async () => {
    const { comparisons } = await (await makePlace()).open()
    const example = (number: number, time: number) => storedExample({ fingerprint: `f${number}` }, time)
    const full = Array.from({ length: MAX_DIFFERENCES_PER_CONTEXT }, (_, number) => example(number, now - 10 * number))
    await comparisons.saveExamples([...full, storedExample({ context: 'orders' }, now - 100_000)])
    // The last but one has an old and a new example: it is not the oldest difference.
    const last = MAX_DIFFERENCES_PER_CONTEXT - 1
    await comparisons.saveExamples([example(last - 1, now - 50_000), example(last - 1, now - 5)])
    expect(await comparisons.examples({ fingerprint: `f${last}` })).toHaveLength(1)
    await comparisons.saveExamples([example(last + 1, now - 1)])
    expect(await comparisons.examples({ fingerprint: `f${last}` })).toEqual([])
    expect(await comparisons.examples({ fingerprint: `f${last - 1}` })).toHaveLength(3)
    const examples = await comparisons.examples({ context: 'catalog' })
    expect(new Set(examples.map(({ fingerprint }) => fingerprint)).size).toBe(MAX_DIFFERENCES_PER_CONTEXT)
    expect(await comparisons.examples({ context: 'orders' })).toHaveLength(1)
    // An example that is older than all of them is not stored.
    await comparisons.saveExamples([example(-1, now - 90_000)])
    expect(await comparisons.examples({ fingerprint: 'f-1' })).toEqual([])
  })

  it('that have expired are not stored', async () => {
    const { comparisons } = await (await makePlace()).open()
    await comparisons.saveExamples([storedExample({}, now - EXAMPLES_RETENTION_MS - 1)])
    expect(await comparisons.examples({})).toEqual([])
    const young = storedExample({}, now - EXAMPLES_RETENTION_MS + 60_000)
    await comparisons.saveExamples([storedExample({}, now - EXAMPLES_RETENTION_MS - 1), young])
    expect(await comparisons.examples({})).toEqual([young])
  })

  it('survive a restart of the gateway', async () => {
    const place = await makePlace()
    const examples = [storedExample({}, now), storedExample({ context: 'orders' }, now - 1)]
    await (await place.open()).comparisons.saveExamples(examples)
    const { comparisons } = await place.restart()
    expect(await comparisons.examples({})).toEqual(examples)
  })

  it.each<[string, StoredExample]>([
    ['a context named __proto__', storedExample({ context: '__proto__' })],
    ['an empty fingerprint', storedExample({ fingerprint: '' })],
    ['a time that is not a number', storedExample({}, Number.NaN)],
    ['a header without a value', ofHeaders(['accept'])],
  ])('are rejected as a whole with %s', async (_what, example) => {
    const { comparisons } = await (await makePlace()).open()
    await expect(comparisons.saveExamples([storedExample(), example])).rejects.toThrow('not an example')
    expect(await comparisons.examples({})).toEqual([])
  })
})

function ofHeaders(names: readonly string[]): StoredExample {
  const { example, ...rest } = storedExample()
  return { ...rest, example: { ...example, request: { ...example.request, headers: names.map(mask) } } }
}
