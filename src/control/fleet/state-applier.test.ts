import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { type ManualClock, manualClock, NOON } from '../../lib/manual-clock.test-kit.ts'
import { EMPTY_CONTEXT, type SharedState } from '../../model/shared-state.ts'
import type { Controls } from '../../model/snapshot.ts'
import { MemoryStore } from '../../store/memory/memory-store.ts'
import { AuditRecorder } from '../audit/audit-recorder.ts'
import { stampAt, stateWith } from '../control.test-kit.ts'
import { recordedEvents } from '../flags/flags.test-kit.ts'
import { UnleashAuthority } from '../flags/unleash/unleash-authority.ts'
import { type FakeUnleash, fakeUnleash } from '../gateway-control.test-kit.ts'
import { StateApplier } from './state-applier.ts'

let clock: ManualClock
let unleash: FakeUnleash
let flags: ReturnType<FakeUnleash['follow']>
let published: { controls: Controls; generation: number }[]
let reports: number[]
let applier: StateApplier
let authority: UnleashAuthority

beforeEach(() => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
  unleash = fakeUnleash()
  clock = unleash.clock
  flags = unleash.follow()
  published = []
  reports = []
  const { events } = recordedEvents()
  const store = new MemoryStore({ clock: manualClock() })
  const gateway = 'g1'
  const recorder = new AuditRecorder({ store, events, gateway })
  authority = new UnleashAuthority({
    store,
    clock,
    events,
    flags,
    writer: undefined,
    recorder,
    gateway,
    contexts: () => new Map(),
  })
  applier = new StateApplier({
    store,
    events,
    authority,
    publish: (controls: Controls, generation: number) => void published.push({ controls, generation }),
    localKill: () => [],
    onApplied: () => void reports.push(applier.generation),
  })
})

afterEach(async () => {
  applier.stop()
  await authority.stop()
  vi.useRealTimers()
})

async function advance(ms: number): Promise<void> {
  for (let passed = 0; passed < ms; passed += 100) {
    clock.advance(100)
    await vi.advanceTimersByTimeAsync(100)
  }
}

function flipped(generation: number, percentage: number, flippedIn = generation): SharedState {
  const flip = { ...stampAt(NOON), flag: 'catalog-flag', percentage, generation: flippedIn }
  return stateWith({ generation, contexts: { catalog: { ...EMPTY_CONTEXT, flip } } })
}

test('a state that is older than the one in use is ignored', () => {
  applier.apply(stateWith({ generation: 2, kill: stampAt(NOON) }))
  applier.apply(stateWith({ generation: 1 }))
  expect(published).toMatchObject([{ controls: { isKilled: true }, generation: 2 }])
  expect(applier.generation).toBe(2)
})

test('the same state again is published, since a kill file may have appeared, and not reported again', () => {
  applier.apply(stateWith({ generation: 1 }))
  applier.apply(stateWith({ generation: 1 }))
  expect(published).toHaveLength(2)
  expect(reports).toEqual([1])
})

test('controls are in force and reported before Unleash is asked', () => {
  applier.apply(stateWith({}))
  applier.apply(flipped(1, 50))
  expect(applier.generation).toBe(1)
  expect(reports).toEqual([0, 1])
})

test('a flip is fetched until Unleash has it, and reported then', async () => {
  applier.apply(stateWith({}))
  applier.apply(flipped(1, 50))
  await advance(500)
  expect(flags.refreshes).toBeGreaterThan(3)
  unleash.percentages['catalog-flag'] = 50
  await advance(200)
  expect(flags.percentage('catalog-flag').percentage).toBe(50)
  expect(reports).toEqual([0, 1, 1])
  const { refreshes } = flags
  applier.apply(stateWith({ ...flipped(2, 50, 1), kill: stampAt(NOON) }))
  await advance(500)
  expect(flags.refreshes).toBe(refreshes)
})

test('a flip that was read once may be changed in Unleash and is not fetched again', async () => {
  applier.apply(stateWith({}))
  unleash.percentages['catalog-flag'] = 50
  applier.apply(flipped(1, 50))
  await advance(200)
  unleash.percentages['catalog-flag'] = 20
  await flags.refresh()
  const { refreshes } = flags
  applier.apply(flipped(2, 50, 1))
  await advance(500)
  expect(flags.refreshes).toBe(refreshes)
})

test('a flip that Unleash does not have in time is fetched now and then, and reported once read', async () => {
  applier.apply(stateWith({}))
  applier.apply(flipped(1, 50))
  await advance(10_000)
  const { refreshes } = flags
  await advance(10_000)
  expect(flags.refreshes - refreshes).toBeGreaterThanOrEqual(3)
  expect(flags.refreshes - refreshes).toBeLessThanOrEqual(6)
  unleash.percentages['catalog-flag'] = 50
  const times = reports.length
  await advance(3000)
  expect(flags.percentage('catalog-flag').percentage).toBe(50)
  expect(reports).toHaveLength(times + 1)
  const later = flags.refreshes
  await advance(5000)
  expect(flags.refreshes).toBe(later)
})

test('a flip that Unleash does not have in time is fetched at once after the next change, by one loop', async () => {
  applier.apply(stateWith({}))
  applier.apply(flipped(1, 50))
  await advance(10_000)
  const { refreshes } = flags
  applier.apply(flipped(2, 50, 1))
  await advance(500)
  expect(flags.refreshes - refreshes).toBeGreaterThan(2)
  await advance(10_000)
  const later = flags.refreshes
  await advance(10_000)
  expect(flags.refreshes - later).toBeLessThanOrEqual(6)
})

test('the 0 of a rollback that is never written is left to the polls', async () => {
  applier.apply(stateWith({}))
  const flip = { ...stampAt(NOON), flag: 'catalog-flag', percentage: 0, generation: 1, byRollback: true as const }
  applier.apply(stateWith({ generation: 1, contexts: { catalog: { ...EMPTY_CONTEXT, flip } } }))
  await advance(10_000)
  const { refreshes } = flags
  expect(refreshes).toBeGreaterThan(3)
  await advance(10_000)
  expect(flags.refreshes).toBe(refreshes)
})

test('a flip that another flip has replaced is not waited for', async () => {
  applier.apply(stateWith({}))
  applier.apply(flipped(1, 50))
  await advance(200)
  unleash.percentages['catalog-flag'] = 60
  applier.apply(flipped(2, 60))
  await advance(300)
  const { refreshes } = flags
  await advance(3000)
  expect(flags.refreshes).toBe(refreshes)
})

test('a flip of before the start is not waited for', async () => {
  applier.apply(flipped(7, 50))
  await advance(500)
  expect(flags.refreshes).toBe(0)
})

test('after stop nothing is applied', async () => {
  applier.apply(stateWith({}))
  applier.apply(flipped(1, 50))
  applier.stop()
  await authority.stop()
  await advance(500)
  const { refreshes } = flags
  applier.apply(stateWith({ generation: 2 }))
  await advance(2000)
  expect(flags.refreshes).toBe(refreshes)
  expect(published).toHaveLength(2)
  expect(vi.getTimerCount()).toBe(0)
})

test('a pin that stays causes no new publication and one timer', async () => {
  const pin = { ...stampAt(NOON), side: 'legacy', until: NOON + 60_000 } as const
  for (const generation of [1, 2, 3])
    applier.apply(stateWith({ generation, contexts: { catalog: { ...EMPTY_CONTEXT, pin } } }))
  await advance(20_000)
  expect(published).toHaveLength(3)
  expect(vi.getTimerCount()).toBe(1)
})
