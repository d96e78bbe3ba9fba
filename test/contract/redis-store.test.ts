// Failures of Redis: it freezes, ends, returns empty or with an older state, loses a message.
import { once } from 'node:events'
import { readFile, stat, writeFile } from 'node:fs/promises'
import { type AddressInfo, connect, createServer, type Socket } from 'node:net'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { systemClock } from '../../src/entry/runtime.ts'
import { EMPTY_STATE, type SharedState } from '../../src/model/shared-state.ts'
import { type StateStore, StoreUnavailable } from '../../src/model/state-store.ts'
import { addChainFields, contentDigest } from '../../src/store/audit-chain.ts'
import { CHAIN } from '../../src/store/redis/chain-script.ts'
import { RedisStore, type RedisStoreOptions } from '../../src/store/redis/redis-store.ts'
import type { RestoreResult, StoreEvents } from '../../src/store/store-events.ts'
import { sharedByFile, whenOver } from '../kit/lifetime.ts'
import { freePort } from '../kit/origin.ts'
import { startRedis } from '../kit/redis.ts'
import { until } from '../kit/until.ts'
import { entryOf, flipped, refusal, reportOf } from './changes.ts'
import { newFolder, started } from './places.ts'

describe('a frozen Redis', () => {
  it('is reported as disconnected within the limit, and used again when it replies', async () => {
    const redis = await startRedis()
    const { store, events } = await open({ url: redis.url, limitMs: 300 })
    const first = await change(store, EMPTY_STATE)
    redis.freeze()
    for (const ask of [
      () => store.read(),
      () => store.fleet(),
      () => store.record(refusal('x')),
      () => store.history({ limit: 1 }),
    ]) {
      const askedAt = performance.now()
      await expect(ask()).rejects.toThrow(StoreUnavailable)
      expect(performance.now() - askedAt).toBeLessThan(600)
    }
    expect(store.current()).toEqual(first)
    expect(store.status()).toMatchObject({ isConnected: false, trouble: expect.stringContaining('cannot be reached') })
    expect(store.status().cutOffMs).toBeGreaterThan(200)
    expect(events.disconnected).toHaveLength(1)
    redis.thaw()
    const thawedAt = performance.now()
    await until(() => store.status().isConnected)
    expect(performance.now() - thawedAt).toBeLessThan(5000)
    expect(events.reconnected).toHaveLength(1)
    await change(store, first)
  })

  it('does not run a command later that was given up', async () => {
    const redis = await startRedis()
    const { store } = await open({ url: redis.url, limitMs: 300 })
    const first = await change(store, EMPTY_STATE)
    redis.freeze()
    const second = flipped(first, 50)
    await expect(store.commit(second, entryOf(second))).rejects.toThrow(StoreUnavailable)
    await expect(store.record(refusal('given up'))).rejects.toThrow(StoreUnavailable)
    redis.thaw()
    await until(() => store.status().isConnected)
    expect(await store.read()).toEqual(first)
    expect((await store.history({ limit: 10 })).records.map(({ generation }) => generation)).toEqual([1])
  })

  it('is not given up before it can no longer run a sent command, even if the connection has broken', async () => {
    const redis = await startRedis()
    const network = await startNetwork(redis.port)
    const { store } = await open({ url: network.url, limitMs: 400 })
    redis.freeze()
    const askedAt = performance.now()
    const recorded = store.record(refusal('sent'))
    await new Promise((resolve) => setImmediate(resolve))
    network.cut()
    await expect(recorded).rejects.toThrow(StoreUnavailable)
    expect(performance.now() - askedAt).toBeGreaterThan(380)
  })

  it('notifies the other gateways of changes when it replies again, although it never closed the subscription', async () => {
    const redis = await startRedis()
    const { store: storeA } = await open({ url: redis.url, limitMs: 300 })
    const { store: storeB } = await open({ url: redis.url, limitMs: 300 })
    redis.freeze()
    await until(() => !storeA.status().isConnected && !storeB.status().isConnected)
    redis.thaw()
    await until(() => storeA.status().isConnected && storeB.status().isConnected)
    const next = await change(storeA, EMPTY_STATE)
    await until(() => storeB.current().generation === 1)
    expect(storeB.current()).toEqual(next)
  })
})

