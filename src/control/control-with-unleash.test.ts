// Changes with a fake Unleash as the flag authority: its writes, their order, and failures of them.
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { StoreUnavailable } from '../model/state-store.ts'
import {
  anna,
  bob,
  doneResult,
  type FakeFlags,
  type FakeUnleash,
  failureOf,
  fakeUnleash,
  type TestFleet,
  type TestGateway,
  testFleet,
} from './gateway-control.test-kit.ts'

let unleash: FakeUnleash
let fleet: TestFleet
let gateways: readonly [TestGateway, TestGateway]

beforeEach(async () => {
  vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval', 'setTimeout', 'clearTimeout'] })
  unleash = fakeUnleash()
  fleet = await testFleet(unleash)
  gateways = [await fleet.start(), await fleet.start()]
})

afterEach(() => void vi.useRealTimers())

async function advance(ms: number): Promise<void> {
  for (let passed = 0; passed < ms; passed += 100) {
    fleet.clock.advance(100)
    await vi.advanceTimersByTimeAsync(100)
  }
}

async function untilDone<T>(work: Promise<T>): Promise<T> {
  let isDone = false
  void work.finally(() => {
    isDone = true
  })
  await vi.advanceTimersByTimeAsync(0)
  while (!isDone) await advance(100)
  return work
}

const percentages = () => gateways.map(({ flags }) => flags.percentage('catalog-flag').percentage)
const cutOff = ({ flags }: TestGateway) => {
  ;(flags as FakeFlags).isReachable = false
}
const log = async () =>
  (await fleet.log()).map((entry) => [entry.actor, entry.verb, entry.result, entry.before, entry.after])

