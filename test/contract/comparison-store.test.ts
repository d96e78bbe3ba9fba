// What every store promises of what comparing finds: memory, folder and Redis alike.
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

/** The Redis of REDIS_URL, or one of our own. */
const redis = sharedByFile(async () => ({ url: process.env.REDIS_URL ?? (await startRedis()).url }))

const PLACES = [
  ['memory', () => memoryPlace()],
  ['file', () => filePlace()],
  ['redis', () => redisPlace(redis().url)],
] as const

describe.each(PLACES)('counts in the %s store', (_kind, makePlace) => {
  it('begin with none', async () => {
    const { comparisons } = await (await makePlace()).open()
    expect(await comparisons.counts({ from: 0 })).toEqual([])
  })

  it('come back as they were, under whatever names a body has given', async () => {
    const { comparisons } = await (await makePlace()).open()
    await comparisons.saveCounts('gateway-1', [routeCounts()])
    const [found] = await comparisons.counts({ from: 0 })
    expect(found).toEqual(routeCounts())
    expect(Object.entries(found?.counts.differing ?? {})).toContainEqual(['__proto__', 3])
    expect(Object.keys(found?.counts.fields ?? {})).toContain('value __proto__')
    expect(({} as { sides?: unknown }).sides).toBeUndefined()
  })

  it('are put in the place of what the same writer has said: twice is once', async () => {
    const place = await makePlace()
    const [ours, theirs] = [await place.open(), await place.open()]
    for (const times of [1, 1, 5]) await ours.comparisons.saveCounts('gateway-1', [matched(times)])
    expect(await theirs.comparisons.counts({ from: 0 })).toEqual([matched(5)])
  })

  it('of other routes and stretches stay when one is said anew', async () => {
    const { comparisons } = await (await makePlace()).open()
    const [other, earlier] = [matched(2, { route: 'GET /products' }), matched(3, { start: stretch(1) })]
    await comparisons.saveCounts('gateway-1', [matched(1), other, earlier])
    await comparisons.saveCounts('gateway-1', [matched(9)])
    expect(await comparisons.counts({ from: 0 })).toEqual([other, earlier, matched(9)])
  })

  it('of several writers are one by mergeCounts', async () => {
    const place = await makePlace()
    const [ours, theirs] = [await place.open(), await place.open()]
    const second: Counts = { ...STRANGE, matched: 100, shed: { lag: 1 }, fields: {} }
    await ours.comparisons.saveCounts('gateway-1', [routeCounts()])
    await theirs.comparisons.saveCounts('gateway-2', [routeCounts({ counts: second })])
    const sum = routeCounts({ counts: mergeCounts(STRANGE, second) })
    expect(await ours.comparisons.counts({ from: 0 })).toEqual([sum])
    expect(await theirs.comparisons.counts({ from: 0 })).toEqual([sum])
  })

  it('are sorted by context, route and stretch', async () => {
    const { comparisons } = await (await makePlace()).open()
    const all = ['a', 'b'].flatMap((context) =>
      ['GET /', 'GET /x'].flatMap((route) =>
        [2, 1, 0].map((ago) => matched(1, { context, route, start: stretch(ago) })),
      ),
    )
    await comparisons.saveCounts('gateway-1', all.toReversed())
    expect(await comparisons.counts({ from: 0 })).toEqual(all)
  })

  it('are those of a window: stretches that begin earlier are left out', async () => {
    const { comparisons } = await (await makePlace()).open()
    const all = [3, 2, 1, 0].map((ago) => matched(ago + 1, { start: stretch(ago) }))
    await comparisons.saveCounts('gateway-1', all)
    expect(await comparisons.counts({ from: stretch(2) })).toEqual(all.slice(1))
    expect(await comparisons.counts({ from: stretch(2) + 1 })).toEqual(all.slice(2))
    expect(await comparisons.counts({ from: stretch(-1) })).toEqual([])
  })

  it.each(['catalog', 'a,"b', '["a"]', 'ü\u0000 %2e/../', '{x}'])('are those of one context: %j', async (context) => {
    const { comparisons } = await (await makePlace()).open()
    const others = [`${context}s`, 'cata', 'a', context.slice(1)].map((one) => matched(1, { context: one }))
    await comparisons.saveCounts('gateway-1', [...others, matched(2, { context })])
    expect(await comparisons.counts({ from: 0, context })).toEqual([matched(2, { context })])
    expect(await comparisons.counts({ from: 0, context: 'nowhere' })).toEqual([])
  })

  it.each(['gateway-1', '1', ',"1', '"]', '__proto__'])('leave out a writer: %j', async (writer) => {
    const { comparisons } = await (await makePlace()).open()
    await comparisons.saveCounts(writer, [matched(1)])
    await comparisons.saveCounts(`x${writer}`, [matched(10)])
    await comparisons.saveCounts(`${writer}x`, [matched(100)])
    expect(await comparisons.counts({ from: 0, except: writer })).toEqual([matched(110)])
    expect(await comparisons.counts({ from: 0 })).toEqual([matched(111)])
  })

  it('are all there of fifty who save at once', async () => {
    const place = await makePlace()
    const handles = [await place.open(), await place.open()]
    const save = (number: number) =>
      handles[number % 2]!.comparisons.saveCounts(`gateway-${number}`, [
        matched(number, { route: 'GET /same' }),
        matched(1, { route: `GET /${number}` }),
      ])
    await Promise.all(Array.from({ length: 50 }, (_, number) => save(number)))
    const found = await handles[0]!.comparisons.counts({ from: 0 })
    expect(found).toHaveLength(51)
    expect(found.find(({ route }) => route === 'GET /same')?.counts.matched).toBe(1225)
  })

  it('outlive the gateway, which speaks by another name from then on', async () => {
    const place = await makePlace()
    for (let number = 1; number <= 4; number++) {
      const { comparisons } = await place.restart()
      await comparisons.saveCounts(`start-${number}`, [matched(number), matched(1, { start: stretch(5) })])
    }
    const { comparisons } = await place.restart()
    expect(await comparisons.counts({ from: 0 })).toEqual([matched(4, { start: stretch(5) }), matched(10)])
  })

  it('are not taken of a stretch that is forgotten already', async () => {
    const { comparisons } = await (await makePlace()).open()
    const kept = COUNTS_RETENTION_MS / COUNT_PERIOD_MS
    const [last, gone] = [matched(1, { start: stretch(kept - 1) }), matched(1, { start: stretch(kept + 1) })]
    await comparisons.saveCounts('gateway-1', [gone, last])
    expect(await comparisons.counts({ from: 0 })).toEqual([last])
  })

  it.each([
    ['a context named __proto__', 'gateway-1', matched(1, { context: '__proto__' })],
    ['half a comparison', 'gateway-1', matched(0.5)],
    ['fewer than none', 'gateway-1', matched(-1)],
    ['half a millisecond', 'gateway-1', matched(1, { start: 0.5 })],
    ['a writer without a name', '', matched(1)],
  ])('are never those of %s', async (_what, writer, counts) => {
    const { comparisons } = await (await makePlace()).open()
    await expect(comparisons.saveCounts(writer, [matched(1), counts])).rejects.toThrow(/^not /)
    expect(await comparisons.counts({ from: 0 })).toEqual([])
  })
})