describe('a connection that loses all bytes without an end', () => {
  it('is replaced by a new one, for commands and for messages', async () => {
    const redis = await startRedis()
    const network = await startNetwork(redis.port)
    const { store } = await open({ url: network.url, limitMs: 300 })
    const { store: other } = await open({ url: redis.url })
    network.silence()
    const first = await change(other, EMPTY_STATE)
    await until(() => store.current().generation === 1, 5000)
    await until(async () => (await redis.cli('PUBSUB', 'NUMSUB', '{strangler}:news')).endsWith('2'))
    const received = new Promise<SharedState>((resolve) => store.onChange(resolve))
    const second = await change(other, first)
    expect(await received).toEqual(second)
    await change(store, second)
    // None of the two old connections is used any more.
    await until(() => network.silentConnections() === 0)
  })
})

describe('a Redis that cannot be reached', () => {
  it('does not prevent a gateway from starting with the state of its last run', async () => {
    const redis = await startRedis()
    const stateDir = await newFolder()
    const { store } = await open({ url: redis.url, stateDir })
    const last = await change(store, EMPTY_STATE)
    await store.close()
    expect((await stat(join(stateDir, 'last-state.json'))).mode & 0o777).toBe(0o600)
    await redis.kill()

    const startedAt = performance.now()
    const { store: again } = await open({ url: redis.url, stateDir, limitMs: 400 })
    expect(performance.now() - startedAt).toBeLessThan(1000)
    expect(again.current()).toEqual(last)
    expect(again.status()).toMatchObject({ isConnected: false, trouble: expect.stringContaining('ECONNREFUSED') })
    await redis.restart()
    const backAt = performance.now()
    await until(() => again.status().isConnected)
    expect(performance.now() - backAt).toBeLessThan(5000)
    expect(await again.read()).toEqual(last)
  })

  it('delays only the first command: the next ones fail at once', async () => {
    const { store } = await open({ url: `redis://127.0.0.1:${await freePort()}`, limitMs: 300 })
    await expect(store.read()).rejects.toThrow(StoreUnavailable)
    const askedAt = performance.now()
    for (let number = 0; number < 10; number++) await expect(store.fleet()).rejects.toThrow(StoreUnavailable)
    expect(performance.now() - askedAt).toBeLessThan(300)
  })

  it('accepts a change after its restart', async () => {
    const redis = await startRedis()
    const { store } = await open({ url: redis.url })
    await redis.kill()
    await until(() => !store.status().isConnected || store.current().generation > 0, 3000)
    const next = flipped(EMPTY_STATE, 25)
    const restarted = redis.restart()
    await restarted
    await until(() => store.status().isConnected)
    expect(await store.commit(next, entryOf(next))).toEqual({ ok: true })
  })

  it('leaves a gateway with an empty state if its file of the last state cannot be read, which is reported', async () => {
    const stateDir = await newFolder()
    await writeFile(join(stateDir, 'last-state.json'), '{"state":{"generation":"many"')
    const { store, events } = await open({ url: `redis://127.0.0.1:${await freePort()}`, stateDir, limitMs: 200 })
    expect(store.current()).toEqual(EMPTY_STATE)
    expect(events.failed.map(({ message }) => message)).toEqual([expect.stringContaining('cannot be read')])
  })
})