describe('a flip with Unleash', () => {
  test('writes the flag and is done when every gateway has read it', async () => {
    const result = doneResult(await untilDone(gateways[0].control.flip('catalog', 25, anna)))
    expect(result).toMatchObject({ before: 10, after: 25, generation: 1 })
    expect(result.convergence).toMatchObject({ applied: 2, of: 2, ms: 0, laggards: [], inFlight: 0 })
    expect(unleash.written).toEqual([{ flag: 'catalog-flag', percentage: 25, by: 'anna' }])
    expect(percentages()).toEqual([25, 25])
    expect(await log()).toEqual([['anna', 'flip', 'done', 10, 25]])
  })

  test('reports the percentage that Unleash had, not the one that this gateway had read', async () => {
    unleash.percentages['catalog-flag'] = 40
    expect(doneResult(await untilDone(gateways[0].control.flip('catalog', 25, anna))).before).toBe(40)
    expect(await log()).toEqual([['anna', 'flip', 'done', 40, 25]])
  })

  test('to the same percentage is written and recorded once, and changes nothing the second time', async () => {
    const first = doneResult(await untilDone(gateways[0].control.flip('catalog', 10, anna)))
    expect(first).toMatchObject({ before: 10, after: 10, generation: 1 })
    const second = doneResult(await untilDone(gateways[1].control.flip('catalog', 10, bob)))
    expect(second).toMatchObject({ before: 10, after: 10, generation: 1, note: 'it is at 10 % already' })
    expect(unleash.written).toHaveLength(2)
    expect(await log()).toHaveLength(1)
  })

  test('that Unleash refuses is refused, and nothing is committed', async () => {
    unleash.answer = { kind: 'refused', reason: 'flag "catalog-flag" has 2 strategies' }
    expect(failureOf(await untilDone(gateways[0].control.flip('catalog', 25, anna)))).toBe(
      'refused: flag "catalog-flag" has 2 strategies',
    )
    expect(gateways[0].store.current().generation).toBe(0)
    expect(await log()).toEqual([['anna', 'flip', 'refused', null, null]])
  })

  test('that Unleash cannot take is unavailable, and nothing is committed', async () => {
    unleash.answer = { kind: 'failed', reason: 'Unleash cannot be reached; nothing was changed' }
    expect(failureOf(await untilDone(gateways[0].control.flip('catalog', 25, anna)))).toBe(
      'unavailable: Unleash cannot be reached; nothing was changed',
    )
    expect(gateways[0].store.current().generation).toBe(0)
    expect(await log()).toEqual([['anna', 'flip', 'failed', null, null]])
  })

  test('of a frozen context, with an old generation, or to an invalid percentage does not reach Unleash', async () => {
    await gateways[0].control.freeze('catalog', bob)
    expect((await gateways[0].control.flip('catalog', 25, anna)).kind).toBe('refused')
    expect((await gateways[0].control.flip('orders', 25, { ...anna, ifGeneration: 7 })).kind).toBe('conflict')
    expect((await gateways[0].control.flip('orders', 250, anna)).kind).toBe('refused')
    expect(unleash.written).toEqual([])
  })

  test('lists a gateway that cannot read it from Unleash as a laggard', async () => {
    cutOff(gateways[1])
    const result = doneResult(await untilDone(gateways[0].control.flip('catalog', 25, anna)))
    expect(result.convergence).toMatchObject({
      applied: 1,
      of: 2,
      laggards: [{ id: 'gateway-2', why: 'still at 10 %' }],
    })
    expect(result.convergence.ms).toBeGreaterThanOrEqual(5000)
  })

  test('that one gateway cannot read delays no kill, not even its own', async () => {
    cutOff(gateways[1])
    const flipped = gateways[0].control.flip('catalog', 25, anna)
    await advance(300)
    const killed = doneResult(await untilDone(gateways[0].control.kill(bob)))
    expect(killed.convergence).toMatchObject({ applied: 2, of: 2, laggards: [] })
    expect(killed.convergence.ms).toBeLessThan(200)
    expect(doneResult(await untilDone(flipped)).convergence.laggards).toMatchObject([{ id: 'gateway-2' }])
  })

  test('waits for a gateway that reads it a moment later', async () => {
    cutOff(gateways[1])
    const flipped = gateways[0].control.flip('catalog', 25, anna)
    await advance(400)
    ;(gateways[1].flags as FakeFlags).isReachable = true
    const { convergence } = doneResult(await untilDone(flipped))
    expect(convergence).toMatchObject({ applied: 2, laggards: [] })
    expect(convergence.ms).toBeLessThan(700)
  })

  test('at the same time as another flip of the context: one is done, the other is a conflict that reports the percentage in Unleash', async () => {
    const results = await Promise.all([
      untilDone(gateways[0].control.flip('catalog', 25, anna)),
      untilDone(gateways[1].control.flip('catalog', 75, bob)),
    ])
    expect(results.map(({ kind }) => kind).sort()).toEqual(['conflict', 'done'])
    const loser = results.find(({ kind }) => kind === 'conflict')
    expect(loser && failureOf(loser)).toMatch(
      /changed in between: flip by .*flag "catalog-flag" stays at (25|75) % in Unleash$/,
    )
  })

  test('that another client overwrites at once is a conflict', async () => {
    unleash.answer = { kind: 'written', before: 10, after: 50 }
    expect(failureOf(await untilDone(gateways[0].control.flip('catalog', 25, anna)))).toMatch(
      /^conflict: flag "catalog-flag" has 50 % in Unleash, after 25 % was written/,
    )
    expect(gateways[0].store.current().generation).toBe(0)
  })

  test('of a context that is frozen during the write reports the percentage in Unleash', async () => {
    let write = (_: undefined) => {}
    unleash.answer = new Promise<never>((resolve) => {
      write = resolve as never
    })
    const flipped = gateways[0].control.flip('catalog', 25, anna)
    await advance(100)
    await gateways[1].control.freeze('catalog', bob)
    write(undefined)
    expect(failureOf(await untilDone(flipped))).toMatch(/freeze by bob.*flag "catalog-flag" stays at 25 % in Unleash/)
  })

  test('that the store cannot commit after the write reports the percentage in Unleash', async () => {
    vi.spyOn(gateways[0].store, 'commit').mockRejectedValue(new StoreUnavailable('gone', undefined))
    expect(failureOf(await untilDone(gateways[0].control.flip('catalog', 25, anna)))).toBe(
      'unavailable: the store cannot be reached (gone); flag "catalog-flag" stays at 25 % in Unleash',
    )
  })

  test('that another gateway records as a change made outside, before it is committed, is done', async () => {
    let write = (_: undefined) => {}
    unleash.answer = new Promise<never>((resolve) => {
      write = resolve as never
    })
    const flipped = gateways[0].control.flip('catalog', 25, anna)
    await advance(100)
    unleash.percentages['catalog-flag'] = 25
    await gateways[1].flags.refresh()
    for (let second = 0; second < 6; second++) {
      await advance(1000)
      await gateways[1].flags.refresh()
    }
    expect(await log()).toEqual([['unleash', 'outside', 'done', 10, 25]])
    write(undefined)
    expect((await untilDone(flipped)).kind).toBe('done')
  })
})

