import { mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { NOON } from '../lib/manual-clock.test-kit.ts'
import { StoreUnavailable } from '../model/state-store.ts'
import type { ChangeResult } from './control.ts'
import {
  anna,
  bob,
  doneResult,
  failureOf,
  type TestFleet,
  type TestGateway,
  testFleet,
} from './gateway-control.test-kit.ts'

let fleet: TestFleet
let gateways: readonly [TestGateway, TestGateway, TestGateway]

beforeEach(async () => {
  vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval', 'setTimeout', 'clearTimeout'] })
  fleet = await testFleet()
  gateways = [await fleet.start(), await fleet.start(), await fleet.start()]
})

afterEach(() => void vi.useRealTimers())

const pins = () => gateways.map(({ controls }) => controls().pins.get('catalog'))
const kills = () => gateways.map(({ controls }) => controls().isKilled)
const percentages = () => gateways.map(({ flags }) => flags.percentage('catalog-flag').percentage)

/** Advances the clock and the timers. */
async function advance(ms: number): Promise<void> {
  for (let passed = 0; passed < ms; passed += 100) {
    fleet.clock.advance(100)
    await vi.advanceTimersByTimeAsync(100)
  }
}

/** Advances the time until the work is done. */
async function untilDone<T>(work: Promise<T>): Promise<T> {
  let isDone = false
  void work.finally(() => {
    isDone = true
  })
  while (!isDone) await advance(100)
  return work
}

describe('a change', () => {
  test('is in force on every gateway when its result arrives, and the result says so', async () => {
    const result = doneResult(await gateways[0].control.flip('catalog', 25, anna))
    expect(result).toEqual({
      kind: 'done',
      verb: 'flip',
      context: 'catalog',
      before: 10,
      after: 25,
      generation: 2,
      until: null,
      convergence: {
        applied: 3,
        of: 3,
        ms: 0,
        laggards: [],
        inFlight: 0,
        serviceWrites: { count: 0, isLowerBound: true },
      },
      note: null,
    })
    expect(percentages()).toEqual([25, 25, 25])
    expect(gateways.map(({ control }) => control.generation())).toEqual([2, 2, 2])
  })

  test('lists a gateway that has not reported it', async () => {
    const report = vi.spyOn(gateways[1].store, 'sendHeartbeat').mockImplementation(async () => {})
    const result = doneResult(await untilDone(gateways[0].control.pin('catalog', 'legacy', 60_000, anna)))
    expect(result.convergence).toMatchObject({
      applied: 2,
      of: 3,
      laggards: [{ id: 'gateway-2', address: 'http://gateway-2:8081' }],
    })
    report.mockRestore()
  })

  test('is recorded with author, verb, reason, before, after, until and result', async () => {
    const { control } = gateways[0]
    await control.flip('catalog', 25, anna)
    await control.pin('catalog', 'service', 60_000, { ...bob, reason: 'a try' })
    await control.freeze('catalog', bob)
    await control.unpin('catalog', anna)
    await control.rollback('catalog', false, anna)
    await control.rollback('billing', false, bob)
    await control.kill(bob)
    await control.revive(anna)
    await control.thaw('catalog', anna)
    await control.flip('catalog', 30, { ...bob, ifGeneration: 1 })
    const [, ...log] = await fleet.log()
    const [first] = log
    expect(first).toEqual({
      position: expect.any(String),
      at: NOON,
      actor: 'anna',
      address: '192.0.2.1',
      verb: 'flip',
      context: 'catalog',
      before: 10,
      after: 25,
      reason: 'launch',
      until: null,
      result: 'done',
      detail: null,
      generation: 2,
      gateway: 'gateway-1',
      previous: expect.stringMatching(/^[0-9a-f]{64}$/),
      hash: expect.stringMatching(/^[0-9a-f]{64}$/),
    })
    const lines = log.map((entry) => {
      const { actor, verb, context, result, until, generation } = entry
      return JSON.stringify([actor, verb, context, result, entry.before, entry.after, until, generation])
    })
    const until = NOON + 60_000
    expect(lines).toEqual(
      [
        ['anna', 'flip', 'catalog', 'done', 10, 25, null, 2],
        ['bob', 'pin', 'catalog', 'done', null, { side: 'service', until }, until, 3],
        ['bob', 'freeze', 'catalog', 'done', 'thawed', 'frozen', null, 4],
        ['anna', 'unpin', 'catalog', 'refused', null, null, null, null],
        [
          'anna',
          'rollback',
          'catalog',
          'done',
          { pin: { side: 'service', until }, percentage: 25 },
          { pin: 'legacy', percentage: 0 },
          null,
          5,
        ],
        ['bob', 'rollback', 'billing', 'refused', null, null, null, null],
        ['bob', 'kill', null, 'done', false, true, null, 6],
        ['anna', 'revive', null, 'done', true, false, null, 7],
        ['anna', 'thaw', 'catalog', 'done', 'frozen', 'thawed', null, 8],
        ['bob', 'flip', 'catalog', 'conflict', null, null, null, null],
      ].map((line) => JSON.stringify(line)),
    )
    expect(log[3]?.detail).toContain('is frozen by bob')
    expect(log[5]?.detail).toContain('forward-only')
    expect(gateways[0].events.of('changeFinished')).toHaveLength(10)
  })

  test('that changes nothing is not recorded, but waits for the fleet', async () => {
    const { control } = gateways[0]
    await control.kill(anna)
    const { length } = await fleet.log()
    vi.spyOn(gateways[1].store, 'sendHeartbeat').mockImplementation(async () => {})
    fleet.memory.members.set('gateway-2', {
      report: JSON.stringify({ ...(await gateways[1].store.fleet())[1], applied: 1 }),
      at: fleet.clock.wallTime(),
    })
    const again = doneResult(await untilDone(control.kill(bob)))
    expect(again).toMatchObject({ before: true, after: true, generation: 2, note: 'the kill switch is on, by anna' })
    expect(again.convergence.laggards).toMatchObject([{ id: 'gateway-2', why: expect.stringContaining('silent') }])
    expect(await fleet.log()).toHaveLength(length)
  })

  test('of an unknown context lists the contexts and is recorded', async () => {
    const result = await gateways[0].control.flip('catalgo', 25, anna)
    expect(result).toEqual({
      kind: 'unknown-context',
      why: 'there is no context "catalgo"; there are catalog, orders, billing',
      known: ['catalog', 'orders', 'billing'],
    })
    expect((await fleet.log()).at(-1)).toMatchObject({ verb: 'flip', context: 'catalgo', result: 'refused' })
    expect((await gateways[0].control.pin('__proto__', 'legacy', null, anna)).kind).toBe('unknown-context')
  })

  test('reaches the watchers', async () => {
    const listener = vi.fn()
    const end = gateways[1].control.watch(listener)
    await gateways[0].control.freeze('catalog', anna)
    end()
    await gateways[0].control.thaw('catalog', anna)
    expect(listener).toHaveBeenCalledOnce()
    expect(listener.mock.calls[0]?.[0]).toMatchObject({ generation: 2 })
  })

  test('counts the requests in flight on the abandoned side', async () => {
    for (const { traffic } of gateways) traffic.inFlight = { catalog: { legacy: 5, service: 2 } }
    const inFlight = async (work: Promise<Parameters<typeof doneResult>[0]>) =>
      doneResult(await work).convergence.inFlight
    const { control } = gateways[0]
    expect(await inFlight(control.flip('catalog', 50, anna))).toBe(0)
    expect(await inFlight(control.flip('catalog', 100, anna))).toBe(15)
    expect(await inFlight(control.pin('catalog', 'legacy', null, anna))).toBe(6)
    expect(await inFlight(control.pin('catalog', 'service', null, anna))).toBe(15)
    expect(await inFlight(control.rollback('catalog', false, anna))).toBe(6)
    expect(await inFlight(control.kill(anna))).toBe(6)
  })
})

describe('changes by two operators', () => {
  test('of the same context: the one without the last change learns its author and verb', async () => {
    const seen = (await gateways[0].control.context('catalog'))?.generation
    await gateways[1].control.freeze('orders', bob)
    await gateways[1].control.pin('catalog', 'legacy', null, { ...bob, reason: 'errors' })
    const result = await gateways[0].control.flip('catalog', 25, { ...anna, ifGeneration: seen })
    expect(result).toEqual({
      kind: 'conflict',
      why: '"catalog" was changed in between: pin by bob (errors) at 2026-01-01T12:00:00.000Z; check its status, and repeat the change if it is still wanted',
      generation: 3,
    })
    expect(percentages()).toEqual([10, 10, 10])
    expect((await gateways[0].control.flip('catalog', 25, { ...anna, ifGeneration: 3 })).kind).toBe('done')
  })

  test('with a generation that the store never had are a conflict', async () => {
    expect(failureOf(await gateways[0].control.flip('catalog', 25, { ...anna, ifGeneration: 9 }))).toMatch(
      /^conflict: "catalog" has not been changed since generation 9/,
    )
  })

  test('at once on one context: one is done, the other is a conflict', async () => {
    const results = await Promise.all([
      gateways[0].control.flip('catalog', 25, anna),
      gateways[1].control.flip('catalog', 75, bob),
    ])
    expect(results.map(({ kind }) => kind).sort()).toEqual(['conflict', 'done'])
    const winner = results[0].kind === 'done' ? 25 : 75
    expect(percentages()).toEqual([winner, winner, winner])
    expect(results.map((result) => (result.kind === 'conflict' ? result.why : '')).join('')).toMatch(
      /changed in between: flip by (anna \(launch\)|bob) at/,
    )
  })

  test('at once on different contexts are all done', async () => {
    const results = await Promise.all([
      gateways[0].control.flip('catalog', 25, anna),
      gateways[1].control.flip('orders', 75, bob),
      gateways[2].control.freeze('billing', bob),
    ])
    expect(results.map(({ kind }) => kind)).toEqual(['done', 'done', 'done'])
    expect(gateways.map(({ store }) => store.current().generation)).toEqual([4, 4, 4])
    expect(gateways[2].flags.percentage('orders-flag').percentage).toBe(75)
    expect(percentages()).toEqual([25, 25, 25])
  })

  test('do not conflict with a rollback or a kill', async () => {
    const results = await Promise.all([
      gateways[0].control.flip('catalog', 25, anna),
      gateways[1].control.rollback('catalog', false, { ...bob, ifGeneration: 77 }),
      gateways[2].control.kill({ ...bob, ifGeneration: 77 }),
    ])
    expect(results.slice(1).map(({ kind }) => kind)).toEqual(['done', 'done'])
    expect(pins()).toEqual(['legacy', 'legacy', 'legacy'])
    expect(kills()).toEqual([true, true, true])
  })

  test('that are always committed first end the attempts of another change', async () => {
    vi.spyOn(gateways[0].store, 'commit').mockImplementation(async () => ({
      ok: false,
      conflict: gateways[0].store.current(),
    }))
    expect(failureOf(await gateways[0].control.freeze('catalog', anna))).toMatch(
      /^unavailable: .*try again. Nothing was/,
    )
  })
})

describe('a change of the comparison', () => {
  const PRICE = { fingerprint: 'f1', route: 'GET /products', field: 'value $.price' } as const
  const shares = () => gateways.map(({ controls }) => controls().shadows.get('catalog'))
  const notes = () => gateways.map(({ store }) => store.current().contexts.catalog?.differences?.f1)

  test('sets the shadowed share on every gateway until it is as configured again', async () => {
    const result = doneResult(await gateways[0].control.shadow('catalog', 25, anna))
    expect(result).toMatchObject({
      verb: 'shadow',
      context: 'catalog',
      before: null,
      after: 25,
      generation: 2,
      convergence: { applied: 3, of: 3 },
    })
    expect(shares()).toEqual([0.25, 0.25, 0.25])
    const view = await gateways[1].control.context('catalog')
    expect(view).toMatchObject({ shadow: { percentage: 25, by: 'anna', reason: 'launch', at: NOON }, generation: 2 })
    expect(await gateways[1].control.context('orders')).toMatchObject({ shadow: null })
    expect(doneResult(await gateways[2].control.shadow('catalog', null, bob))).toMatchObject({
      before: 25,
      after: null,
    })
    expect(shares()).toEqual([undefined, undefined, undefined])
    expect(await gateways[0].control.context('catalog')).toMatchObject({ shadow: null, generation: 3 })
  })

  test('puts a ruling and a resolution on every gateway and on record', async () => {
    const ruled = doneResult(await gateways[0].control.rule('catalog', PRICE, 'noise', anna))
    expect(ruled).toMatchObject({ verb: 'rule', convergence: { applied: 3, of: 3 } })
    fleet.clock.advance(5)
    await gateways[1].control.resolve('catalog', PRICE, bob)
    const note = { ruling: 'noise', resolvedAt: NOON + 5, by: 'bob', route: 'GET /products', field: 'value $.price' }
    for (const stored of notes()) expect(stored).toMatchObject(note)
    const log = (await fleet.log()).slice(-2)
    expect(log).toMatchObject([
      {
        verb: 'rule',
        actor: 'anna',
        reason: 'launch',
        before: { ...PRICE, ruling: null },
        after: { ...PRICE, ruling: 'noise' },
      },
      {
        verb: 'resolve',
        actor: 'bob',
        before: { ...PRICE, resolvedAt: null },
        after: { ...PRICE, resolvedAt: NOON + 5 },
      },
    ])
  })

  test('works while the context is frozen, and conflicts like any change', async () => {
    await gateways[0].control.freeze('catalog', bob)
    const { control } = gateways[1]
    expect((await control.shadow('catalog', 5, anna)).kind).toBe('done')
    expect((await control.rule('catalog', PRICE, 'real', anna)).kind).toBe('done')
    expect((await control.resolve('catalog', PRICE, anna)).kind).toBe('done')
    expect(failureOf(await control.shadow('catalog', 6, { ...bob, ifGeneration: 2 }))).toMatch(
      /^conflict: "catalog" was changed in between: resolve by anna \(launch\)/,
    )
    expect(failureOf(await control.rule('catalgo', PRICE, 'real', anna))).toMatch(/^unknown-context: /)
  })
})

describe('a rollback', () => {
  test('sends everything to legacy, and unpin leaves the percentage at 0', async () => {
    await gateways[0].control.flip('catalog', 60, anna)
    const result = doneResult(await gateways[1].control.rollback('catalog', false, bob))
    expect(result).toMatchObject({
      before: { pin: null, percentage: 60 },
      after: { pin: 'legacy', percentage: 0 },
      convergence: { applied: 3, of: 3 },
    })
    expect(pins()).toEqual(['legacy', 'legacy', 'legacy'])
    const unpinned = doneResult(await gateways[2].control.unpin('catalog', anna))
    expect(unpinned.note).toBe('its flag decides now, at 0 %')
    expect(pins()).toEqual([undefined, undefined, undefined])
    expect(percentages()).toEqual([0, 0, 0])
  })

  test('that one gateway has not applied lists that gateway', async () => {
    vi.spyOn(gateways[2].store, 'sendHeartbeat').mockImplementation(async () => {})
    const result = doneResult(await untilDone(gateways[0].control.rollback('catalog', false, anna)))
    expect(result.convergence.laggards.map(({ id }) => id)).toEqual(['gateway-3'])
  })

  test('of a context that is rolled back names the author, and waits for the fleet', async () => {
    await gateways[0].control.rollback('catalog', false, anna)
    const again = doneResult(await gateways[1].control.rollback('catalog', false, bob))
    expect(again.note).toMatch(/^it is rolled back already: pinned to legacy by anna \(launch\)/)
    expect(again.convergence).toMatchObject({ applied: 3, of: 3 })
    expect(gateways[0].store.current().contexts.catalog?.pin?.by).toBe('anna')
  })

  test('of a forward-only context must be forced', async () => {
    expect(failureOf(await gateways[0].control.rollback('billing', false, anna))).toMatch(/^refused: .*--force/)
    expect(doneResult(await gateways[0].control.rollback('billing', true, anna)).after).toEqual({
      pin: 'legacy',
      percentage: 0,
    })
  })
})

describe('a pin with an end', () => {
  test('ends by itself on every gateway', async () => {
    await gateways[0].control.pin('catalog', 'service', 30_000, anna)
    expect(pins()).toEqual(['service', 'service', 'service'])
    await advance(29_900)
    expect(pins()).toEqual(['service', 'service', 'service'])
    await advance(200)
    expect(pins()).toEqual([undefined, undefined, undefined])
    expect((await gateways[0].control.context('catalog'))?.pin).toBeNull()
  })

  test('ends while the store cannot be reached', async () => {
    await gateways[0].control.pin('catalog', 'service', 30_000, anna)
    fleet.memory.isReachable = false
    await advance(30_100)
    expect(pins()).toEqual([undefined, undefined, undefined])
    fleet.memory.isReachable = true
  })

  test('ends by the clock of the fleet, also if that clock is corrected later', async () => {
    const [{ store, control, controls }] = gateways
    await control.pin('catalog', 'service', 3600_000, anna)
    vi.spyOn(store, 'wallTime').mockImplementation(() => fleet.clock.wallTime() + 3600_000)
    await advance(5100)
    expect(controls().pins.get('catalog')).toBeUndefined()
  })

  test('that is later than the longest timer does not end at once', async () => {
    await gateways[0].control.pin('catalog', 'service', 300 * 86_400_000, anna)
    await advance(10_000)
    expect(pins()).toEqual(['service', 'service', 'service'])
  })

  test('is replaced by another pin', async () => {
    await gateways[0].control.pin('catalog', 'service', 1000, anna)
    const second = doneResult(await gateways[1].control.pin('catalog', 'legacy', 5000, bob))
    expect(second.note).toContain('it was pinned to service by anna')
    await advance(1100)
    expect(pins()).toEqual(['legacy', 'legacy', 'legacy'])
    await advance(4000)
    expect(pins()).toEqual([undefined, undefined, undefined])
  })

  test('of no length is refused', async () => {
    for (const forMs of [0, -1, Number.NaN])
      expect(failureOf(await gateways[0].control.pin('catalog', 'service', forMs, anna))).toMatch(
        /^refused: a pin must end/,
      )
  })
})

describe('a kill', () => {
  test('sends everything to legacy on every gateway until it is revived', async () => {
    expect(doneResult(await gateways[0].control.kill(anna)).convergence).toMatchObject({ applied: 3, of: 3 })
    expect(kills()).toEqual([true, true, true])
    expect((await gateways[1].control.status()).contexts.map(({ serving }) => serving)).toEqual([
      'legacy',
      'legacy',
      'legacy',
    ])
    const revived = doneResult(await gateways[2].control.revive(bob))
    expect(revived).toMatchObject({ before: true, after: false, note: null })
    expect(kills()).toEqual([false, false, false])
  })

  test('with an unreachable store kills this gateway, and says that it is alone', async () => {
    gateways[0].traffic.inFlight = { catalog: { legacy: 1, service: 2 }, orders: { legacy: 0, service: 3 } }
    fleet.memory.isReachable = false
    const result = doneResult(await gateways[0].control.kill(anna))
    expect(result).toMatchObject({
      before: false,
      after: true,
      convergence: { applied: 1, of: 1, inFlight: 5, laggards: [{ id: 'all others' }] },
      note: expect.stringMatching(
        /^everything goes to legacy on this gateway \(gateway-1\) only\. The other gateways are unchanged, .+kill\.all there, or send it SIGUSR2$/,
      ) as string,
    })
    expect(kills()).toEqual([true, false, false])
    fleet.memory.isReachable = true
    await advance(1000)
    const log = (await fleet.log()).slice(1)
    expect(log).toMatchObject([
      { verb: 'kill', actor: 'anna', result: 'failed', gateway: 'gateway-1' },
      { verb: 'kill', actor: 'anna', result: 'done', before: false, after: true, gateway: 'gateway-1' },
    ])
    expect(log[1]?.detail).toBe('on gateway-1 alone: *')
    expect(kills()).toEqual([true, false, false])
    expect((await gateways[0].control.status()).localKill).toEqual(['*'])
  })

  test('that the store may have committed before it became unreachable says so', async () => {
    vi.spyOn(gateways[0].store, 'commit').mockRejectedValue(new StoreUnavailable('gone', undefined))
    expect(doneResult(await gateways[0].control.kill(anna)).note).toContain('the change may have been made')
  })

  test('on this gateway alone, as a signal asks, is in force at once and recorded', async () => {
    gateways[0].control.killHere()
    expect(kills()).toEqual([true, false, false])
    await advance(1000)
    expect((await fleet.log()).at(-1)).toMatchObject({ verb: 'kill', actor: 'signal', gateway: 'gateway-1' })
    const revived = doneResult(await gateways[0].control.revive(bob))
    expect(kills()).toEqual([false, false, false])
    expect(revived.note).toBe('the kill switch was not on; the kill file of this gateway was removed')
    await advance(1000)
    expect(kills()).toEqual([false, false, false])
    expect((await fleet.log()).at(-1)).toMatchObject({ verb: 'revive', actor: 'bob', detail: 'on gateway-1 alone' })
  })

  test('by the kill file of another gateway is listed by revive and in the fleet', async () => {
    gateways[1].control.killHere()
    await advance(1000)
    const { members } = await gateways[0].control.fleet()
    expect(members.map(({ localKill }) => localKill)).toEqual([[], ['*'], []])
    expect(doneResult(await gateways[0].control.revive(bob)).note).toBe(
      'the kill switch was not on; still killed by a kill file of their own: gateway-2 (http://gateway-2:8081); remove the file there, or send revive to these gateways',
    )
  })

  test('by a file that names a context moves that context, and an unknown name is reported', async () => {
    await writeFile(join(gateways[0].stateDir, 'kill'), 'catalog\ncatalgo\n')
    await advance(1000)
    expect(pins()).toEqual(['legacy', undefined, undefined])
    expect(kills()).toEqual([false, false, false])
    expect((await fleet.log()).at(-1)).toMatchObject({
      actor: 'kill file',
      detail: 'on gateway-1 alone: catalog, catalgo; there is no context catalgo',
    })
    expect((await gateways[0].control.status()).killFileProblems).toEqual([
      expect.stringMatching(/^there is no context catalgo; there are .*catalog/),
    ])
    await rm(join(gateways[0].stateDir, 'kill'))
    await advance(1000)
    expect((await gateways[0].control.status()).killFileProblems).toEqual([])
    expect(pins()).toEqual([undefined, undefined, undefined])
    expect((await fleet.log()).at(-1)).toMatchObject({ verb: 'revive', actor: 'kill file' })
  })

  test('by a file is revived with the reason of the operator in the audit log', async () => {
    await writeFile(join(gateways[0].stateDir, 'kill'), 'catalog\n')
    await advance(1000)
    await gateways[0].control.revive({ ...anna, reason: 'the disk is replaced' })
    await advance(1000)
    expect((await fleet.log()).filter(({ verb }) => verb === 'revive')).toMatchObject([
      { actor: anna.by, reason: 'the disk is replaced', result: 'done' },
    ])
  })

  test('by an empty file does not happen, and status reports the file', async () => {
    await writeFile(join(gateways[0].stateDir, 'kill'), '')
    await advance(1000)
    expect(kills()).toEqual([false, false, false])
    expect(gateways[0].events.of('killFileRefused')).toHaveLength(1)
    expect((await gateways[0].control.status()).killFileProblems).toEqual([
      expect.stringMatching(/kill is empty and is ignored/),
    ])
  })

  test('by a file that exists at the start is in force from the start, and reported once', async () => {
    const { stateDir } = gateways[0]
    await writeFile(join(stateDir, 'kill.all'), '')
    const another = await fleet.start({ stateDir })
    expect(another.controls().isKilled).toBe(true)
    expect(another.events.of('changeFinished')).toMatchObject([{ verb: 'kill', by: 'kill file' }])
  })

  test('by a file that appears during the start is reported once', async () => {
    const stateDir = await mkdtemp(join(tmpdir(), 'control-'))
    const beforeStart = async () => {
      await writeFile(join(stateDir, 'kill.all'), '')
      await advance(1000)
    }
    const another = await fleet.start({ stateDir, beforeStart })
    expect(another.controls().isKilled).toBe(true)
    expect(another.events.of('changeFinished')).toHaveLength(1)
  })

  test('by a file that cannot be removed is not revived, and the refusal has the reason', async () => {
    await mkdir(join(gateways[0].stateDir, 'kill.all', 'not-empty'), { recursive: true })
    await advance(1000)
    expect(failureOf(await gateways[0].control.revive(anna))).toMatch(/^refused: .*kill\.all cannot be removed/)
    expect(kills()).toEqual([true, false, false])
  })

  test('on this gateway is revived while the store is unreachable', async () => {
    fleet.memory.isReachable = false
    await gateways[0].control.kill(anna)
    expect(failureOf(await gateways[0].control.revive(anna))).toMatch(
      /: the kill file of this gateway was removed; for the rest: .* nothing was changed$/,
    )
    expect(kills()).toEqual([false, false, false])
    expect(await readdir(gateways[0].stateDir)).toEqual([])
    fleet.memory.isReachable = true
  })
})

describe('the members of the fleet', () => {
  test('that are silent can be forgotten, with an entry in the audit log; one that reports cannot', async () => {
    const [first] = gateways
    expect(failureOf(await first.control.forget('gateway-3', anna))).toMatch(
      /^refused: gateway "gateway-3" at .* reports: stop/,
    )
    expect(failureOf(await first.control.forget('nobody', anna))).toMatch(
      /^refused: there is no gateway "nobody"; there are/,
    )
    await gateways[2].store.close()
    vi.spyOn(gateways[2].store, 'sendHeartbeat').mockResolvedValue()
    await advance(4000)
    expect((await first.control.fleet()).members.find(({ id }) => id === 'gateway-3')).toMatchObject({
      isConverged: false,
      lag: expect.stringMatching(/^silent for \d s$/),
    })
    expect(doneResult(await first.control.forget('gateway-3', anna))).toMatchObject({
      verb: 'forget',
      before: 'gateway-3',
    })
    expect((await first.control.fleet()).members.map(({ id }) => id)).toEqual(['gateway-1', 'gateway-2'])
    expect((await fleet.log()).at(-1)).toMatchObject({
      verb: 'forget',
      actor: 'anna',
      before: 'gateway-3',
      result: 'done',
    })
  })

  test('with one id, of a copied folder, are listed apart, and the later one is reported', async () => {
    await advance(1000)
    const copy = await fleet.start({ id: 'gateway-1', instance: 'copy' })
    await advance(6000)
    const { members } = await gateways[0].control.fleet()
    expect(members.map(({ id, isConverged }) => [id, isConverged])).toContainEqual(['gateway-1~copy', false])
    expect(members.map(({ id, isConverged }) => [id, isConverged])).toContainEqual(['gateway-1', true])
    expect(members.find(({ duplicateOf }) => duplicateOf === 'gateway-1')?.lag).toMatch(
      /^has the id of "gateway-1", which runs too: give this one a state folder of its own/,
    )
    expect(copy.events.of('storeFailed')).toHaveLength(1)
  })

  test('with one id after a restart are one member', async () => {
    const late = await gateways[0].store.fleet()
    await gateways[0].control.stop()
    await fleet.start({ id: 'gateway-1', instance: 'after the restart' })
    const { silentMs: _, ...report } = late.find(({ id }) => id === 'gateway-1') as (typeof late)[number]
    await gateways[1].store.sendHeartbeat(report)
    await advance(6000)
    const { members } = await gateways[1].control.fleet()
    expect(members.map(({ id, isConverged }) => [id, isConverged]).sort()).toEqual([
      ['gateway-1', true],
      ['gateway-2', true],
      ['gateway-3', true],
    ])
  })
})

describe('with an unreachable store', () => {
  test('changes are not made and report it; the failure is recorded when the store returns', async () => {
    fleet.memory.isReachable = false
    expect(failureOf(await gateways[0].control.flip('catalog', 25, anna))).toBe(
      'unavailable: the store cannot be reached (the memory cannot be reached); nothing was changed',
    )
    // The result names the way to legacy that works without the store.
    const file = join(gateways[0].stateDir, 'kill')
    const hint = `nothing was changed. Without it, on each gateway by itself: write catalog into the file ${file} there`
    expect(failureOf(await gateways[0].control.rollback('catalog', false, bob))).toBe(
      `unavailable: the store cannot be reached (the memory cannot be reached); ${hint}`,
    )
    // Silent gateways are still listed: an operator may have to go there.
    const { members } = await gateways[0].control.fleet()
    expect(members.map(({ id, isConverged }) => [id, isConverged])).toEqual([
      ['gateway-1', true],
      ['gateway-2', false],
      ['gateway-3', false],
    ])
    // They are forgotten after the time for which a store remembers them.
    fleet.clock.advance(16 * 60_000)
    fleet.memory.isReachable = true
    await advance(2000)
    await gateways[2].control.stop()
    fleet.clock.advance(16 * 60_000)
    await advance(2000)
    fleet.memory.isReachable = false
    expect((await gateways[0].control.fleet()).members.map(({ id }) => id)).toEqual(['gateway-1', 'gateway-2'])
    fleet.memory.isReachable = true
    await advance(1000)
    expect((await fleet.log()).slice(1)).toMatchObject([
      { verb: 'flip', actor: 'anna', result: 'failed' },
      { verb: 'rollback', actor: 'bob', result: 'failed' },
    ])
  })

  test('a commit without an answer may have been made', async () => {
    vi.spyOn(gateways[0].store, 'commit').mockRejectedValue(new StoreUnavailable('gone', undefined))
    expect(failureOf(await gateways[0].control.flip('catalog', 25, anna))).toBe(
      'unavailable: the store cannot be reached (gone); the change may have been made: check the status before you repeat it',
    )
  })

  test('a change that was committed reports an unknown fleet', async () => {
    vi.spyOn(gateways[0].store, 'fleet').mockRejectedValue(new StoreUnavailable('gone', undefined))
    const result = doneResult(await gateways[0].control.flip('catalog', 25, anna))
    expect(result.convergence).toMatchObject({ applied: 0, of: 0, laggards: [{ id: 'unknown' }] })
  })

  test('status, context and fleet have the last known values, and history fails', async () => {
    await gateways[0].control.pin('catalog', 'legacy', null, anna)
    fleet.memory.isReachable = false
    const status = await gateways[0].control.status()
    expect(status).toMatchObject({ generation: 2, store: { isConnected: false } })
    expect(status.contexts[0]).toMatchObject({ name: 'catalog', serving: 'legacy', percentage: 10 })
    expect((await gateways[0].control.fleet()).members.map(({ id }) => id)).toEqual([
      'gateway-1',
      'gateway-2',
      'gateway-3',
    ])
    await expect(gateways[0].control.history({ limit: 1 })).rejects.toThrow(StoreUnavailable)
    fleet.memory.isReachable = true
  })

  test('a bug is not reported as an unreachable store', async () => {
    vi.spyOn(gateways[0].store, 'read').mockRejectedValue(new TypeError('a bug'))
    await expect(gateways[0].control.freeze('catalog', anna)).rejects.toThrow(TypeError)
  })
})

describe('a read', () => {
  test('of the history has the entries of all contexts or of one', async () => {
    await gateways[0].control.freeze('catalog', anna)
    await gateways[0].control.freeze('orders', anna)
    const { records } = await gateways[1].control.history({ limit: 10, context: 'orders' })
    expect(records).toMatchObject([{ verb: 'freeze', context: 'orders' }])
  })

  test('of a context has the side that answers, by flag, pin and kill switch', async () => {
    const { control } = gateways[0]
    const serving = async () => (await control.context('catalog'))?.serving
    expect(await serving()).toBe('split')
    await control.flip('catalog', 100, anna)
    expect(await serving()).toBe('service')
    await control.pin('catalog', 'legacy', 1000, anna)
    expect(await serving()).toBe('legacy')
    await advance(1100)
    await control.flip('catalog', 0, anna)
    expect(await serving()).toBe('legacy')
    await control.pin('catalog', 'service', 1000, anna)
    expect(await serving()).toBe('service')
    await control.kill(anna)
    expect(await serving()).toBe('legacy')
    expect(await control.context('nothing')).toBeUndefined()
  })

  test('of a context without a flag has legacy as the side that answers', async () => {
    const state = gateways[0].store.current()
    const entry = (await fleet.log())[0]
    if (entry === undefined) throw new Error('nothing was seeded')
    const next = { ...state, generation: state.generation + 1, flags: { version: 2, features: [] } }
    await gateways[0].store.commit(next, { ...entry, generation: next.generation })
    expect(await gateways[0].control.context('catalog')).toMatchObject({
      percentage: null,
      why: 'is not there',
      serving: 'legacy',
    })
  })

  test('of the last minute counts only gateways that report', async () => {
    const [first] = await gateways[0].store.fleet()
    if (first === undefined) throw new Error('nobody is there')
    const lastMinute = { catalog: { legacy: 7, service: 3 } }
    fleet.memory.members.set('gone', { report: JSON.stringify({ ...first, id: 'gone', lastMinute }), at: NOON - 4000 })
    fleet.memory.members.set('busy', { report: JSON.stringify({ ...first, id: 'busy', lastMinute }), at: NOON })
    expect((await gateways[0].control.context('catalog'))?.lastMinute).toEqual({ legacy: 7, service: 3 })
  })

  test('of the fleet has a gateway from its join to its stop', async () => {
    const { control } = await fleet.start({ isJoining: false })
    const of = async () => (await gateways[0].control.fleet()).members.length
    await gateways[0].control.freeze('catalog', anna)
    expect(await of()).toBe(3)
    control.join()
    await advance(100)
    expect(await of()).toBe(4)
    await control.stop()
    await gateways[0].control.thaw('catalog', anna)
    await advance(1000)
    expect(await of()).toBe(3)
  })
})

describe('the writes that the service has answered since 0 %', () => {
  const writesOf = (result: ChangeResult) => (result.kind === 'done' ? result.convergence.serviceWrites : result)

  test('are reported by flip, rollback and kill, summed over the fleet', async () => {
    const fleet = await testFleet()
    const gateways = [await fleet.start(), await fleet.start()] as const
    const [{ control }] = gateways
    // A gateway that started above 0 % does not know the earlier writes.
    expect(writesOf(await control.flip('catalog', 0, anna))).toEqual({ count: 0, isLowerBound: true })
    expect(writesOf(await control.flip('catalog', 50, anna))).toEqual({ count: 0, isLowerBound: false })
    gateways[0].traffic.serviceWrites = { catalog: 5 }
    gateways[1].traffic.serviceWrites = { catalog: 2, orders: 1 }
    for (const { control: other } of gateways) other.join()
    expect(writesOf(await control.rollback('catalog', false, anna))).toEqual({ count: 7, isLowerBound: false })
    expect(writesOf(await control.kill(anna))).toEqual({ count: 8, isLowerBound: true })
    expect(writesOf(await control.freeze('orders', anna))).toBeUndefined()
  })
})
