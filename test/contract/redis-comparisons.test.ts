// Comparisons in Redis: every key expires, and a Redis that cannot be reached is reported within the limit.
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

describe('stored comparisons in Redis', () => {
  it('expire with their period, if they are counts', async () => {
    const { comparisons, key } = await openOwn()
    await comparisons.saveCounts('gateway-1', [matched(1), matched(2, { start: stretch(5) })])
    const forgottenAt = stretch() + COUNT_PERIOD_MS + COUNTS_RETENTION_MS
    expect(await expiryOf(key(`counts:${stretch()}`))).toBe(forgottenAt)
    expect(await expiryOf(key(`counts:${stretch(5)}`))).toBe(forgottenAt - 5 * COUNT_PERIOD_MS)
    expect(await expiryOf(key('stretches'))).toBe(forgottenAt)
  })

  it('expire with the newest example of their context, if they are examples', async () => {
    const { comparisons, key } = await openOwn()
    const time = Date.now() - 1000
    await comparisons.saveExamples([storedExample({}, time), storedExample({ context: 'orders' }, time - 5000)])
    await comparisons.saveExamples([storedExample({ context: 'orders' }, time - 9000)])
    for (const part of ['examples', 'example-ids']) {
      expect(await expiryOf(key(`${part}:catalog`))).toBe(time + EXAMPLES_RETENTION_MS)
      expect(await expiryOf(key(`${part}:orders`))).toBe(time - 5000 + EXAMPLES_RETENTION_MS)
    }
    expect(await expiryOf(key('examples'))).toBe(time + EXAMPLES_RETENTION_MS)
  })

  it('expire in time, even if the clock of the writer is years ahead', async () => {
    const { comparisons, key, keys } = await openOwn()
    const years = 100_000 * COUNT_PERIOD_MS
    await comparisons.saveCounts('gateway-1', [matched(1, { start: stretch() + years })])
    await comparisons.saveExamples([storedExample({}, Date.now() + years)])
    const latest = Date.now() + COUNTS_RETENTION_MS + COUNT_PERIOD_MS
    const names = await keys()
    expect(names).toHaveLength(5)
    for (const name of names) {
      const end = await expiryOf(name)
      expect(end, name).toBeGreaterThan(Date.now())
      expect(end, name).toBeLessThanOrEqual(latest)
    }
    expect(key('')).toContain('{test-')
  })

  it('are not read and not listed after they have expired', async () => {
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

  it('have one field for each route and writer, and no surplus examples', async () => {
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

  it('include no expired example, even if its context has newer ones', async () => {
    const { comparisons, key } = await openOwn()
    await comparisons.saveExamples([
      storedExample({}, Date.now() - EXAMPLES_RETENTION_MS),
      storedExample({}, Date.now()),
    ])
    expect(await shared().cli('HLEN', key('examples:catalog'))).toBe('1')
    expect(await shared().cli('ZCARD', key('example-ids:catalog'))).toBe('1')
  })

  it('include nothing of a period that has already expired', async () => {
    const { comparisons, keys } = await openOwn()
    await comparisons.saveCounts('gateway-1', [matched(1, { start: stretch(1000) })])
    expect(await keys()).toEqual([''])
  })

  it('are returned without an example that was just evicted', async () => {
    const { comparisons, key, errors } = await openOwn()
    await comparisons.saveExamples([storedExample()])
    await shared().cli('ZADD', key('example-ids:catalog'), String(Date.now()), 'abc def')
    expect(await comparisons.examples({})).toHaveLength(1)
    expect(errors).toEqual([])
  })

  it.each(['', 'garbage', '{}', '{"__proto__":{}}'])(
    'are returned without an invalid value, which is reported once: %j',
    async (text) => {
      const { comparisons, key, errors } = await openOwn()
      await comparisons.saveCounts('gateway-1', [matched(1)])
      await comparisons.saveExamples([storedExample({}, 1 + Date.now() - COUNT_PERIOD_MS)])
      await shared().cli('HSET', key(`counts:${stretch()}`), '["catalog","GET /","x"]', text)
      await shared().cli('HSET', key('examples:catalog'), 'abc def', text || 'garbage')
      await shared().cli('ZADD', key('example-ids:catalog'), String(Date.now()), 'abc def')
      for (let round = 0; round < 3; round++) {
        expect(await comparisons.counts({ from: 0 })).toEqual([matched(1)])
        expect(await comparisons.examples({})).toHaveLength(1)
      }
      expect(errors.map(({ message }) => message)).toEqual([
        `a value in ${key(`counts:${stretch()}`)} cannot be read, and is left out`,
        `a value in ${key('examples:catalog')} cannot be read, and is left out`,
      ])
    },
  )
})

describe('comparisons in a Redis that cannot be reached', () => {
  it('fail within the limit, and work again after its restart', async () => {
    const redis = await startRedis()
    const store = await open(redis.url)
    await redis.kill()
    await expectAllToFail(store, 600)
    await redis.restart()
    await until(() => store.status().isConnected)
    await store.comparisons.saveCounts('gateway-1', [matched(1)])
    expect(await store.comparisons.counts({ from: 0 })).toEqual([matched(1)])
  })

  it('fail within the limit if Redis was never reached', async () => {
    await expectAllToFail(await open(`redis://127.0.0.1:${await freePort()}`), 600)
  })

  it('are not replaced by older ones after a frozen Redis has resumed', async () => {
    const redis = await startRedis()
    const store = await open(redis.url)
    await store.comparisons.saveCounts('gateway-1', [matched(2)])
    redis.freeze()
    await expect(store.comparisons.saveCounts('gateway-1', [matched(1)])).rejects.toThrow(StoreUnavailable)
    await expectAllToFail(store, 600)
    redis.thaw()
    await until(() => store.status().isConnected)
    expect(await store.comparisons.counts({ from: 0 })).toEqual([matched(2)])
  })

  it('fail at once if the store was closed', async () => {
    const { store } = await openOwn()
    await store.close()
    await expectAllToFail(store, 100)
  })

  it('can be read while Redis rejects writes, which stays reported as an outage', async () => {
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

async function expectAllToFail({ comparisons }: Store, withinMs: number): Promise<void> {
  for (const ask of [
    () => comparisons.saveCounts('gateway-1', [matched(1)]),
    () => comparisons.counts({ from: 0 }),
    () => comparisons.saveExamples([storedExample()]),
    () => comparisons.examples({ context: 'catalog' }),
  ]) {
    const startedAt = performance.now()
    await expect(ask()).rejects.toThrow(StoreUnavailable)
    expect(performance.now() - startedAt).toBeLessThan(withinMs)
  }
}

let opened = 0

/** Opens a store with its own keys in the Redis that the tests of this file share. */
async function openOwn() {
  const prefix = `test-comparisons-${++opened}`
  const errors: Error[] = []
  const store = await open(shared().url, { prefix, errors })
  const key = (name: string) => `{${prefix}}:${name}`
  const keys = async () => (await shared().cli('KEYS', key('*'))).split('\n')
  return { store, comparisons: store.comparisons, errors, key, keys }
}

function open(url: string, { prefix = 'strangler', errors = [] as Error[] } = {}): Promise<Store> {
  const events = { ...NO_EVENTS, failed: (error: Error) => void errors.push(error) }
  return started(new RedisStore({ url, prefix, clock: systemClock, events, limitMs: 300 }))
}

/** The expiry of a key, in milliseconds since 1970. */
async function expiryOf(key: string): Promise<number> {
  return Number(await shared().cli('PEXPIRETIME', key))
}