describe('a rollback with Unleash', () => {
  test('pins the context, then writes the 0', async () => {
    const result = doneResult(await untilDone(gateways[0].control.rollback('catalog', false, anna)))
    expect(result).toMatchObject({
      before: { pin: null, percentage: 10 },
      after: { pin: 'legacy', percentage: 0 },
      note: null,
      convergence: { applied: 2, of: 2 },
    })
    expect(result.convergence.ms).toBeLessThan(100)
    expect(unleash.written).toEqual([{ flag: 'catalog-flag', percentage: 0, by: 'anna' }])
    await advance(1000)
    expect(percentages()).toEqual([0, 0])
  })

  test.each([
    ['failed', 'the gateway keeps retrying'],
    ['refused', 'the pin keeps it on legacy; its flag could not be set to 0 (no way)'],
  ] as const)('is in force by its pin at once if the writer answers %s', async (kind, note) => {
    unleash.answer = { kind, reason: 'no way' }
    for (const gateway of gateways) cutOff(gateway)
    const result = doneResult(await untilDone(gateways[0].control.rollback('catalog', false, anna)))
    expect(gateways.map(({ controls }) => controls().pins.get('catalog'))).toEqual(['legacy', 'legacy'])
    expect(result.convergence).toMatchObject({ applied: 2, of: 2, laggards: [] })
    expect(result.convergence.ms).toBeLessThan(100)
    expect(result.note).toContain(note)
  })

  test('writes the 0 without waiting for a laggard', async () => {
    vi.spyOn(gateways[1].store, 'sendHeartbeat').mockImplementation(async () => {})
    const rolledBack = gateways[0].control.rollback('catalog', false, anna)
    await advance(200)
    expect(unleash.percentages['catalog-flag']).toBe(0)
    expect(doneResult(await untilDone(rolledBack)).convergence.laggards).toMatchObject([{ id: 'gateway-2' }])
  })

  test('does not wait for an Unleash that does not answer', async () => {
    unleash.answer = new Promise(() => {})
    const askedAt = fleet.clock.now()
    const result = doneResult(await untilDone(gateways[0].control.rollback('catalog', false, anna)))
    expect(fleet.clock.now() - askedAt).toBeLessThan(1500)
    expect(result.note).toContain('its flag is not at 0 yet')
    expect(result.convergence.ms).toBeLessThan(100)
  })

  test('that is repeated writes the 0 again', async () => {
    unleash.answer = { kind: 'failed', reason: 'no way' }
    await untilDone(gateways[0].control.rollback('catalog', false, anna))
    unleash.answer = undefined
    const again = doneResult(await untilDone(gateways[0].control.rollback('catalog', false, bob)))
    expect(again.note).toMatch(/^it is rolled back already: pinned to legacy by anna/)
    expect(unleash.percentages['catalog-flag']).toBe(0)
  })

  test('that is unpinned while Unleash lacks the 0 notes the percentage that decides', async () => {
    unleash.answer = { kind: 'failed', reason: 'no way' }
    await untilDone(gateways[0].control.rollback('catalog', false, anna))
    expect(doneResult(await untilDone(gateways[0].control.unpin('catalog', bob))).note).toBe(
      'its flag decides now, at 10 %',
    )
  })

  test('of a forward-only context is refused without Unleash', async () => {
    expect((await gateways[0].control.rollback('billing', false, anna)).kind).toBe('refused')
    expect(unleash.written).toEqual([])
  })
})
