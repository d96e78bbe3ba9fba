// What only Redis can do to a gateway: freeze, die, come back empty, come back older, lose a message.
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

describe('a Redis that is frozen', () => {
  it('is given up within the limit, said to be cut off, and used again once it answers', async () => {
    const redis = await startRedis()
    const { store, told } = await open({ url: redis.url, limitMs: 300 })
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
    expect(told.cutOff).toHaveLength(1)
    redis.thaw()
    const thawedAt = performance.now()
    await until(() => store.status().isConnected)
    expect(performance.now() - thawedAt).toBeLessThan(5000)
    expect(told.reached).toHaveLength(1)
    await change(store, first)
  })

  it('does not carry out afterwards what was given up', async () => {
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

  it('is not given up before it can no longer carry out what was sent, though the connection broke before', async () => {
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

  it('tells the others of changes once it answers, by a listening connection that it never closed', async () => {
    const redis = await startRedis()
    const { store: ours } = await open({ url: redis.url, limitMs: 300 })
    const { store: theirs } = await open({ url: redis.url, limitMs: 300 })
    redis.freeze()
    await until(() => !ours.status().isConnected && !theirs.status().isConnected)
    redis.thaw()
    await until(() => ours.status().isConnected && theirs.status().isConnected)
    const next = await change(ours, EMPTY_STATE)
    await until(() => theirs.current().generation === 1)
    expect(theirs.current()).toEqual(next)
  })
})

describe('a connection that swallows everything, for good', () => {
  it('is given up for a new one, by which both changes and news come again', async () => {
    const redis = await startRedis()
    const network = await startNetwork(redis.port)
    const { store } = await open({ url: network.url, limitMs: 300 })
    const { store: other } = await open({ url: redis.url })
    network.swallow()
    const first = await change(other, EMPTY_STATE)
    await until(() => store.current().generation === 1, 5000)
    await until(async () => (await redis.cli('PUBSUB', 'NUMSUB', '{strangler}:news')).endsWith('2'))
    const heard = new Promise<SharedState>((resolve) => store.onChange(resolve))
    const second = await change(other, first)
    expect(await heard).toEqual(second)
    await change(store, second)
    // Neither of the two connections that were swallowed is used any more.
    await until(() => network.swallowed() === 0)
  })
})

describe('a Redis that is gone', () => {
  it('does not keep a gateway from starting with the state of its last run', async () => {
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

  it('is waited for only once: who is known to be gone is refused at once', async () => {
    const { store } = await open({ url: `redis://127.0.0.1:${await freePort()}`, limitMs: 300 })
    await expect(store.read()).rejects.toThrow(StoreUnavailable)
    const askedAt = performance.now()
    for (let number = 0; number < 10; number++) await expect(store.fleet()).rejects.toThrow(StoreUnavailable)
    expect(performance.now() - askedAt).toBeLessThan(300)
  })

  it('takes a change that was begun while it was being restarted', async () => {
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

  it('keeps a last state that nobody can read from being taken, and says so', async () => {
    const stateDir = await newFolder()
    await writeFile(join(stateDir, 'last-state.json'), '{"state":{"generation":"many"')
    const { store, told } = await open({ url: `redis://127.0.0.1:${await freePort()}`, stateDir, limitMs: 200 })
    expect(store.current()).toEqual(EMPTY_STATE)
    expect(told.troubled.map(({ message }) => message)).toEqual([expect.stringContaining('cannot be read')])
  })
})

describe('a Redis that has lost something', () => {
  it('is given back state, audit log and flags, when it was emptied', async () => {
    const redis = await startRedis()
    const { store, told } = await open({ url: redis.url, gateway: 'gateway-1' })
    const first = await change(store, EMPTY_STATE)
    const second = await change(store, first)
    await store.record(refusal('no'))
    await store.saveFlagBackup({ text: '{"version":2}', at: 7 })
    const before = (await store.history({ limit: 10 })).records
    await redis.flush()
    expect(await store.read()).toEqual(second)
    expect(await redis.cli('HGET', '{strangler}:state', 'generation')).toBe('2')
    const { records } = await store.history({ limit: 10 })
    expect(records.slice(1)).toEqual(before)
    expect(records[0]).toMatchObject({
      verb: 'restore',
      before: { generation: 0 },
      after: { generation: 2, entries: 3 },
      gateway: 'gateway-1',
    })
    expect(await store.loadFlagBackup()).toEqual({ text: '{"version":2}', at: 7 })
    expect(told.restored).toEqual([{ generation: 2, found: 0, entries: 3, lost: [] }])
    expect(store.status().restored?.detail).toMatch(/^Redis had come back empty; put back generation 2 and 3 entries/)
  })

  it('is given back everything when it was restarted empty, by whoever comes first, and each entry once', async () => {
    const redis = await startRedis()
    const handles = await Promise.all([1, 2, 3].map(() => open({ url: redis.url })))
    const [{ store: ours }, { store: theirs }] = handles as [Opened, Opened]
    let state = EMPTY_STATE
    for (let number = 0; number < 5; number++) state = await change(number % 2 === 0 ? ours : theirs, state)
    await Promise.all(handles.map(({ store }) => store.record(refusal('said by each of us'))))
    await redis.restart()
    await until(async () => (await redis.cli('HGET', '{strangler}:state', 'generation')) === '5')
    await until(() => handles.every(({ store }) => store.status().isConnected))
    for (const { store } of handles) expect(await store.read()).toEqual(state)
    const { records } = await ours.history({ limit: 100 })
    expect(
      records
        .filter(({ verb }) => verb === 'flip')
        .map(({ generation, result }) => (result === 'done' ? generation : null)),
    ).toEqual([null, null, null, 5, 4, 3, 2, 1])
    expect(handles.flatMap(({ told }) => told.restored).filter(({ found }) => found === 0)).toHaveLength(1)
  })

  it('is given back what it had forgotten when it came back with an older state', async () => {
    const redis = await startRedis()
    const { store, told } = await open({ url: redis.url })
    const first = await change(store, EMPTY_STATE)
    await redis.cli('SAVE')
    const second = await change(store, first)
    await store.record(refusal('after the copy'))
    await redis.restart()
    await until(() => told.restored.length > 0)
    expect(told.restored).toEqual([{ generation: 2, found: 1, entries: 2, lost: [] }])
    expect(await store.read()).toEqual(second)
    const details = (await store.history({ limit: 10 })).records.map(({ detail, generation }) => detail ?? generation)
    expect(details).toEqual([expect.stringContaining('with generation 1'), 'after the copy', 2, 1])
  })

  it('is given back an entry that was all it had lost', async () => {
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

  it('is given nothing by a gateway that knows nothing, and keeps nobody waiting for it', async () => {
    const redis = await startRedis()
    const { store: ours } = await open({ url: redis.url })
    const state = await change(ours, await change(ours, EMPTY_STATE))
    const { store: fresh } = await open({ url: redis.url })
    expect(fresh.current()).toEqual(state)
    const mine = flipped(EMPTY_STATE, 99)
    expect(await fresh.commit(mine, entryOf(mine))).toEqual({ ok: false, conflict: state })
  })

  it('is given the highest generation, though a gateway that knows less came first, and nobody commits meanwhile', async () => {
    const redis = await startRedis()
    const network = await startNetwork(redis.port)
    const stateDir = await newFolder()
    const { store: late } = await open({ url: redis.url, stateDir })
    const first = await change(late, EMPTY_STATE)
    await late.close()
    const { store: ours } = await open({ url: network.url })
    const second = await change(ours, first)
    network.cut()
    await redis.flush()
    const { store: behind } = await open({ url: redis.url, stateDir })
    expect(await redis.cli('HGET', '{strangler}:state', 'generation')).toBe('1')
    const wanted = flipped(first, 77, 'eve')
    const committed = behind.commit(wanted, entryOf(wanted, 'eve'))
    network.mend()
    expect(await committed).toEqual({ ok: false, conflict: second })
    await until(() => behind.current().generation === 2)
    expect(ours.current()).toEqual(second)
  })

  it('is given entries, and not the state, by a gateway that knows less and comes later', async () => {
    const redis = await startRedis()
    const network = await startNetwork(redis.port)
    const { store: ours, told } = await open({ url: redis.url })
    const { store: behind } = await open({ url: network.url })
    const first = await change(ours, EMPTY_STATE)
    await until(() => behind.current().generation === 1)
    await behind.record(refusal('known to one only'))
    network.cut()
    const second = await change(ours, first)
    await redis.flush()
    await ours.read()
    network.mend()
    await until(() => behind.current().generation === 2)
    expect(await ours.read()).toEqual(second)
    // It was put back once, and never taken away again.
    expect(told.restored.map(({ found }) => found)).toEqual([0])
    const { records } = await ours.history({ limit: 10 })
    expect(records.filter(({ detail }) => detail === 'known to one only')).toHaveLength(1)
  })

  it('restores before it takes a change that was made from what it has lost', async () => {
    const redis = await startRedis()
    const { store } = await open({ url: redis.url })
    const first = await change(store, EMPTY_STATE)
    await redis.flush()
    const second = await change(store, first)
    expect(await store.read()).toEqual(second)
    const { records } = await store.history({ limit: 10 })
    expect(records.map(({ verb, generation }) => `${verb} ${generation}`)).toEqual(['flip 2', 'restore null', 'flip 1'])
  })

  it('is given back the state of the last run by a gateway that was restarted too', async () => {
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

  it('has the same generation made twice: one of the two is made anew, above both, and the other is reported', async () => {
    const redis = await startRedis()
    const { store, told } = await open({ url: redis.url })
    await change(store, EMPTY_STATE, 25)
    const other = flipped(EMPTY_STATE, 75, 'eve')
    await redis.cli('HSET', '{strangler}:state', 'text', JSON.stringify(other))
    const merged = await store.read()
    expect(merged.generation).toBe(2)
    expect([other.contexts.catalog, flipped(EMPTY_STATE, 25).contexts.catalog]).toContainEqual(merged.contexts.catalog)
    expect(told.restored.map(({ lost }) => lost)).toEqual([
      [expect.stringMatching(/^flip of catalog by \w+ \(generation 1\)$/)],
    ])
  })
})

describe('a Redis that lost the newest writes in a fail-over, and took others', () => {
  /** `ours` is cut off with what it has done since; others go on from what is left. */
  async function failOver(since: (store: StateStore, first: SharedState) => Promise<SharedState>) {
    const redis = await startRedis()
    const network = await startNetwork(redis.port)
    const { store: ours, told } = await open({ url: network.url, gateway: 'gateway-1' })
    const first = await change(ours, EMPTY_STATE, 5)
    await redis.cli('SAVE')
    await since(ours, first)
    network.cut()
    await redis.restart()
    const { store: theirs } = await open({ url: redis.url })
    const last = await change(theirs, await change(theirs, first, 10), 20)
    network.mend()
    return { ours, theirs, told, last }
  }

  const kill = (state: SharedState, verb: 'kill' | 'revive'): SharedState => {
    const [generation, stamp] = [state.generation + 1, { by: 'ada', reason: null, at: Date.now() }]
    return { ...state, generation, kill: verb === 'kill' ? stamp : null, killChange: { ...stamp, verb, generation } }
  }
  const commit = async (store: StateStore, next: SharedState) => {
    expect(await store.commit(next, entryOf(next))).toEqual({ ok: true })
    return next
  }

  it('is given back an acknowledged kill, of a generation above all, and keeps what others have done', async () => {
    const { ours, theirs, last } = await failOver((store, first) => commit(store, kill(first, 'kill')))
    await until(() => theirs.current().kill !== null)
    await until(() => ours.current().generation === 4)
    expect(ours.current()).toEqual(theirs.current())
    expect(theirs.current()).toMatchObject({ generation: 4, contexts: last.contexts, kill: { by: 'ada' } })
    const restores = async () => (await theirs.history({ limit: 10 })).records.filter(({ verb }) => verb === 'restore')
    await until(async () => (await restores()).length > 0)
    expect(await restores()).toMatchObject([{ gateway: 'gateway-1' }])
  })

  it('is given back an acknowledged revive', async () => {
    const { ours, theirs } = await failOver(async (store, first) =>
      commit(store, kill(await commit(store, kill(first, 'kill')), 'revive')),
    )
    await until(() => ours.current().generation > 3)
    expect(theirs.current().kill).toBeNull()
    expect(ours.current()).toMatchObject({ kill: null, killChange: { verb: 'revive' } })
  })

  it('keeps the later change of the same context, and reports the one that it replaces', async () => {
    const { ours, told, last } = await failOver((store, first) => commit(store, flipped(first, 77, 'ada')))
    await until(() => told.restored.length > 0)
    expect(told.restored[0]?.lost).toEqual(['flip of catalog by ada (generation 2)'])
    await until(async () => (await ours.read()).generation === last.generation)
    await until(async () => (await ours.history({ limit: 10 })).records.some(({ verb }) => verb === 'restore'))
    const { records } = await ours.history({ limit: 10 })
    expect(records.find(({ verb }) => verb === 'restore')?.detail).toContain(
      'replaced by later changes, look at them: flip of catalog by ada (generation 2)',
    )
    expect(ours.status().restored?.detail).toContain('flip of catalog by ada (generation 2)')
  })
})

describe('the members of a fleet whose Redis has lost its data', () => {
  const member = (id: string) => ({ ...reportOf(id, 1), instance: `process of ${id}` })
  const idsOf = async (store: StateStore) => (await store.fleet()).map(({ id }) => id).toSorted()

  it('are listed as silent until they report, also by a gateway that was restarted', async () => {
    const redis = await startRedis()
    const stateDir = await newFolder()
    const { store: ours } = await open({ url: redis.url, stateDir })
    const { store: theirs } = await open({ url: redis.url })
    await ours.sendHeartbeat(member('ours'))
    await theirs.sendHeartbeat(member('theirs'))
    await theirs.sendHeartbeat(reportOf('of the previous version'))
    await until(async () =>
      (await readFile(join(stateDir, 'last-state.json'), 'utf8').catch(() => '')).includes('theirs'),
    )
    await redis.flush()
    await ours.sendHeartbeat(member('ours'))
    expect(await idsOf(ours)).toEqual(['ours', 'theirs'])
    await ours.close()
    const { store: again } = await open({ url: redis.url, stateDir })
    expect(await idsOf(again)).toEqual(['ours', 'theirs'])
    expect((await again.fleet()).find(({ id }) => id === 'theirs')).toMatchObject({ instance: 'process of theirs' })
    await theirs.sendHeartbeat({ ...member('theirs'), applied: 2 })
    expect((await again.fleet()).find(({ id }) => id === 'theirs')).toMatchObject({ applied: 2 })
  })

  it('are not listed if they left or were forgotten, though a gateway did not hear of it, until they report', async () => {
    const redis = await startRedis()
    const network = await startNetwork(redis.port)
    const [{ store: ours }, { store: behind }] = [await open({ url: redis.url }), await open({ url: network.url })]
    await ours.sendHeartbeat(member('gone'))
    await until(async () => (await idsOf(behind)).includes('gone'))
    network.cut()
    await ours.removeMember('gone')
    network.mend()
    await until(() => behind.status().isConnected)
    expect(await idsOf(behind)).toEqual([])
    await redis.flush()
    expect(await idsOf(behind)).toEqual([])
    expect(await idsOf(ours)).toEqual([])
    await ours.sendHeartbeat(member('gone'))
    expect(await idsOf(behind)).toEqual(['gone'])
  })

  it('are forgotten after the time that the store was given', async () => {
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

describe('news', () => {
  it('reaches the other gateways within milliseconds', async () => {
    const [{ store: ours }, { store: theirs }] = [await openOwn(), await openOwn('same')]
    expect(theirs.current()).toEqual(EMPTY_STATE)
    await ours.close()
    const { store: third } = await openOwn('same')
    let state = EMPTY_STATE
    const tookMs: number[] = []
    for (let number = 1; number <= 20; number++) {
      const heard = new Promise((resolve) => {
        const leave = theirs.onChange(() => {
          leave()
          resolve(undefined)
        })
      })
      const from = performance.now()
      state = await change(third, state)
      await heard
      tookMs.push(performance.now() - from)
    }
    const median = tookMs.toSorted((a, b) => a - b)[10] as number
    expect(median).toBeLessThan(250)
  })

  it('that was lost is made up for within two seconds', async () => {
    const { store, prefix } = await openOwn()
    const next = flipped(EMPTY_STATE, 25)
    // Nobody publishes this one.
    await shared().cli('HSET', `{${prefix}}:state`, 'generation', '1', 'text', JSON.stringify(next))
    const from = performance.now()
    await until(() => store.current().generation === 1)
    expect(performance.now() - from).toBeLessThan(2000)
    expect(store.current()).toEqual(next)
  })

  it('is heard again after the listening connection was cut', async () => {
    const [{ store: ours, prefix }, { store: theirs }] = [await openOwn('cut'), await openOwn('cut')]
    await shared().cli('CLIENT', 'KILL', 'TYPE', 'pubsub')
    const first = await change(ours, EMPTY_STATE)
    await until(() => theirs.current().generation === 1, 2000)
    await until(async () => /\d+$/.exec(await shared().cli('PUBSUB', 'NUMSUB', `{${prefix}}:news`))?.[0] === '2')
    const heard = new Promise<SharedState>((resolve) => theirs.onChange(resolve))
    const second = await change(ours, first)
    expect(await heard).toEqual(second)
  })

  it('that is garbage changes nothing and is told', async () => {
    const { store, prefix, told } = await openOwn()
    await shared().cli('PUBLISH', `{${prefix}}:news`, 'state\n9\n\n{"generation":9,"__proto__":{}}')
    await until(() => told.troubled.length > 0)
    expect(store.current()).toEqual(EMPTY_STATE)
  })
})

describe('what is kept in Redis', () => {
  it.each([
    ['text that is no JSON', (key: string) => ['HSET', key, 'generation', '5', 'text', '{"generation"']],
    ['text of another shape', (key: string) => ['HSET', key, 'generation', '5', 'text', '{"generation":5}']],
    [
      'a prototype',
      (key: string) => [
        'HSET',
        key,
        'generation',
        '5',
        'text',
        '{"generation":5,"kill":null,"contexts":{"__proto__":{"pin":null,"freeze":null,"flip":null,"changed":null}},"flags":null}',
      ],
    ],
    ['a generation that is no number', (key: string) => ['HSET', key, 'generation', 'many', 'text', '{}']],
    ['a key of another type', (key: string) => ['SADD', key, 'x']],
  ])('is told and not taken where it is %s; deleting it mends it', async (_what, garbage) => {
    const { store, prefix, told } = await openOwn()
    const state = await change(store, EMPTY_STATE)
    // At once, or the store would put back its own in between.
    const replace = "redis.call('DEL', KEYS[1]); return redis.call(unpack(ARGV))"
    const key = `{${prefix}}:state`
    await shared().cli('EVAL', replace, '1', key, ...garbage(key))
    await expect(store.read()).rejects.toThrow(StoreUnavailable)
    expect(store.current()).toEqual(state)
    expect(store.status().isConnected).toBe(false)
    expect(told.cutOff).toHaveLength(1)
    await store.sendHeartbeat(reportOf('gateway-1'))
    expect(told.reached).toHaveLength(0)
    await shared().cli('DEL', `{${prefix}}:state`)
    expect(await store.read()).toEqual(state)
    expect(await shared().cli('HGET', `{${prefix}}:state`, 'generation')).toBe('1')
    expect(store.status().isConnected).toBe(true)
  })

  it('is 10,000 entries of the audit log, and the number of those that were dropped', async () => {
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
  ])('is a hash chain, in which %s is found', async (_, edit, verified, fault) => {
    const { store, prefix } = await openOwn()
    for (let number = 0; number < 4; number++) await store.record(refusal(`no ${number}`))
    const key = `{${prefix}}:audit`
    // A look confirms the entries: a gateway puts back an unconfirmed one that is missing.
    await store.read()
    const [removed, added] = edit((await shared().cli('ZRANGE', key, '0', '-1')).split('\n'))
    await shared().cli('ZREM', key, ...removed)
    for (const member of added) await shared().cli('ZADD', key, member.slice(0, 16), member)
    expect(await store.verifyHistory()).toMatchObject({ verified, broken: { fault } })
  })

  it('is a hash chain that goes on behind what the limit has taken away and what an older gateway has added', async () => {
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

  it('is a hash chain with a branch where entries were put back among newer ones', async () => {
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

  it('takes an entry without a hash where the server has no bit library for scripts', async () => {
    const entry = JSON.stringify(refusal('no'))
    const script = (begin: string) => `${begin} local AUDIT = KEYS[1] ${CHAIN} return chained(ARGV[1], ARGV[2])`
    const run = (begin: string) =>
      shared().cli('EVAL', script(begin), '1', '{nothing}:audit', entry, contentDigest(refusal('no')))
    expect(await run('')).toBe(addChainFields(entry, null))
    expect(await run('local bit')).toBe(entry)
  })

  it('is a log in order, though the clock of Redis was put back', async () => {
    const { store, prefix } = await openOwn()
    const ahead = String((Date.now() + 3_600_000) * 1000)
    await shared().cli('ZADD', `{${prefix}}:audit`, ahead, `${ahead} ${JSON.stringify(refusal('before'))}`)
    await store.record(refusal('after'))
    await store.record(refusal('at last'))
    const { records } = await store.history({ limit: 10 })
    expect(records.map(({ detail }) => detail)).toEqual(['at last', 'after', 'before'])
  })

  it('is forgotten of a gateway that was silent for a quarter of an hour', async () => {
    const { store, prefix } = await openOwn()
    await store.sendHeartbeat(reportOf('here'))
    const at = Date.now() - 14 * 60_000
    await shared().cli('HSET', `{${prefix}}:fleet`, 'quiet', `${at} ${JSON.stringify(reportOf('quiet'))}`)
    await shared().cli('HSET', `{${prefix}}:fleet`, 'gone', `${at - 2 * 60_000} ${JSON.stringify(reportOf('gone'))}`)
    const fleet = await store.fleet()
    expect(fleet.map(({ id }) => id).toSorted()).toEqual(['here', 'quiet'])
    const quiet = fleet.find(({ id }) => id === 'quiet')?.silentMs ?? 0
    expect(quiet).toBeGreaterThanOrEqual(14 * 60_000)
    expect(quiet).toBeLessThan(14 * 60_000 + 20_000)
    expect(await shared().cli('HKEYS', `{${prefix}}:fleet`)).not.toContain('gone')
  })
})

describe('time', () => {
  it('is that of Redis, for a gateway whose clock is an hour off too', async () => {
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

  it('that was put forward while nobody looked keeps no change from being made', async () => {
    let behindMs = 0
    const clock = { now: () => performance.now() - behindMs, wallTime: () => Date.now() }
    const { store } = await openOwn(undefined, { clock })
    // As seen from here: Redis is an hour ahead of what was measured, and of every last moment that is made of it.
    behindMs = 3_600_000
    await change(store, EMPTY_STATE)
    expect(Math.abs(store.wallTime() - Date.now())).toBeLessThan(500)
  })
})

type Opened = { readonly store: StateStore; readonly told: Told; readonly prefix: string }
type Told = {
  readonly troubled: Error[]
  readonly cutOff: string[]
  readonly reached: number[]
  readonly restored: RestoreResult[]
}

async function open(options: Partial<RedisStoreOptions> & { readonly url: string }): Promise<Opened> {
  const told: Told = { troubled: [], cutOff: [], reached: [], restored: [] }
  const events: StoreEvents = {
    failed: (error) => void told.troubled.push(error),
    disconnected: (reason) => void told.cutOff.push(reason),
    reconnected: (ms) => void told.reached.push(ms),
    restored: (facts) => void told.restored.push(facts),
  }
  const store = await started(new RedisStore({ clock: systemClock, events, ...options }))
  return { store, told, prefix: options.prefix ?? 'strangler' }
}

let opened = 0

/** Opens keys of their own, or those of a name, in the Redis that the tests of this file share. */
function openOwn(name = `own-${++opened}`, options: Partial<RedisStoreOptions> = {}): Promise<Opened> {
  return open({ url: shared().url, prefix: `test-${name}`, ...options })
}

/** Commits the next change, and gives the state that it made. */
async function change(
  store: StateStore,
  from: SharedState,
  percentage = 10 * (from.generation + 1),
): Promise<SharedState> {
  const next = flipped(from, percentage)
  expect(await store.commit(next, entryOf(next))).toEqual({ ok: true })
  return next
}

/** A network between gateway and Redis, of which the connections of a moment can fall silent without an end, or all be cut. */
async function startNetwork(port: number) {
  const pairs = new Set<{ readonly inner: Socket; readonly outer: Socket; isSwallowed: boolean }>()
  let isCut = false
  const server = createServer((outer) => {
    if (isCut) {
      outer.destroy()
      return
    }
    const inner = connect(port, '127.0.0.1')
    const pair = { inner, outer, isSwallowed: false }
    pairs.add(pair)
    outer.on('data', (bytes) => void (pair.isSwallowed || inner.write(bytes)))
    inner.on('data', (bytes) => void (pair.isSwallowed || outer.write(bytes)))
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
    swallow: () => {
      for (const pair of pairs) pair.isSwallowed = true
    },
    cut: () => {
      isCut = true
      for (const { outer } of pairs) outer.destroy()
    },
    mend: () => {
      isCut = false
    },
    swallowed: () => [...pairs].filter(({ isSwallowed }) => isSwallowed).length,
  }
}
