import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import {
  anna,
  bob,
  type FakeFlags,
  type FakeUnleash,
  fakeUnleash,
  type TestFleet,
  type TestGateway,
  testFleet,
} from '../../gateway-control.test-kit.ts'

let unleash: FakeUnleash
let fleet: TestFleet
let gateways: readonly [TestGateway, TestGateway]

beforeEach(async () => {
  vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval', 'setTimeout', 'clearTimeout'] })
  unleash = fakeUnleash()
  fleet = await testFleet(unleash)
  gateways = [await fleet.start(), await fleet.start()]
  await advance(1000)
})

afterEach(() => void vi.useRealTimers())

/** Advances the time. Every gateway polls once a second unless `isPolling` is false. */
async function advance(ms: number, isPolling = true): Promise<void> {
  for (let passed = 0; passed < ms; passed += 100) {
    fleet.clock.advance(100)
    await vi.advanceTimersByTimeAsync(100)
    if (isPolling && fleet.clock.now() % 1000 === 0) for (const { flags } of gateways ?? []) await flags.refresh()
  }
}

const reach = ({ flags }: TestGateway, isReachable: boolean) => {
  ;(flags as FakeFlags).isReachable = isReachable
}
const log = async () =>
  (await fleet.log()).map((entry) => [entry.actor, entry.verb, entry.context, entry.before, entry.after])
const change = (percentage: number | null) => {
  unleash.percentages['catalog-flag'] = percentage
}

describe('a change made in Unleash itself', () => {
  test('is recorded once, although several gateways read it', async () => {
    change(40)
    await advance(8000)
    expect(await fleet.log()).toMatchObject([
      {
        actor: 'unleash',
        verb: 'outside',
        context: 'catalog',
        before: 10,
        after: 40,
        result: 'done',
        detail: 'flag "catalog-flag" was changed in Unleash itself',
        generation: 1,
      },
    ])
    expect(gateways[0].store.current().contexts.catalog).toMatchObject({
      flip: { by: 'unleash', percentage: 40, generation: 1 },
      changed: { by: 'unleash', verb: 'outside', generation: 1 },
    })
    const reported = gateways.flatMap(({ events }) => events.of('changeFinished'))
    expect(reported).toMatchObject([{ verb: 'outside', by: 'unleash', before: 10, after: 40 }])
  })

  test('is recorded each time', async () => {
    change(40)
    await advance(8000)
    change(10)
    await advance(8000)
    expect(await log()).toEqual([
      ['unleash', 'outside', 'catalog', 10, 40],
      ['unleash', 'outside', 'catalog', 40, 10],
    ])
  })

  test('to a flag without a single percentage is recorded once', async () => {
    change(null)
    await advance(15_000)
    expect(await log()).toEqual([['unleash', 'outside', 'catalog', 10, null]])
    await gateways[0].control.freeze('catalog', anna)
    await advance(8000)
    change(30)
    await advance(8000)
    expect((await log()).slice(2)).toEqual([['unleash', 'outside', 'catalog', null, 30]])
  })

  test('keeps the pin and the freeze', async () => {
    await gateways[0].control.pin('catalog', 'legacy', null, anna)
    await gateways[0].control.freeze('catalog', anna)
    change(40)
    await advance(8000)
    expect(gateways[0].store.current().contexts.catalog).toMatchObject({
      pin: { side: 'legacy', by: 'anna' },
      freeze: { by: 'anna' },
      flip: { percentage: 40 },
    })
  })

  test('directly after a flip, which a poll has read already, is recorded without waiting for the next poll', async () => {
    const flipping = gateways[0].control.flip('catalog', 20, anna)
    await advance(500)
    await flipping
    change(80)
    for (const { flags } of gateways) await flags.refresh()
    await advance(8000, false)
    expect((await log()).slice(1)).toEqual([['unleash', 'outside', 'catalog', 20, 80]])
  })

  test('that is taken back at once is not recorded', async () => {
    change(40)
    await advance(2500)
    change(10)
    await advance(8000)
    expect(await log()).toEqual([])
  })

  test('during another change of the state is recorded a moment later', async () => {
    const commit = vi.spyOn(gateways[0].store, 'commit')
    const other = vi.spyOn(gateways[1].store, 'commit')
    const conflict = async () => ({ ok: false, conflict: gateways[0].store.current() }) as const
    commit.mockImplementationOnce(conflict)
    other.mockImplementationOnce(conflict)
    change(40)
    await advance(10_000)
    expect(await log()).toEqual([['unleash', 'outside', 'catalog', 10, 40]])
  })

  test('while the store is unreachable is recorded when it returns', async () => {
    fleet.memory.isReachable = false
    change(40)
    await advance(8000)
    fleet.memory.isReachable = true
    await advance(2000)
    expect((await log()).filter(([, verb]) => verb === 'outside')).toHaveLength(1)
  })
})

