// What Redis promises beside: that everything in it has an end, and what becomes of it while Redis is gone.
import { describe, expect, it } from 'vitest'
import { systemClock } from '../../src/entry/runtime.ts'
import { COUNT_PERIOD_MS } from '../../src/model/comparison-counts.ts'
import { COUNTS_RETENTION_MS, EXAMPLES_RETENTION_MS } from '../../src/model/comparison-store.ts'
import { StoreUnavailable } from '../../src/model/state-store.ts'
import type { Store } from '../../src/model/store.ts'
import { matched, storedExample, stretch } from '../../src/store/comparisons.test-kit.ts'
import { RedisStore } from '../../src/store/redis/redis-store.ts'
import { NO_EVENTS } from '../../src/store/store-events.ts'
import { sharedByFile } from '../kit/lifetime.ts'
import { freePort } from '../kit/origin.ts'
import { startRedis } from '../kit/redis.ts'
import { until } from '../kit/until.ts'
import { started } from './places.ts'

const shared = sharedByFile(() => startRedis())

describe('what is kept in Redis', () => {
  it('has an end: counts when their stretch is forgotten', async () => {
    const { comparisons, key } = await openOwn()
    await comparisons.saveCounts('gateway-1', [matched(1), matched(2, { start: stretch(5) })])
    const forgottenAt = stretch() + COUNT_PERIOD_MS + COUNTS_RETENTION_MS
    expect(await endOf(key(`counts:${stretch()}`))).toBe(forgottenAt)
    expect(await endOf(key(`counts:${stretch(5)}`))).toBe(forgottenAt - 5 * COUNT_PERIOD_MS)
    expect(await endOf(key('stretches'))).toBe(forgottenAt)
  })

  it('has an end: examples when the newest of a context is', async () => {
    const { comparisons, key } = await openOwn()
    const at = Date.now() - 1000
    await comparisons.saveExamples([storedExample({}, at), storedExample({ context: 'orders' }, at - 5000)])
    await comparisons.saveExamples([storedExample({ context: 'orders' }, at - 9000)])
    for (const part of ['examples', 'example-ids']) {
      expect(await endOf(key(`${part}:catalog`))).toBe(at + EXAMPLES_RETENTION_MS)
      expect(await endOf(key(`${part}:orders`))).toBe(at - 5000 + EXAMPLES_RETENTION_MS)
    }
    expect(await endOf(key('examples'))).toBe(at + EXAMPLES_RETENTION_MS)
  })

  it('has an end, though the clock of who made it is years ahead', async () => {
    const { comparisons, key, keys } = await openOwn()
    const years = 100_000 * COUNT_PERIOD_MS
    await comparisons.saveCounts('gateway-1', [matched(1, { start: stretch() + years })])
    await comparisons.saveExamples([storedExample({}, Date.now() + years)])
    const latest = Date.now() + COUNTS_RETENTION_MS + COUNT_PERIOD_MS
    const all = await keys()
    expect(all).toHaveLength(5)
    for (const one of all) {
      const end = await endOf(one)
      expect(end, one).toBeGreaterThan(Date.now())
      expect(end, one).toBeLessThanOrEqual(latest)
    }
    expect(key('')).toContain('{test-')
  })

  it('is not asked for once it is gone, nor listed any more', async () => {
    const { comparisons, key } = await openOwn()
    await shared().cli('ZADD', key('stretches'), '1', String(stretch(1)), '2', String(stretch(2)))
    await shared().cli('HSET', key(`counts:${stretch(1)}`), 'x', 'never read')
    await shared().cli('ZADD', key('examples'), '1', 'gone')
    await shared().cli('HSET', key('example-ids:gone'), 'x', 'never read')
    expect(await comparisons.counts({ from: 0 })).toEqual([])
    expect(await comparisons.examples({})).toEqual([])
    await comparisons.saveCounts('gateway-1', [matched(1)])
    await comparisons.saveExamples([storedExample()])
    expect(await shared().cli('ZRANGE', key('stretches'), '0', '-1')).toBe(String(stretch()))
    expect(await shared().cli('ZRANGE', key('examples'), '0', '-1')).toBe('catalog')
  })

  it('is one field for each route and writer, and of examples no more than are kept', async () => {
    const { comparisons, key } = await openOwn()
    for (const times of [1, 2, 3]) {
      await comparisons.saveCounts('gateway-1', [matched(times), matched(times, { route: 'GET /other' })])
      await comparisons.saveCounts('gateway-2', [matched(times)])
      await comparisons.saveExamples([
        storedExample({}, Date.now() - times),
        storedExample({}, Date.now() - 10 * times),
      ])
    }
    expect(await shared().cli('HLEN', key(`counts:${stretch()}`))).toBe('3')
    expect(await shared().cli('HLEN', key('examples:catalog'))).toBe('3')
    expect(await shared().cli('ZCARD', key('example-ids:catalog'))).toBe('3')
  })

  it('is no example that is old, though its context has younger ones', async () => {
    const { comparisons, key } = await openOwn()
    await comparisons.saveExamples([
      storedExample({}, Date.now() - EXAMPLES_RETENTION_MS),
      storedExample({}, Date.now()),
    ])
    expect(await shared().cli('HLEN', key('examples:catalog'))).toBe('1')
    expect(await shared().cli('ZCARD', key('example-ids:catalog'))).toBe('1')
  })

  it('is no trace of a stretch that is forgotten already', async () => {
    const { comparisons, keys } = await openOwn()
    await comparisons.saveCounts('gateway-1', [matched(1, { start: stretch(1000) })])
    expect(await keys()).toEqual([''])
  })

  it('an example that was just taken away is left out', async () => {
    const { comparisons, key, told } = await openOwn()
    await comparisons.saveExamples([storedExample()])
    await shared().cli('ZADD', key('example-ids:catalog'), String(Date.now()), 'abc def')
    expect(await comparisons.examples({})).toHaveLength(1)
    expect(told).toEqual([])
  })

  it.each(['', 'garbage', '{}', '{"__proto__":{}}'])(
    'that is no such thing is left out, and told once: %j',
    async (text) => {
      const { comparisons, key, told } = await openOwn()
      await comparisons.saveCounts('gateway-1', [matched(1)])
      await comparisons.saveExamples([storedExample({}, 1 + Date.now() - COUNT_PERIOD_MS)])
      await shared().cli('HSET', key(`counts:${stretch()}`), '["catalog","GET /","x"]', text)
      await shared().cli('HSET', key('examples:catalog'), 'abc def', text || 'garbage')
      await shared().cli('ZADD', key('example-ids:catalog'), String(Date.now()), 'abc def')
      for (let round = 0; round < 3; round++) {
        expect(await comparisons.counts({ from: 0 })).toEqual([matched(1)])
        expect(await comparisons.examples({})).toHaveLength(1)
      }
      expect(told.map(({ message }) => message)).toEqual([
        `a value in ${key(`counts:${stretch()}`)} cannot be read, and is left out`,
        `a value in ${key('examples:catalog')} cannot be read, and is left out`,
      ])
    },
  )
})