describe('a Redis that has lost data', () => {
  it('gets state, audit log and flags from the gateway if it was emptied', async () => {
    const redis = await startRedis()
    const { store, events } = await open({ url: redis.url, gateway: 'gateway-1' })
    const first = await change(store, EMPTY_STATE)
    const second = await change(store, first)
    await store.record(refusal('no'))
    await store.saveFlagBackup({ text: '{"version":2}', at: 7 })
    const oldRecords = (await store.history({ limit: 10 })).records
    await redis.flush()
    expect(await store.read()).toEqual(second)
    expect(await redis.cli('HGET', '{strangler}:state', 'generation')).toBe('2')
    const { records } = await store.history({ limit: 10 })
    expect(records.slice(1)).toEqual(oldRecords)
    expect(records[0]).toMatchObject({
      verb: 'restore',
      before: { generation: 0 },
      after: { generation: 2, entries: 3 },
      gateway: 'gateway-1',
    })
    expect(await store.loadFlagBackup()).toEqual({ text: '{"version":2}', at: 7 })
    expect(events.restored).toEqual([{ generation: 2, found: 0, entries: 3, lost: [] }])
    expect(store.status().restored?.detail).toMatch(
      /^Redis returned empty; this gateway restored generation 2 and 3 entries/,
    )
  })

  it('gets everything from the first gateway that reconnects if it was restarted empty, and each entry once', async () => {
    const redis = await startRedis()
    const handles = await Promise.all([1, 2, 3].map(() => open({ url: redis.url })))
    const [{ store: storeA }, { store: storeB }] = handles as [Opened, Opened]
    let state = EMPTY_STATE
    for (let number = 0; number < 5; number++) state = await change(number % 2 === 0 ? storeA : storeB, state)
    await Promise.all(handles.map(({ store }) => store.record(refusal('recorded by each gateway'))))
    await redis.restart()
    await until(async () => (await redis.cli('HGET', '{strangler}:state', 'generation')) === '5')
    await until(() => handles.every(({ store }) => store.status().isConnected))
    for (const { store } of handles) expect(await store.read()).toEqual(state)
    const { records } = await storeA.history({ limit: 100 })
    expect(
      records
        .filter(({ verb }) => verb === 'flip')
        .map(({ generation, result }) => (result === 'done' ? generation : null)),
    ).toEqual([null, null, null, 5, 4, 3, 2, 1])
    expect(handles.flatMap(({ events }) => events.restored).filter((result) => result.found === 0)).toHaveLength(1)
  })

  it('gets the newer state and entries from the gateway if it returned with an older state', async () => {
    const redis = await startRedis()
    const { store, events } = await open({ url: redis.url })
    const first = await change(store, EMPTY_STATE)
    await redis.cli('SAVE')
    const second = await change(store, first)
    await store.record(refusal('after the copy'))
    await redis.restart()
    await until(() => events.restored.length > 0)
    expect(events.restored).toEqual([{ generation: 2, found: 1, entries: 2, lost: [] }])
    expect(await store.read()).toEqual(second)
    const details = (await store.history({ limit: 10 })).records.map(({ detail, generation }) => detail ?? generation)
    expect(details).toEqual([expect.stringContaining('with generation 1'), 'after the copy', 2, 1])
  })

  it('gets an entry from the gateway if it has lost only that entry', async () => {
    const redis = await startRedis()
    const { store } = await open({ url: redis.url })
    const state = await change(store, EMPTY_STATE)
    await redis.cli('SAVE')
    await store.record(refusal('after the copy'))
    await redis.restart()
    await until(async () => {
      const page = await store.history({ limit: 10 }).catch(() => undefined)
      return page?.records.some(({ detail }) => detail === 'after the copy') ?? false
    })
    expect(await store.read()).toEqual(state)
  })

  it('gets nothing from a gateway that has no state, which gets a conflict for its change', async () => {
    const redis = await startRedis()
    const { store: storeA } = await open({ url: redis.url })
    const state = await change(storeA, await change(storeA, EMPTY_STATE))
    const { store: fresh } = await open({ url: redis.url })
    expect(fresh.current()).toEqual(state)
    const mine = flipped(EMPTY_STATE, 99)
    expect(await fresh.commit(mine, entryOf(mine))).toEqual({ ok: false, conflict: state })
  })

  it('gets the highest generation, even if a gateway with a lower one reconnects first, and no gateway commits meanwhile', async () => {
    const redis = await startRedis()
    const network = await startNetwork(redis.port)
    const stateDir = await newFolder()
    const { store: late } = await open({ url: redis.url, stateDir })
    const first = await change(late, EMPTY_STATE)
    await late.close()
    const { store: storeA } = await open({ url: network.url })
    const second = await change(storeA, first)
    network.cut()
    await redis.flush()
    const { store: behind } = await open({ url: redis.url, stateDir })
    expect(await redis.cli('HGET', '{strangler}:state', 'generation')).toBe('1')
    const wanted = flipped(first, 77, 'eve')
    const committed = behind.commit(wanted, entryOf(wanted, 'eve'))
    network.repair()
    expect(await committed).toEqual({ ok: false, conflict: second })
    await until(() => behind.current().generation === 2)
    expect(storeA.current()).toEqual(second)
  })

  it('gets only entries, and no state, from a gateway with a lower generation that reconnects later', async () => {
    const redis = await startRedis()
    const network = await startNetwork(redis.port)
    const { store: storeA, events } = await open({ url: redis.url })
    const { store: behind } = await open({ url: network.url })
    const first = await change(storeA, EMPTY_STATE)
    await until(() => behind.current().generation === 1)
    await behind.record(refusal('of one gateway only'))
    network.cut()
    const second = await change(storeA, first)
    await redis.flush()
    await storeA.read()
    network.repair()
    await until(() => behind.current().generation === 2)
    expect(await storeA.read()).toEqual(second)
    // It was restored once, and not replaced later.
    expect(events.restored.map((result) => result.found)).toEqual([0])
    const { records } = await storeA.history({ limit: 10 })
    expect(records.filter(({ detail }) => detail === 'of one gateway only')).toHaveLength(1)
  })

  it('is restored before it accepts a change that was made from its lost state', async () => {
    const redis = await startRedis()
    const { store } = await open({ url: redis.url })
    const first = await change(store, EMPTY_STATE)
    await redis.flush()
    const second = await change(store, first)
    expect(await store.read()).toEqual(second)
    const { records } = await store.history({ limit: 10 })
    expect(records.map(({ verb, generation }) => `${verb} ${generation}`)).toEqual(['flip 2', 'restore null', 'flip 1'])
  })

  it('gets the state of the last run from a gateway that was restarted too', async () => {
    const redis = await startRedis()
    const stateDir = await newFolder()
    const { store } = await open({ url: redis.url, stateDir })
    const state = await change(store, EMPTY_STATE)
    await store.record(refusal('no'))
    await store.close()
    await redis.restart()
    const { store: again } = await open({ url: redis.url, stateDir })
    expect(await again.read()).toEqual(state)
    expect((await again.history({ limit: 10 })).records.map(({ verb, result }) => `${verb} ${result}`)).toEqual([
      'restore done',
      'flip refused',
      'flip done',
    ])
  })

  it('gets a merged state above both if two gateways made the same generation, and the replaced change is reported', async () => {
    const redis = await startRedis()
    const { store, events } = await open({ url: redis.url })
    await change(store, EMPTY_STATE, 25)
    const other = flipped(EMPTY_STATE, 75, 'eve')
    await redis.cli('HSET', '{strangler}:state', 'text', JSON.stringify(other))
    const merged = await store.read()
    expect(merged.generation).toBe(2)
    expect([other.contexts.catalog, flipped(EMPTY_STATE, 25).contexts.catalog]).toContainEqual(merged.contexts.catalog)
    expect(events.restored.map(({ lost }) => lost)).toEqual([
      [expect.stringMatching(/^flip of catalog by \w+ \(generation 1\)$/)],
    ])
  })
})