describe('a difference that is no change made outside', () => {
  test('is a flip, however old the flags of another gateway are', async () => {
    reach(gateways[1], false)
    const flipped = gateways[0].control.flip('catalog', 25, anna)
    await advance(30_000)
    await flipped
    reach(gateways[1], true)
    await advance(8000)
    expect(await log()).toEqual([['anna', 'flip', 'catalog', 10, 25]])
  })

  test('is the first read of the flags', async () => {
    unleash.isStale = true
    await fleet.start()
    await advance(8000)
    unleash.isStale = false
    await advance(8000)
    expect(await log()).toEqual([])
  })

  test('is a change that another gateway has recorded and this one has not received', async () => {
    const old = gateways[1].store.current()
    vi.spyOn(gateways[1].store, 'current').mockReturnValue(old)
    change(40)
    await advance(12_000)
    expect(await log()).toHaveLength(1)
  })
})

describe('the pending 0 % of a rollback', () => {
  const rollback = async (context = 'catalog') => {
    const work = gateways[0].control.rollback(context, false, anna)
    await advance(1500)
    return work
  }
  const writes = () => unleash.written.map(({ flag, percentage, by }) => [flag, percentage, by])

  test('is written as soon as Unleash can be reached, and recorded then', async () => {
    unleash.answer = { kind: 'failed', reason: 'Unleash is away' }
    await rollback()
    await advance(12_000)
    expect(unleash.written.length).toBeGreaterThan(2)
    expect(unleash.written.length).toBeLessThan(8)
    unleash.answer = undefined
    await advance(12_000)
    expect(unleash.percentages['catalog-flag']).toBe(0)
    expect((await log()).slice(1)).toEqual([['anna', 'rollback', 'catalog', 10, 0]])
    expect((await fleet.log())[1]).toMatchObject({
      result: 'done',
      reason: 'launch',
      detail: 'flag "catalog-flag" is at 0 in Unleash now',
    })
    const { length } = unleash.written
    await advance(12_000)
    expect(unleash.written).toHaveLength(length)
  })

  test('is still written after a freeze and after another pin to legacy', async () => {
    unleash.answer = { kind: 'failed', reason: 'Unleash is away' }
    await rollback()
    await gateways[0].control.freeze('catalog', bob)
    await gateways[0].control.thaw('catalog', bob)
    await gateways[0].control.pin('catalog', 'legacy', 60_000, bob)
    await advance(8000)
    unleash.answer = undefined
    await advance(8000)
    expect(unleash.percentages['catalog-flag']).toBe(0)
    expect((await log()).map(([, verb]) => verb)).not.toContain('outside')
  })

  test('of one context does not wait for that of another', async () => {
    unleash.answer = { kind: 'failed', reason: 'Unleash is away' }
    await rollback('catalog')
    await rollback('orders')
    unleash.written.length = 0
    await advance(6000)
    expect(new Set(writes().map(([flag]) => flag))).toEqual(new Set(['catalog-flag', 'orders-flag']))
  })

  test('that Unleash refuses is not written again', async () => {
    unleash.answer = { kind: 'refused', reason: 'it has 2 strategies' }
    await rollback()
    await advance(7000)
    const { length } = unleash.written
    await advance(20_000)
    expect(unleash.written).toHaveLength(length)
  })

  test('that was written may be changed in Unleash, which is recorded', async () => {
    await rollback()
    await advance(6000)
    change(15)
    await advance(10_000)
    expect(unleash.percentages['catalog-flag']).toBe(15)
    expect((await log()).slice(1)).toEqual([['unleash', 'outside', 'catalog', 0, 15]])
  })

  test('is dropped after a flip', async () => {
    unleash.answer = { kind: 'failed', reason: 'Unleash is away' }
    await rollback()
    unleash.answer = undefined
    const flipped = gateways[0].control.flip('catalog', 30, bob)
    await advance(12_000)
    expect((await flipped).kind).toBe('done')
    expect(unleash.percentages['catalog-flag']).toBe(30)
  })

  test('does not accumulate writes while Unleash does not answer', async () => {
    unleash.answer = new Promise(() => {})
    await rollback()
    await advance(30_000)
    expect(unleash.written.length).toBeLessThan(5)
  })

  /** The recorded dropped writes. */
  const dropped = async () =>
    (await fleet.log())
      .filter(({ detail }) => detail?.includes('pending write'))
      .map(({ result, detail }) => [result, detail])

  test.each<[string, () => Promise<unknown>, string]>([
    ['an unpin', () => gateways[1].control.unpin('catalog', bob), 'unpin by bob'],
    ['a pin to the service', () => gateways[1].control.pin('catalog', 'service', null, bob), 'pin by bob'],
  ])('is dropped by %s, with an entry in the audit log', async (_, act, who) => {
    unleash.answer = { kind: 'failed', reason: 'Unleash is away' }
    await rollback()
    const acting = act()
    await advance(6000)
    await acting
    unleash.answer = undefined
    await advance(20_000)
    expect(unleash.percentages['catalog-flag']).toBe(10)
    expect(await dropped()).toEqual([
      [
        'failed',
        `the pending write of 0 % to flag "catalog-flag" in Unleash is dropped: ${who} came after the rollback`,
      ],
    ])
  })

  test('is dropped by a flip, with an entry in the audit log', async () => {
    unleash.answer = { kind: 'failed', reason: 'Unleash is away' }
    await rollback()
    unleash.answer = undefined
    const flipped = gateways[1].control.flip('catalog', 40, bob)
    await advance(20_000)
    expect((await flipped).kind).toBe('done')
    expect(unleash.percentages['catalog-flag']).toBe(40)
    expect(await dropped()).toMatchObject([['failed', expect.stringContaining('flip by bob came after the rollback')]])
  })

  test('is replaced by that of a rollback by another operator, with an entry in the audit log', async () => {
    unleash.answer = { kind: 'failed', reason: 'Unleash is away' }
    await rollback()
    await gateways[1].control.pin('catalog', 'legacy', 60_000, bob)
    const again = gateways[1].control.rollback('catalog', false, bob)
    await advance(6000)
    await again
    unleash.answer = undefined
    await advance(12_000)
    expect(unleash.percentages['catalog-flag']).toBe(0)
    expect(await dropped()).toMatchObject([['failed', expect.stringContaining('rollback by bob came after')]])
  })

  test('is not written if the context is changed during the write', async () => {
    let thaw = () => {}
    unleash.answer = new Promise((resolve) => {
      thaw = () => resolve(undefined)
    })
    await rollback()
    const unpinned = gateways[1].control.unpin('catalog', bob)
    await advance(500)
    await unpinned
    thaw()
    unleash.answer = undefined
    await advance(12_000)
    expect(unleash.percentages['catalog-flag']).toBe(10)
  })

  test.each<[string, boolean]>([
    ['a poll shows', true],
    ['only the write itself finds', false],
  ])('is dropped by a change in Unleash that %s, and the change is recorded', async (_, isPolling) => {
    unleash.answer = { kind: 'failed', reason: 'Unleash is away' }
    await rollback()
    change(40)
    unleash.answer = isPolling ? unleash.answer : undefined
    await advance(12_000, isPolling)
    unleash.answer = undefined
    await advance(12_000)
    expect(unleash.percentages['catalog-flag']).toBe(40)
    expect(gateways[0].controls().pins.get('catalog')).toBe('legacy')
    expect((await log()).slice(1)).toEqual([['unleash', 'outside', 'catalog', 10, 40]])
    expect(await dropped()).toEqual([
      [
        'done',
        'flag "catalog-flag" was changed in Unleash itself; the pending write of 0 % for the rollback by anna is dropped',
      ],
    ])
  })

  test('is not written while the store cannot be read: others may have changed the context', async () => {
    unleash.answer = { kind: 'failed', reason: 'Unleash is away' }
    await rollback()
    fleet.memory.isReachable = false
    unleash.answer = undefined
    await advance(12_000)
    expect(unleash.percentages['catalog-flag']).toBe(10)
    fleet.memory.isReachable = true
    await advance(12_000)
    expect(unleash.percentages['catalog-flag']).toBe(0)
  })
})