describe('a Redis that is gone', () => {
  it('is given up within the limit, and refuses at once whoever asks then', async () => {
    const redis = await startRedis()
    const store = await open(redis.url)
    await redis.kill()
    await everyQuestionFails(store, 600)
    await redis.restart()
    await until(() => store.status().isConnected)
    await store.comparisons.saveCounts('gateway-1', [matched(1)])
    expect(await store.comparisons.counts({ from: 0 })).toEqual([matched(1)])
  })

  it('was never there', async () => {
    await everyQuestionFails(await open(`redis://127.0.0.1:${await freePort()}`), 600)
  })

  it('because it is frozen does not put older counts in the place of newer ones afterwards', async () => {
    const redis = await startRedis()
    const store = await open(redis.url)
    await store.comparisons.saveCounts('gateway-1', [matched(2)])
    redis.freeze()
    await expect(store.comparisons.saveCounts('gateway-1', [matched(1)])).rejects.toThrow(StoreUnavailable)
    await everyQuestionFails(store, 600)
    redis.thaw()
    await until(() => store.status().isConnected)
    expect(await store.comparisons.counts({ from: 0 })).toEqual([matched(2)])
  })

  it('because the store was closed', async () => {
    const { store } = await openOwn()
    await store.close()
    await everyQuestionFails(store, 100)
  })

  it('for writing only is read all the same, and that it can be read does not say that it can be written', async () => {
    const redis = await startRedis()
    const store = await open(redis.url)
    await store.comparisons.saveCounts('gateway-1', [matched(1)])
    await store.comparisons.saveExamples([storedExample()])
    await redis.cli('REPLICAOF', '127.0.0.1', String(await freePort()))
    await expect(store.comparisons.saveCounts('gateway-1', [matched(2)])).rejects.toThrow('READONLY')
    await until(() =>
      store.comparisons.counts({ from: 0 }).then(
        () => true,
        () => false,
      ),
    )
    expect(await store.comparisons.counts({ from: 0 })).toEqual([matched(1)])
    expect(await store.comparisons.examples({})).toHaveLength(1)
    expect(store.status().isConnected).toBe(false)
  })
})

async function everyQuestionFails({ comparisons }: Store, withinMs: number): Promise<void> {
  for (const ask of [
    () => comparisons.saveCounts('gateway-1', [matched(1)]),
    () => comparisons.counts({ from: 0 }),
    () => comparisons.saveExamples([storedExample()]),
    () => comparisons.examples({ context: 'catalog' }),
  ]) {
    const askedAt = performance.now()
    await expect(ask()).rejects.toThrow(StoreUnavailable)
    expect(performance.now() - askedAt).toBeLessThan(withinMs)
  }
}

let opened = 0

/** Opens keys of their own in the Redis that the tests of this file share. */
async function openOwn() {
  const prefix = `test-comparisons-${++opened}`
  const told: Error[] = []
  const store = await open(shared().url, { prefix, told })
  const key = (name: string) => `{${prefix}}:${name}`
  const keys = async () => (await shared().cli('KEYS', key('*'))).split('\n')
  return { store, comparisons: store.comparisons, told, key, keys }
}

function open(url: string, { prefix = 'strangler', told = [] as Error[] } = {}): Promise<Store> {
  const events = { ...NO_EVENTS, failed: (error: Error) => void told.push(error) }
  return started(new RedisStore({ url, prefix, clock: systemClock, events, limitMs: 300 }))
}

/** When a key is gone, in milliseconds since 1970. */
async function endOf(key: string): Promise<number> {
  return Number(await shared().cli('PEXPIRETIME', key))
}