describe('a Redis that lost the newest writes in a failover, and accepted other ones', () => {
  /** Disconnects `storeA` after a change that Redis then loses; the other gateway continues from the older state. */
  async function failOver(since: (store: StateStore, first: SharedState) => Promise<SharedState>) {
    const redis = await startRedis()
    const network = await startNetwork(redis.port)
    const { store: storeA, events } = await open({ url: network.url, gateway: 'gateway-1' })
    const first = await change(storeA, EMPTY_STATE, 5)
    await redis.cli('SAVE')
    await since(storeA, first)
    network.cut()
    await redis.restart()
    const { store: storeB } = await open({ url: redis.url })
    const last = await change(storeB, await change(storeB, first, 10), 20)
    network.repair()
    return { storeA, storeB, events, last }
  }

  const kill = (state: SharedState, verb: 'kill' | 'revive'): SharedState => {
    const [generation, stamp] = [state.generation + 1, { by: 'ada', reason: null, at: Date.now() }]
    return { ...state, generation, kill: verb === 'kill' ? stamp : null, killChange: { ...stamp, verb, generation } }
  }
  const commit = async (store: StateStore, next: SharedState) => {
    expect(await store.commit(next, entryOf(next))).toEqual({ ok: true })
    return next
  }

  it('gets an acknowledged kill with a generation above all, and keeps the changes of the others', async () => {
    const { storeA, storeB, last } = await failOver((store, first) => commit(store, kill(first, 'kill')))
    await until(() => storeB.current().kill !== null)
    await until(() => storeA.current().generation === 4)
    expect(storeA.current()).toEqual(storeB.current())
    expect(storeB.current()).toMatchObject({ generation: 4, contexts: last.contexts, kill: { by: 'ada' } })
    const restores = async () => (await storeB.history({ limit: 10 })).records.filter(({ verb }) => verb === 'restore')
    await until(async () => (await restores()).length > 0)
    expect(await restores()).toMatchObject([{ gateway: 'gateway-1' }])
  })

  it('gets an acknowledged revive', async () => {
    const { storeA, storeB } = await failOver(async (store, first) =>
      commit(store, kill(await commit(store, kill(first, 'kill')), 'revive')),
    )
    await until(() => storeA.current().generation > 3)
    expect(storeB.current().kill).toBeNull()
    expect(storeA.current()).toMatchObject({ kill: null, killChange: { verb: 'revive' } })
  })

  it('keeps the later change of a context, and the replaced change is reported', async () => {
    const { storeA, events, last } = await failOver((store, first) => commit(store, flipped(first, 77, 'ada')))
    await until(() => events.restored.length > 0)
    expect(events.restored[0]?.lost).toEqual(['flip of catalog by ada (generation 2)'])
    await until(async () => (await storeA.read()).generation === last.generation)
    await until(async () => (await storeA.history({ limit: 10 })).records.some(({ verb }) => verb === 'restore'))
    const { records } = await storeA.history({ limit: 10 })
    expect(records.find(({ verb }) => verb === 'restore')?.detail).toContain(
      'later changes have replaced these, review them: flip of catalog by ada (generation 2)',
    )
    expect(storeA.status().restored?.detail).toContain('flip of catalog by ada (generation 2)')
  })
})

