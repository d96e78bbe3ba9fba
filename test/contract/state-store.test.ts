// The promises of every store: memory, folder and Redis.
import { describe, expect, it } from 'vitest'
import type { Heartbeat } from '../../src/model/fleet.ts'
import { EMPTY_STATE, type SharedState } from '../../src/model/shared-state.ts'
import type { StateStore } from '../../src/model/state-store.ts'
import { chainHash } from '../../src/store/audit-chain.ts'
import { sharedByFile } from '../kit/lifetime.ts'
import { startRedis } from '../kit/redis.ts'
import { until } from '../kit/until.ts'
import { entryOf, flipped, refusal, reportOf } from './changes.ts'
import { filePlace, memoryPlace, redisPlace } from './places.ts'

/** The Redis of REDIS_URL, or one that is started for this file. */
const redis = sharedByFile(async () => ({ url: process.env.REDIS_URL ?? (await startRedis()).url }))

const PLACES = [
  ['memory', memoryPlace],
  ['file', filePlace],
  ['redis', () => redisPlace(redis().url)],
] as const

describe.each(PLACES)('the %s store', (kind, makePlace) => {
  it('is empty at first', async () => {
    const store = await (await makePlace()).open()
    expect(store.current()).toEqual(EMPTY_STATE)
    expect(await store.read()).toEqual(EMPTY_STATE)
    expect(await store.history({ limit: 10 })).toEqual({ records: [], next: null, dropped: 0 })
    expect(await store.fleet()).toEqual([])
    expect(await store.loadFlagBackup()).toBeUndefined()
    expect(store.status()).toMatchObject({ kind, isConnected: true, cutOffMs: 0, trouble: undefined })
  })

  it('stores a change with its audit entry, and the process that made the change has it at once', async () => {
    const store = await (await makePlace()).open()
    const next = flipped(EMPTY_STATE, 25)
    expect(await store.commit(next, entryOf(next))).toEqual({ ok: true })
    expect(store.current()).toEqual(next)
    expect(await store.read()).toEqual(next)
    expect((await store.history({ limit: 10 })).records).toEqual([
      {
        ...entryOf(next),
        position: expect.any(String) as string,
        previous: null,
        hash: chainHash(entryOf(next), null),
      },
    ])
  })

  it('stores flags of the embedded authority with fields that this version does not have', async () => {
    const store = await (await makePlace()).open()
    const feature = {
      name: 'migrate-catalog',
      enabled: true,
      strategies: [{ name: 'default', parameters: { a: [1] } }],
    }
    const next = { ...EMPTY_STATE, generation: 1, flags: { version: 2, features: [feature], segments: [{ id: 1 }] } }
    const later = { ...next, contexts: {}, fromALaterVersion: { of: 'the gateway' } }
    await store.commit(later, entryOf(later))
    expect(await store.read()).toEqual(later)
  })

  it('rejects a change that was made from an older state, and returns the current state', async () => {
    const place = await makePlace()
    const [storeA, storeB] = [await place.open(), await place.open()]
    const next = flipped(EMPTY_STATE, 25, 'ada')
    const other = flipped(EMPTY_STATE, 50, 'bob')
    await storeA.commit(next, entryOf(next, 'ada'))
    expect(await storeB.commit(other, entryOf(other, 'bob'))).toEqual({ ok: false, conflict: next })
    expect(await storeB.read()).toEqual(next)
    expect((await storeB.history({ limit: 10 })).records).toHaveLength(1)
  })

  it('rejects a change that skips a generation', async () => {
    const store = await (await makePlace()).open()
    const next = { ...flipped(EMPTY_STATE, 25), generation: 2 }
    expect(await store.commit(next, entryOf(next))).toEqual({ ok: false, conflict: EMPTY_STATE })
  })

  it('accepts a repeated commit of a change that was made before, so that a caller can retry after a lost reply', async () => {
    const store = await (await makePlace()).open()
    const first = flipped(EMPTY_STATE, 25)
    const second = flipped(first, 50)
    await store.commit(first, entryOf(first))
    await store.commit(second, entryOf(second))
    expect(await store.commit(first, entryOf(first))).toEqual({ ok: true })
    expect(await store.read()).toEqual(second)
    expect((await store.history({ limit: 10 })).records).toHaveLength(2)
  })

  it('lets one of fifty concurrent commits make each generation, and returns the current state to the others', async () => {
    const place = await makePlace()
    const handles = [await place.open(), await place.open()]
    const made: SharedState[] = []
    let conflicts = 0
    const raise = async (number: number) => {
      const store = handles[number % handles.length] as StateStore
      let from = store.current()
      for (;;) {
        const next = flipped(from, number, `operator-${number}`)
        const result = await store.commit(next, entryOf(next, `operator-${number}`))
        if (result.ok) return void made.push(next)
        conflicts++
        expect(result.conflict.generation).toBeGreaterThanOrEqual(next.generation)
        from = result.conflict
      }
    }
    await Promise.all(Array.from({ length: 50 }, (_, number) => raise(number)))
    expect(made.map(({ generation }) => generation).toSorted((a, b) => a - b)).toEqual(range(1, 50))
    expect(conflicts).toBeGreaterThan(0)
    expect(await handles[0]?.read()).toEqual(made.find(({ generation }) => generation === 50))
    const { records } = (await handles[1]?.history({ limit: 100 })) ?? { records: [] }
    expect(records.map(({ generation }) => generation)).toEqual(range(1, 50).reverse())
    for (const { generation, actor } of records)
      expect(made.find((state) => state.generation === generation)?.contexts.catalog?.flip?.by).toBe(actor)
  })

  it('notifies every listener of every change in order, until the listener is removed', async () => {
    const place = await makePlace()
    const [storeA, storeB] = [await place.open(), await place.open()]
    const received: number[] = []
    const removedReceived: number[] = []
    storeB.onChange(() => {
      throw new Error('a listener that throws')
    })
    storeB.onChange(({ generation }) => void received.push(generation))
    const leave = storeB.onChange(({ generation }) => void removedReceived.push(generation))
    const first = flipped(EMPTY_STATE, 25)
    await storeA.commit(first, entryOf(first))
    await until(() => received.length === 1)
    leave()
    const second = flipped(first, 50)
    await storeA.commit(second, entryOf(second))
    await until(() => received.length === 2)
    expect(received).toEqual([1, 2])
    expect(removedReceived).toEqual([1])
    expect(storeB.current()).toEqual(second)
  })

  it('returns the audit log in pages, newest first, of all contexts or of one', async () => {
    const place = await makePlace()
    const [storeA, storeB] = [await place.open(), await place.open()]
    for (let number = 1; number <= 7; number++)
      await storeA.record(refusal(`no ${number}`, number % 2 === 0 ? 'orders' : 'catalog'))
    const seen: (string | null)[] = []
    let position: string | undefined
    do {
      const page = await storeB.history({ limit: 3, before: position })
      seen.push(...page.records.map(({ detail }) => detail))
      expect(page.records.length).toBeLessThanOrEqual(3)
      position = page.next ?? undefined
    } while (position !== undefined)
    expect(seen).toEqual(
      range(1, 7)
        .map((number) => `no ${number}`)
        .reverse(),
    )

    const orders = await storeB.history({ limit: 2, context: 'orders' })
    expect(orders.records.map(({ detail }) => detail)).toEqual(['no 6', 'no 4'])
    const rest = await storeB.history({ limit: 2, context: 'orders', before: orders.next ?? '' })
    expect(rest.records.map(({ detail }) => detail)).toEqual(['no 2'])
    expect(rest.next).toBeNull()
  })

  it('chains the entries of all stores, changes and refusals, also concurrent ones', async () => {
    const place = await makePlace()
    const [storeA, storeB] = [await place.open(), await place.open()]
    const next = flipped(EMPTY_STATE, 25)
    await Promise.all([
      storeA.commit(next, entryOf(next, 'zoë „quoted" \\ ,"hash":')),
      ...Array.from({ length: 20 }, (_, number) => [storeA, storeB][number % 2]?.record(refusal(`no ${number}`))),
    ])
    const { records } = await storeB.history({ limit: 100 })
    expect(records).toHaveLength(21)
    for (const [index, record] of records.entries()) {
      expect(record.previous).toBe(records[index + 1]?.hash ?? null)
      expect(record.hash).toBe(chainHash(record, record.previous ?? null))
    }
    expect(await storeA.verifyHistory()).toEqual({
      verified: 21,
      unchained: 0,
      unchainedAfterStart: 0,
      branches: 0,
      head: records[0]?.hash,
      startsAfter: null,
      broken: null,
    })
  })

  it('continues the chain after a restart', async () => {
    const place = await makePlace()
    const store = await place.open()
    const next = flipped(EMPTY_STATE, 25)
    await store.commit(next, entryOf(next))
    const restarted = await place.restart()
    await restarted.record(refusal('no'))
    expect(await restarted.verifyHistory()).toMatchObject({ verified: 2, branches: 0, broken: null })
  })

  it('verifies an empty log without a head and without a fault', async () => {
    const store = await (await makePlace()).open()
    expect(await store.verifyHistory()).toMatchObject({ verified: 0, unchained: 0, head: null, broken: null })
  })

  it('gives records positions whose order is the order of the log', async () => {
    const store = await (await makePlace()).open()
    for (let number = 0; number < 12; number++) await store.record(refusal(`no ${number}`))
    const positions = (await store.history({ limit: 20 })).records.map(({ position }) => position)
    expect(positions).toEqual(positions.toSorted().reverse())
    expect(new Set(positions).size).toBe(12)
  })

  it('stores two equal entries twice', async () => {
    const store = await (await makePlace()).open()
    await Promise.all([store.record(refusal('the same')), store.record(refusal('the same'))])
    expect((await store.history({ limit: 10 })).records).toHaveLength(2)
  })

  it('lists the gateways with the time since their last heartbeat, without those that have left', async () => {
    const place = await makePlace()
    const [storeA, storeB] = [await place.open(), await place.open()]
    await storeA.sendHeartbeat(reportOf('gateway-1', 3))
    await storeB.sendHeartbeat(reportOf('gateway-2', 4))
    await storeB.sendHeartbeat(reportOf('gateway-2', 5))
    const fleet = (await storeA.fleet()).toSorted((a, b) => a.id.localeCompare(b.id))
    expect(fleet).toEqual([
      { ...reportOf('gateway-1', 3), silentMs: expect.any(Number) as number },
      { ...reportOf('gateway-2', 5), silentMs: expect.any(Number) as number },
    ])
    for (const { silentMs } of fleet) {
      expect(silentMs).toBeGreaterThanOrEqual(0)
      expect(silentMs).toBeLessThan(5000)
    }
    await storeB.removeMember('gateway-2')
    expect((await storeA.fleet()).map(({ id }) => id)).toEqual(['gateway-1'])
  })

  it('notifies every store of a heartbeat', async () => {
    const place = await makePlace()
    const [storeA, storeB] = [await place.open(), await place.open()]
    const received: Heartbeat[] = []
    storeA.onHeartbeat((report) => void received.push(report))
    await storeB.sendHeartbeat(reportOf('gateway-2', 7))
    await until(() => received.length === 1)
    expect(received).toEqual([reportOf('gateway-2', 7)])
  })

  it('keeps the newest backup of the flags of an Unleash', async () => {
    const place = await makePlace()
    const [storeA, storeB] = [await place.open(), await place.open()]
    await storeA.saveFlagBackup({ text: '{"version":2,"features":[]}', at: 1000 })
    expect(await storeB.loadFlagBackup()).toEqual({ text: '{"version":2,"features":[]}', at: 1000 })
    await storeB.saveFlagBackup({ text: '{"version":3,"features":[]}', at: 2000 })
    await storeA.saveFlagBackup({ text: '{"version":1,"features":[]}', at: 500 })
    expect(await storeA.loadFlagBackup()).toEqual({ text: '{"version":3,"features":[]}', at: 2000 })
  })

  it.each(['__proto__', 'constructor', 'toString'])('never writes a context named %s', async (name) => {
    const store = await (await makePlace()).open()
    const contexts = JSON.parse(`{"${name}":{"pin":null,"freeze":null,"flip":null,"changed":null}}`)
    await expect(store.commit({ ...EMPTY_STATE, generation: 1, contexts }, refusal('x'))).rejects.toThrow('not a state')
    expect(await store.read()).toEqual(EMPTY_STATE)
    expect(Object.prototype).not.toHaveProperty('pin')
  })

  it('returns no object that a caller could change in the store', async () => {
    const store = await (await makePlace()).open()
    const contexts: Record<string, SharedState['contexts'][string]> = {}
    const next = { ...EMPTY_STATE, generation: 1, contexts }
    await store.commit(next, entryOf(next))
    contexts.orders = { pin: null, freeze: null, flip: null, changed: null }
    expect(await store.read()).toEqual({ ...EMPTY_STATE, generation: 1 })
    expect(store.current()).toEqual({ ...EMPTY_STATE, generation: 1 })
  })

  it('has a clock that shows the current time', async () => {
    const store = await (await makePlace()).open()
    expect(Math.abs(store.wallTime() - Date.now())).toBeLessThan(2000)
  })
})

function range(from: number, to: number): number[] {
  return Array.from({ length: to - from + 1 }, (_, index) => from + index)
}