describe.each(PLACES)('examples in the %s store', (_kind, makePlace) => {
  const now = Date.now()

  it('begin with none, and come back as they were', async () => {
    const place = await makePlace()
    const [ours, theirs] = [await place.open(), await place.open()]
    expect(await ours.comparisons.examples({})).toEqual([])
    await ours.comparisons.saveExamples([storedExample()])
    expect(await theirs.comparisons.examples({})).toEqual([storedExample({}, expect.any(Number) as number)])
  })

  it('that are saved again are kept once', async () => {
    const { comparisons } = await (await makePlace()).open()
    const [one, other] = [storedExample({}, now), storedExample({ route: 'GET /products' }, now)]
    for (let round = 0; round < 3; round++) await comparisons.saveExamples([one, other])
    expect(await comparisons.examples({})).toHaveLength(2)
  })

  it('of one difference are the newest few, in whatever order they come', async () => {
    const { comparisons } = await (await makePlace()).open()
    const all = Array.from({ length: MAX_EXAMPLES_PER_DIFFERENCE + 3 }, (_, index) => storedExample({}, now - index))
    await comparisons.saveExamples(all.slice(2).toReversed())
    await Promise.all(all.slice(0, 2).map((one) => comparisons.saveExamples([one])))
    expect(await comparisons.examples({})).toEqual(all.slice(0, MAX_EXAMPLES_PER_DIFFERENCE))
  })

  it('are found by context and by fingerprint, the newest first', async () => {
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

  it('of a context are of so many differences: the one whose newest is oldest goes, with all it has', {
    timeout: 60_000,
  }, async () => {
    const { comparisons } = await (await makePlace()).open()
    const of = (number: number, at: number) => storedExample({ fingerprint: `f${number}` }, at)
    const full = Array.from({ length: MAX_DIFFERENCES_PER_CONTEXT }, (_, number) => of(number, now - 10 * number))
    await comparisons.saveExamples([...full, storedExample({ context: 'orders' }, now - 100_000)])
    // The last but one has an old example too, and a new one: it is not the oldest.
    const last = MAX_DIFFERENCES_PER_CONTEXT - 1
    await comparisons.saveExamples([of(last - 1, now - 50_000), of(last - 1, now - 5)])
    expect(await comparisons.examples({ fingerprint: `f${last}` })).toHaveLength(1)
    await comparisons.saveExamples([of(last + 1, now - 1)])
    expect(await comparisons.examples({ fingerprint: `f${last}` })).toEqual([])
    expect(await comparisons.examples({ fingerprint: `f${last - 1}` })).toHaveLength(3)
    const all = await comparisons.examples({ context: 'catalog' })
    expect(new Set(all.map(({ fingerprint }) => fingerprint)).size).toBe(MAX_DIFFERENCES_PER_CONTEXT)
    expect(await comparisons.examples({ context: 'orders' })).toHaveLength(1)
    // One that is older than all of them is not taken.
    await comparisons.saveExamples([of(-1, now - 90_000)])
    expect(await comparisons.examples({ fingerprint: 'f-1' })).toEqual([])
  })

  it('that are old are not kept', async () => {
    const { comparisons } = await (await makePlace()).open()
    await comparisons.saveExamples([storedExample({}, now - EXAMPLES_RETENTION_MS - 1)])
    expect(await comparisons.examples({})).toEqual([])
    const young = storedExample({}, now - EXAMPLES_RETENTION_MS + 60_000)
    await comparisons.saveExamples([storedExample({}, now - EXAMPLES_RETENTION_MS - 1), young])
    expect(await comparisons.examples({})).toEqual([young])
  })

  it('outlive the gateway', async () => {
    const place = await makePlace()
    const all = [storedExample({}, now), storedExample({ context: 'orders' }, now - 1)]
    await (await place.open()).comparisons.saveExamples(all)
    const { comparisons } = await place.restart()
    expect(await comparisons.examples({})).toEqual(all)
  })

  it.each<[string, StoredExample]>([
    ['a context named __proto__', storedExample({ context: '__proto__' })],
    ['no fingerprint', storedExample({ fingerprint: '' })],
    ['a time that is none', storedExample({}, Number.NaN)],
    ['a header without a value', ofHeaders(['accept'])],
  ])('are never those of %s', async (_what, example) => {
    const { comparisons } = await (await makePlace()).open()
    await expect(comparisons.saveExamples([storedExample(), example])).rejects.toThrow('not an example')
    expect(await comparisons.examples({})).toEqual([])
  })
})

function ofHeaders(names: readonly string[]): StoredExample {
  const { example, ...rest } = storedExample()
  return { ...rest, example: { ...example, request: { ...example.request, headers: names.map(mask) } } }
}