describe('the members of a fleet whose Redis has lost its data', () => {
  const member = (id: string) => ({ ...reportOf(id, 1), instance: `process of ${id}` })
  const idsOf = async (store: StateStore) => (await store.fleet()).map(({ id }) => id).toSorted()

  it('are listed as silent until their next heartbeat, also by a gateway that was restarted', async () => {
    const redis = await startRedis()
    const stateDir = await newFolder()
    const { store: storeA } = await open({ url: redis.url, stateDir })
    const { store: storeB } = await open({ url: redis.url })
    await storeA.sendHeartbeat(member('storeA'))
    await storeB.sendHeartbeat(member('storeB'))
    await storeB.sendHeartbeat(reportOf('of the previous version'))
    await until(async () =>
      (await readFile(join(stateDir, 'last-state.json'), 'utf8').catch(() => '')).includes('storeB'),
    )
    await redis.flush()
    await storeA.sendHeartbeat(member('storeA'))
    expect(await idsOf(storeA)).toEqual(['storeA', 'storeB'])
    await storeA.close()
    const { store: again } = await open({ url: redis.url, stateDir })
    expect(await idsOf(again)).toEqual(['storeA', 'storeB'])
    expect((await again.fleet()).find(({ id }) => id === 'storeB')).toMatchObject({ instance: 'process of storeB' })
    await storeB.sendHeartbeat({ ...member('storeB'), applied: 2 })
    expect((await again.fleet()).find(({ id }) => id === 'storeB')).toMatchObject({ applied: 2 })
  })

  it('are not listed until their next heartbeat if they were removed, even if a gateway missed the removal', async () => {
    const redis = await startRedis()
    const network = await startNetwork(redis.port)
    const [{ store: storeA }, { store: behind }] = [await open({ url: redis.url }), await open({ url: network.url })]
    await storeA.sendHeartbeat(member('gone'))
    await until(async () => (await idsOf(behind)).includes('gone'))
    network.cut()
    await storeA.removeMember('gone')
    network.repair()
    await until(() => behind.status().isConnected)
    expect(await idsOf(behind)).toEqual([])
    await redis.flush()
    expect(await idsOf(behind)).toEqual([])
    expect(await idsOf(storeA)).toEqual([])
    await storeA.sendHeartbeat(member('gone'))
    expect(await idsOf(behind)).toEqual(['gone'])
  })

  it('are removed after the configured time', async () => {
    const redis = await startRedis()
    const { store } = await open({ url: redis.url, forgetAfterMs: 500 })
    await store.sendHeartbeat(member('gone'))
    await redis.flush()
    expect(await idsOf(store)).toEqual(['gone'])
    await until(async () => (await idsOf(store)).length === 0)
    expect(await redis.cli('HLEN', '{strangler}:fleet')).toBe('0')
  })
})

const shared = sharedByFile(() => startRedis())

