// What every store promises: memory, folder and Redis alike.
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

/** The Redis of REDIS_URL, or one of our own. */
const redis = sharedByFile(async () => ({ url: process.env.REDIS_URL ?? (await startRedis()).url }))

const PLACES = [
  ['memory', memoryPlace],
  ['file', filePlace],
  ['redis', () => redisPlace(redis().url)],
] as const

describe.each(PLACES)('the %s store', (kind, makePlace) => {
  it('begins empty', async () => {
    const store = await (await makePlace()).open()
    expect(store.current()).toEqual(EMPTY_STATE)
    expect(await store.read()).toEqual(EMPTY_STATE)
    expect(await store.history({ limit: 10 })).toEqual({ records: [], next: null, dropped: 0 })
    expect(await store.fleet()).toEqual([])
    expect(await store.loadFlagBackup()).toBeUndefined()
    expect(store.status()).toMatchObject({ kind, isConnected: true, cutOffMs: 0, trouble: undefined })
  })

  it('keeps a change and its entry, and says so at once in the process that made it', async () => {
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

  it('keeps flags of the embedded authority as they were written, with fields that it does not know', async () => {
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

  it('refuses what was made from a state that is not the last one, and shows what is there', async () => {
    const place = await makePlace()
    const [ours, theirs] = [await place.open(), await place.open()]
    const next = flipped(EMPTY_STATE, 25, 'ada')
    const other = flipped(EMPTY_STATE, 50, 'bob')
    await ours.commit(next, entryOf(next, 'ada'))
    expect(await theirs.commit(other, entryOf(other, 'bob'))).toEqual({ ok: false, conflict: next })
    expect(await theirs.read()).toEqual(next)
    expect((await theirs.history({ limit: 10 })).records).toHaveLength(1)
  })

  it('refuses what skips a generation', async () => {
    const store = await (await makePlace()).open()
    const next = { ...flipped(EMPTY_STATE, 25), generation: 2 }
    expect(await store.commit(next, entryOf(next))).toEqual({ ok: false, conflict: EMPTY_STATE })
  })

  it('says of a change that was made already that it was: who lost the answer may ask again', async () => {
    const store = await (await makePlace()).open()
    const first = flipped(EMPTY_STATE, 25)
    const second = flipped(first, 50)
    await store.commit(first, entryOf(first))
    await store.commit(second, entryOf(second))
    expect(await store.commit(first, entryOf(first))).toEqual({ ok: true })
    expect(await store.read()).toEqual(second)
    expect((await store.history({ limit: 10 })).records).toHaveLength(2)
  })

  it('lets each generation be made by one of fifty who try at once, and shows every loser a state', async () => {
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

  it('tells every handle of every change, in order, and no longer those who left', async () => {
    const place = await makePlace()
    const [ours, theirs] = [await place.open(), await place.open()]
    const heard: number[] = []
    const before: number[] = []
    theirs.onChange(() => {
      throw new Error('a listener that throws')
    })
    theirs.onChange(({ generation }) => void heard.push(generation))
    const leave = theirs.onChange(({ generation }) => void before.push(generation))
    const first = flipped(EMPTY_STATE, 25)
    await ours.commit(first, entryOf(first))
    await until(() => heard.length === 1)
    leave()
    const second = flipped(first, 50)
    await ours.commit(second, entryOf(second))
    await until(() => heard.length === 2)
    expect(heard).toEqual([1, 2])
    expect(before).toEqual([1])
    expect(theirs.current()).toEqual(second)
  })

  it('pages through the audit log, newest first, of all contexts or of one', async () => {
    const place = await makePlace()
    const [ours, theirs] = [await place.open(), await place.open()]
    for (let number = 1; number <= 7; number++)
      await ours.record(refusal(`no ${number}`, number % 2 === 0 ? 'orders' : 'catalog'))
    const seen: (string | null)[] = []
    let before: string | undefined
    do {
      const page = await theirs.history({ limit: 3, before })
      seen.push(...page.records.map(({ detail }) => detail))
      expect(page.records.length).toBeLessThanOrEqual(3)
      before = page.next ?? undefined
    } while (before !== undefined)
    expect(seen).toEqual(
      range(1, 7)
        .map((number) => `no ${number}`)
        .reverse(),
    )

    const orders = await theirs.history({ limit: 2, context: 'orders' })
    expect(orders.records.map(({ detail }) => detail)).toEqual(['no 6', 'no 4'])
    const rest = await theirs.history({ limit: 2, context: 'orders', before: orders.next ?? '' })
    expect(rest.records.map(({ detail }) => detail)).toEqual(['no 2'])
    expect(rest.next).toBeNull()
  })

  it('chains the entries of all handles, changes and refusals, also those that are made at once', async () => {
    const place = await makePlace()
    const [ours, theirs] = [await place.open(), await place.open()]
    const next = flipped(EMPTY_STATE, 25)
    await Promise.all([
      ours.commit(next, entryOf(next, 'zoë „quoted" \\ ,"hash":')),
      ...Array.from({ length: 20 }, (_, number) => [ours, theirs][number % 2]?.record(refusal(`no ${number}`))),
    ])
    const { records } = await theirs.history({ limit: 100 })
    expect(records).toHaveLength(21)
    for (const [index, record] of records.entries()) {
      expect(record.previous).toBe(records[index + 1]?.hash ?? null)
      expect(record.hash).toBe(chainHash(record, record.previous ?? null))
    }
    expect(await ours.verifyHistory()).toEqual({
      verified: 21,
      unchained: 0,
      unchainedAfterStart: 0,
      branches: 0,
      head: records[0]?.hash,
      startsAfter: null,
      broken: null,
    })
  })

  it('goes on with the chain after a restart', async () => {
    const place = await makePlace()
    const before = await place.open()
    const next = flipped(EMPTY_STATE, 25)
    await before.commit(next, entryOf(next))
    const after = await place.restart()
    await after.record(refusal('no'))
    expect(await after.verifyHistory()).toMatchObject({ verified: 2, branches: 0, broken: null })
  })

  it('an empty log has no head and no fault', async () => {
    const store = await (await makePlace()).open()
    expect(await store.verifyHistory()).toMatchObject({ verified: 0, unchained: 0, head: null, broken: null })
  })

  it('gives records positions that sort as the log does', async () => {
    const store = await (await makePlace()).open()
    for (let number = 0; number < 12; number++) await store.record(refusal(`no ${number}`))
    const positions = (await store.history({ limit: 20 })).records.map(({ position }) => position)
    expect(positions).toEqual(positions.toSorted().reverse())
    expect(new Set(positions).size).toBe(12)
  })

  it('keeps two entries that are the same twice', async () => {
    const store = await (await makePlace()).open()
    await Promise.all([store.record(refusal('the same')), store.record(refusal('the same'))])
    expect((await store.history({ limit: 10 })).records).toHaveLength(2)
  })

  it('shows who is there, how long they are silent, and not who has left', async () => {
    const place = await makePlace()
    const [ours, theirs] = [await place.open(), await place.open()]
    await ours.sendHeartbeat(reportOf('gateway-1', 3))
    await theirs.sendHeartbeat(reportOf('gateway-2', 4))
    await theirs.sendHeartbeat(reportOf('gateway-2', 5))
    const fleet = (await ours.fleet()).toSorted((a, b) => a.id.localeCompare(b.id))
    expect(fleet).toEqual([
      { ...reportOf('gateway-1', 3), silentMs: expect.any(Number) as number },
      { ...reportOf('gateway-2', 5), silentMs: expect.any(Number) as number },
    ])
    for (const { silentMs } of fleet) {
      expect(silentMs).toBeGreaterThanOrEqual(0)
      expect(silentMs).toBeLessThan(5000)
    }
    await theirs.removeMember('gateway-2')
    expect((await ours.fleet()).map(({ id }) => id)).toEqual(['gateway-1'])
  })

  it('tells every handle of a report', async () => {
    const place = await makePlace()
    const [ours, theirs] = [await place.open(), await place.open()]
    const heard: Heartbeat[] = []
    ours.onHeartbeat((report) => void heard.push(report))
    await theirs.sendHeartbeat(reportOf('gateway-2', 7))
    await until(() => heard.length === 1)
    expect(heard).toEqual([reportOf('gateway-2', 7)])
  })

  it('keeps flags of an Unleash, the newest', async () => {
    const place = await makePlace()
    const [ours, theirs] = [await place.open(), await place.open()]
    await ours.saveFlagBackup({ text: '{"version":2,"features":[]}', at: 1000 })
    expect(await theirs.loadFlagBackup()).toEqual({ text: '{"version":2,"features":[]}', at: 1000 })
    await theirs.saveFlagBackup({ text: '{"version":3,"features":[]}', at: 2000 })
    await ours.saveFlagBackup({ text: '{"version":1,"features":[]}', at: 500 })
    expect(await ours.loadFlagBackup()).toEqual({ text: '{"version":3,"features":[]}', at: 2000 })
  })

  it.each(['__proto__', 'constructor', 'toString'])('never writes a context named %s', async (name) => {
    const store = await (await makePlace()).open()
    const contexts = JSON.parse(`{"${name}":{"pin":null,"freeze":null,"flip":null,"changed":null}}`)
    await expect(store.commit({ ...EMPTY_STATE, generation: 1, contexts }, refusal('x'))).rejects.toThrow('not a state')
    expect(await store.read()).toEqual(EMPTY_STATE)
    expect(Object.prototype).not.toHaveProperty('pin')
  })

  it('gives away no state that somebody could change', async () => {
    const store = await (await makePlace()).open()
    const contexts: Record<string, SharedState['contexts'][string]> = {}
    const next = { ...EMPTY_STATE, generation: 1, contexts }
    await store.commit(next, entryOf(next))
    contexts.orders = { pin: null, freeze: null, flip: null, changed: null }
    expect(await store.read()).toEqual({ ...EMPTY_STATE, generation: 1 })
    expect(store.current()).toEqual({ ...EMPTY_STATE, generation: 1 })
  })

  it('has a clock', async () => {
    const store = await (await makePlace()).open()
    expect(Math.abs(store.wallTime() - Date.now())).toBeLessThan(2000)
  })
})

function range(from: number, to: number): number[] {
  return Array.from({ length: to - from + 1 }, (_, index) => from + index)
}