describe('a message to the other gateways', () => {
  it('arrives within milliseconds', async () => {
    const [{ store: storeA }, { store: storeB }] = [await openOwn(), await openOwn('same')]
    expect(storeB.current()).toEqual(EMPTY_STATE)
    await storeA.close()
    const { store: third } = await openOwn('same')
    let state = EMPTY_STATE
    const tookMs: number[] = []
    for (let number = 1; number <= 20; number++) {
      const received = new Promise((resolve) => {
        const leave = storeB.onChange(() => {
          leave()
          resolve(undefined)
        })
      })
      const from = performance.now()
      state = await change(third, state)
      await received
      tookMs.push(performance.now() - from)
    }
    const median = tookMs.toSorted((a, b) => a - b)[10] as number
    expect(median).toBeLessThan(250)
  })

  it('that was lost is replaced by the next read within two seconds', async () => {
    const { store, prefix } = await openOwn()
    const next = flipped(EMPTY_STATE, 25)
    // No message is published for this change.
    await shared().cli('HSET', `{${prefix}}:state`, 'generation', '1', 'text', JSON.stringify(next))
    const from = performance.now()
    await until(() => store.current().generation === 1)
    expect(performance.now() - from).toBeLessThan(2000)
    expect(store.current()).toEqual(next)
  })

  it('arrives after the subscription was interrupted and renewed', async () => {
    const [{ store: storeA, prefix }, { store: storeB }] = [await openOwn('cut'), await openOwn('cut')]
    await shared().cli('CLIENT', 'KILL', 'TYPE', 'pubsub')
    const first = await change(storeA, EMPTY_STATE)
    await until(() => storeB.current().generation === 1, 2000)
    await until(async () => /\d+$/.exec(await shared().cli('PUBSUB', 'NUMSUB', `{${prefix}}:news`))?.[0] === '2')
    const received = new Promise<SharedState>((resolve) => storeB.onChange(resolve))
    const second = await change(storeA, first)
    expect(await received).toEqual(second)
  })

  it('that is invalid changes nothing and is reported', async () => {
    const { store, prefix, events } = await openOwn()
    await shared().cli('PUBLISH', `{${prefix}}:news`, 'state\n9\n\n{"generation":9,"__proto__":{}}')
    await until(() => events.failed.length > 0)
    expect(store.current()).toEqual(EMPTY_STATE)
  })
})

describe('stored data in Redis', () => {
  it.each([
    ['text that is not JSON', (key: string) => ['HSET', key, 'generation', '5', 'text', '{"generation"']],
    ['JSON with missing fields', (key: string) => ['HSET', key, 'generation', '5', 'text', '{"generation":5}']],
    [
      'a context named __proto__',
      (key: string) => [
        'HSET',
        key,
        'generation',
        '5',
        'text',
        '{"generation":5,"kill":null,"contexts":{"__proto__":{"pin":null,"freeze":null,"flip":null,"changed":null}},"flags":null}',
      ],
    ],
    ['a generation that is not a number', (key: string) => ['HSET', key, 'generation', 'many', 'text', '{}']],
    ['a key of another type', (key: string) => ['SADD', key, 'x']],
  ])('is reported and not adopted if the state is %s, until an operator deletes the key', async (_what, garbage) => {
    const { store, prefix, events } = await openOwn()
    const state = await change(store, EMPTY_STATE)
    // In one script: otherwise the store would restore its state between the two commands.
    const replace = "redis.call('DEL', KEYS[1]); return redis.call(unpack(ARGV))"
    const key = `{${prefix}}:state`
    await shared().cli('EVAL', replace, '1', key, ...garbage(key))
    await expect(store.read()).rejects.toThrow(StoreUnavailable)
    expect(store.current()).toEqual(state)
    expect(store.status().isConnected).toBe(false)
    expect(events.disconnected).toHaveLength(1)
    await store.sendHeartbeat(reportOf('gateway-1'))
    expect(events.reconnected).toHaveLength(0)
    await shared().cli('DEL', `{${prefix}}:state`)
    expect(await store.read()).toEqual(state)
    expect(await shared().cli('HGET', `{${prefix}}:state`, 'generation')).toBe('1')
    expect(store.status().isConnected).toBe(true)
  })

  it('includes at most 10,000 entries of the audit log, and the number of dropped ones', async () => {
    const { store, prefix } = await openOwn()
    const line = JSON.stringify(refusal('old'))
    await shared().cli(
      'EVAL',
      `for i = 1, 10000 do redis.call('ZADD', KEYS[1], i, string.format('%016.0f', i) .. ' ' .. ARGV[1]) end`,
      '1',
      `{${prefix}}:audit`,
      line,
    )
    await store.record(refusal('new'))
    await store.record(refusal('newer'))
    const page = await store.history({ limit: 2 })
    expect(page.dropped).toBe(2)
    expect(page.records.map(({ detail }) => detail)).toEqual(['newer', 'new'])
    expect(await shared().cli('ZCARD', `{${prefix}}:audit`)).toBe('10000')
  })

  it.each<[string, (members: string[]) => [string[], string[]], number, string]>([
    ['an edited entry', ([, b = '']) => [[b], [b.replace('no 1', 'no 9')]], 1, 'edited'],
    ['a removed entry', ([, b = '']) => [[b], []], 1, 'missing'],
    [
      'two entries with exchanged positions',
      ([, b = '', c = '']) => [
        [b, c],
        [b.slice(0, 16) + c.slice(16), c.slice(0, 16) + b.slice(16)],
      ],
      1,
      'reordered',
    ],
  ])('includes a hash chain in which the verification finds %s', async (_, edit, verified, fault) => {
    const { store, prefix } = await openOwn()
    for (let number = 0; number < 4; number++) await store.record(refusal(`no ${number}`))
    const key = `{${prefix}}:audit`
    // A read confirms the entries: a gateway restores an unconfirmed entry that is missing.
    await store.read()
    const [removed, added] = edit((await shared().cli('ZRANGE', key, '0', '-1')).split('\n'))
    await shared().cli('ZREM', key, ...removed)
    for (const member of added) await shared().cli('ZADD', key, member.slice(0, 16), member)
    expect(await store.verifyHistory()).toMatchObject({ verified, broken: { fault } })
  })

  it('includes a hash chain that continues behind removed entries and entries of an older gateway', async () => {
    const { store, prefix } = await openOwn()
    const key = `{${prefix}}:audit`
    for (let number = 0; number < 4; number++) await store.record(refusal(`no ${number}`))
    const [first, second] = (await store.history({ limit: 10 })).records.map(({ hash }) => hash).reverse()
    await store.read()
    await shared().cli('ZREMRANGEBYRANK', key, '0', '1')
    const position = String(Date.now() * 1000)
    await shared().cli('ZADD', key, position, `${position} ${JSON.stringify(refusal('of 0.1.0'))}`)
    await store.record(refusal('after'))
    expect(first).not.toBe(second)
    expect(await store.verifyHistory()).toMatchObject({
      verified: 3,
      unchained: 1,
      unchainedAfterStart: 1,
      branches: 0,
      startsAfter: second,
      broken: null,
    })
  })

  it('includes a hash chain with a branch if entries were restored among newer ones', async () => {
    const { store, prefix } = await openOwn()
    const key = `{${prefix}}:audit`
    for (let number = 0; number < 3; number++) await store.record(refusal(`no ${number}`))
    const members = (await shared().cli('ZRANGE', key, '0', '-1')).split('\n')
    await store.close()
    await shared().cli('ZREM', key, ...members.slice(1))
    const { store: other } = await openOwn(prefix.replace('test-', ''))
    await other.record(refusal('meanwhile'))
    for (const member of members.slice(1)) await shared().cli('ZADD', key, member.slice(0, 16), member)
    expect(await other.verifyHistory()).toMatchObject({ verified: 4, branches: 1, broken: null })
  })

  it('includes an entry without a hash if the server has no bit library for scripts', async () => {
    const entry = JSON.stringify(refusal('no'))
    const script = (begin: string) => `${begin} local AUDIT = KEYS[1] ${CHAIN} return chained(ARGV[1], ARGV[2])`
    const run = (begin: string) =>
      shared().cli('EVAL', script(begin), '1', '{nothing}:audit', entry, contentDigest(refusal('no')))
    expect(await run('')).toBe(addChainFields(entry, null))
    expect(await run('local bit')).toBe(entry)
  })

  it('includes a log in the order of writing, even if the clock of Redis was set back', async () => {
    const { store, prefix } = await openOwn()
    const ahead = String((Date.now() + 3_600_000) * 1000)
    await shared().cli('ZADD', `{${prefix}}:audit`, ahead, `${ahead} ${JSON.stringify(refusal('before'))}`)
    await store.record(refusal('after'))
    await store.record(refusal('at last'))
    const { records } = await store.history({ limit: 10 })
    expect(records.map(({ detail }) => detail)).toEqual(['at last', 'after', 'before'])
  })

  it('includes no gateway that was silent for 15 minutes', async () => {
    const { store, prefix } = await openOwn()
    await store.sendHeartbeat(reportOf('here'))
    const lastHeartbeat = Date.now() - 14 * 60_000
    await shared().cli('HSET', `{${prefix}}:fleet`, 'quiet', `${lastHeartbeat} ${JSON.stringify(reportOf('quiet'))}`)
    await shared().cli(
      'HSET',
      `{${prefix}}:fleet`,
      'gone',
      `${lastHeartbeat - 2 * 60_000} ${JSON.stringify(reportOf('gone'))}`,
    )
    const fleet = await store.fleet()
    expect(fleet.map(({ id }) => id).toSorted()).toEqual(['here', 'quiet'])
    const quiet = fleet.find(({ id }) => id === 'quiet')?.silentMs ?? 0
    expect(quiet).toBeGreaterThanOrEqual(14 * 60_000)
    expect(quiet).toBeLessThan(14 * 60_000 + 20_000)
    expect(await shared().cli('HKEYS', `{${prefix}}:fleet`)).not.toContain('gone')
  })
})

describe('the time of the store', () => {
  it('is the time of Redis, also if the clock of the gateway is an hour ahead', async () => {
    const hour = 3_600_000
    const clock = { now: systemClock.now, wallTime: () => Date.now() + hour }
    const { store: late, prefix } = await openOwn('time', { clock })
    const { store: right } = await openOwn('time')
    expect(Math.abs(late.wallTime() - Date.now())).toBeLessThan(500)
    await late.sendHeartbeat(reportOf('late'))
    expect((await right.fleet())[0]?.silentMs).toBeLessThan(5000)
    expect((await late.fleet())[0]?.silentMs).toBeLessThan(5000)
    const state = await change(late, EMPTY_STATE)
    expect(await right.read()).toEqual(state)
    expect(prefix).toContain('time')
  })

  it('does not prevent a change if the clock of Redis was set forward since the last read', async () => {
    let behindMs = 0
    const clock = { now: () => performance.now() - behindMs, wallTime: () => Date.now() }
    const { store } = await openOwn(undefined, { clock })
    // From the view of the gateway, Redis is now an hour ahead of the last measurement, and so of every deadline.
    behindMs = 3_600_000
    await change(store, EMPTY_STATE)
    expect(Math.abs(store.wallTime() - Date.now())).toBeLessThan(500)
  })
})

type Opened = { readonly store: StateStore; readonly events: RecordedEvents; readonly prefix: string }
type RecordedEvents = {
  readonly failed: Error[]
  readonly disconnected: string[]
  readonly reconnected: number[]
  readonly restored: RestoreResult[]
}

async function open(options: Partial<RedisStoreOptions> & { readonly url: string }): Promise<Opened> {
  const events: RecordedEvents = { failed: [], disconnected: [], reconnected: [], restored: [] }
  const listeners: StoreEvents = {
    failed: (error) => void events.failed.push(error),
    disconnected: (reason) => void events.disconnected.push(reason),
    reconnected: (ms) => void events.reconnected.push(ms),
    restored: (facts) => void events.restored.push(facts),
  }
  const store = await started(new RedisStore({ clock: systemClock, events: listeners, ...options }))
  return { store, events, prefix: options.prefix ?? 'strangler' }
}

let opened = 0

/** Opens a store with its own keys, or with those of a name, in the Redis that the tests of this file share. */
function openOwn(name = `own-${++opened}`, options: Partial<RedisStoreOptions> = {}): Promise<Opened> {
  return open({ url: shared().url, prefix: `test-${name}`, ...options })
}

/** Commits the next change. @returns the new state */
async function change(
  store: StateStore,
  from: SharedState,
  percentage = 10 * (from.generation + 1),
): Promise<SharedState> {
  const next = flipped(from, percentage)
  expect(await store.commit(next, entryOf(next))).toEqual({ ok: true })
  return next
}

/** A network between gateway and Redis. A test can make its connections lose all bytes, or close them. */
async function startNetwork(port: number) {
  const pairs = new Set<{ readonly inner: Socket; readonly outer: Socket; isSilent: boolean }>()
  let isCut = false
  const server = createServer((outer) => {
    if (isCut) {
      outer.destroy()
      return
    }
    const inner = connect(port, '127.0.0.1')
    const pair = { inner, outer, isSilent: false }
    pairs.add(pair)
    outer.on('data', (bytes) => void (pair.isSilent || inner.write(bytes)))
    inner.on('data', (bytes) => void (pair.isSilent || outer.write(bytes)))
    for (const socket of [inner, outer]) socket.on('error', () => {})
    outer.on('close', () => {
      pairs.delete(pair)
      inner.destroy()
    })
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  whenOver(() => {
    for (const { inner, outer } of pairs) for (const socket of [inner, outer]) socket.destroy()
    server.close()
  })
  return {
    url: `redis://127.0.0.1:${(server.address() as AddressInfo).port}`,
    silence: () => {
      for (const pair of pairs) pair.isSilent = true
    },
    cut: () => {
      isCut = true
      for (const { outer } of pairs) outer.destroy()
    },
    repair: () => {
      isCut = false
    },
    silentConnections: () => [...pairs].filter(({ isSilent }) => isSilent).length,
  }
}
