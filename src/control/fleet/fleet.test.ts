import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { type ManualClock, manualClock, NOON } from '../../lib/manual-clock.test-kit.ts'
import type { Heartbeat } from '../../model/fleet.ts'
import type { SharedState } from '../../model/shared-state.ts'
import { EMPTY_CONTEXT } from '../../model/shared-state.ts'
import type { StateStore } from '../../model/state-store.ts'
import { MemoryStore, SharedMemory } from '../../store/memory/memory-store.ts'
import { stampAt, stateWith } from '../control.test-kit.ts'
import { Fleet } from './fleet.ts'
import type { Expected } from './member-lag.ts'

let clock: ManualClock
let memory: SharedMemory
let store: StateStore
let fleet: Fleet

beforeEach(async () => {
  vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval', 'setTimeout', 'clearTimeout'] })
  clock = manualClock()
  memory = new SharedMemory()
  store = new MemoryStore({ memory, clock })
  await store.start()
  fleet = new Fleet({ store, clock, report: () => reportOf('self', 5), limitMs: 5000 })
})

afterEach(async () => {
  await fleet.stop()
  vi.useRealTimers()
})

function reportOf(id: string, applied: number, more: Partial<Heartbeat> = {}): Heartbeat {
  return {
    id,
    version: '1',
    address: `http://${id}:8081`,
    startedAt: NOON,
    applied,
    percentages: { catalog: 10 },
    flags: { source: 'file', stale: false, ageMs: 0 },
    localKill: [],
    inFlight: { catalog: { legacy: 3, service: 4 }, orders: { legacy: 0, service: 2 } },
    lastMinute: {},
    ...more,
  }
}

/** Advances the clock and the timers. */
async function advance(ms: number): Promise<void> {
  for (let passed = 0; passed < ms; passed += 100) {
    clock.advance(100)
    await vi.advanceTimersByTimeAsync(100)
  }
}

/** Lets the first read of the store end. */
const settled = () => vi.advanceTimersByTimeAsync(0)

async function converging(expected: Expected) {
  const convergence = fleet.converge(expected, clock.now())
  let isDone = false
  void convergence.then(() => {
    isDone = true
  })
  await settled()
  return { convergence, isDone: () => isDone }
}

test('a fleet that has applied the change already has converged at once', async () => {
  await store.sendHeartbeat(reportOf('a', 5))
  await store.sendHeartbeat(reportOf('b', 6))
  clock.advance(40)
  expect(await fleet.converge({ generation: 5 }, clock.now() - 40)).toEqual({
    applied: 2,
    of: 2,
    ms: 40,
    laggards: [],
    inFlight: 0,
  })
})

test('the report of the last gateway ends the wait', async () => {
  await store.sendHeartbeat(reportOf('a', 5))
  await store.sendHeartbeat(reportOf('b', 4))
  const { convergence, isDone } = await converging({ generation: 5 })
  await advance(300)
  expect(isDone()).toBe(false)
  await store.sendHeartbeat(reportOf('b', 5))
  await settled()
  expect(await convergence).toEqual({ applied: 2, of: 2, ms: 300, laggards: [], inFlight: 0 })
  expect(vi.getTimerCount()).toBe(0)
})

test('a laggard is listed at the limit, with its lag and its address', async () => {
  await store.sendHeartbeat(reportOf('a', 5))
  const { convergence, isDone } = await converging({ generation: 5 })
  expect(await convergence).toMatchObject({ applied: 1 })
  await store.sendHeartbeat(reportOf('b', 4))
  const waiting = await converging({ generation: 5 })
  for (let second = 0; second < 4; second++) {
    await advance(1000)
    await store.sendHeartbeat(reportOf('b', 4))
  }
  expect(waiting.isDone()).toBe(false)
  await advance(1000)
  expect(await waiting.convergence).toEqual({
    applied: 1,
    of: 2,
    ms: 5000,
    laggards: [{ id: 'b', address: 'http://b:8081', why: 'still at generation 4' }],
    inFlight: 0,
  })
  expect(isDone()).toBe(true)
})

test('silent gateways are listed and not waited for', async () => {
  await store.sendHeartbeat(reportOf('b', 4))
  clock.advance(12_000)
  await store.sendHeartbeat(reportOf('a', 5))
  expect(await fleet.converge({ generation: 5 }, clock.now())).toEqual({
    applied: 1,
    of: 2,
    ms: 0,
    laggards: [{ id: 'b', address: 'http://b:8081', why: 'silent for 12 s' }],
    inFlight: 0,
  })
})

test('a silent gateway that had applied the change is no laggard', async () => {
  await store.sendHeartbeat(reportOf('b', 5))
  clock.advance(12_000)
  expect(await fleet.converge({ generation: 5 }, clock.now())).toMatchObject({ applied: 1, of: 1, laggards: [] })
})

test('a gateway that dies during the wait is silent before the limit', async () => {
  await store.sendHeartbeat(reportOf('b', 4))
  const { convergence } = await converging({ generation: 5 })
  await advance(4200)
  expect(await convergence).toMatchObject({ ms: 4000, laggards: [{ why: 'silent for 4 s' }] })
})

test('a gateway that leaves during the wait is no laggard', async () => {
  await store.sendHeartbeat(reportOf('a', 5))
  await store.sendHeartbeat(reportOf('b', 4))
  const { convergence } = await converging({ generation: 5 })
  await store.removeMember('b')
  await advance(1100)
  expect(await convergence).toMatchObject({ applied: 1, of: 1, laggards: [] })
})

test('a lost report is found by reading the store', async () => {
  await store.sendHeartbeat(reportOf('b', 4))
  const { convergence } = await converging({ generation: 5 })
  memory.members.set('b', { report: JSON.stringify(reportOf('b', 5)), at: clock.wallTime() })
  await advance(1100)
  expect(await convergence).toMatchObject({ applied: 1, of: 1, laggards: [] })
})

test('an older answer of the store does not undo a newer report', async () => {
  const old = ['a', 'b'].map((id) => ({ ...reportOf(id, 4), silentMs: 0 }))
  vi.spyOn(store, 'fleet').mockImplementation(async () => old)
  const { convergence } = await converging({ generation: 5 })
  await store.sendHeartbeat(reportOf('a', 5))
  await advance(1000)
  await store.sendHeartbeat(reportOf('b', 5))
  expect(await convergence).toMatchObject({ ms: 1000, laggards: [] })
})

test('a store that does not answer leaves the convergence unknown', async () => {
  memory.isReachable = false
  expect(await fleet.converge({ generation: 5 }, clock.now())).toEqual({
    applied: 0,
    of: 0,
    ms: 0,
    laggards: [
      {
        id: 'unknown',
        address: 'unknown',
        why: 'the store cannot list the gateways: the memory cannot be reached',
      },
    ],
    inFlight: 0,
  })
})

test('a store that becomes unreachable during the wait leaves the gateways without a report as laggards', async () => {
  await store.sendHeartbeat(reportOf('a', 5))
  await store.sendHeartbeat(reportOf('b', 4))
  const { convergence } = await converging({ generation: 5 })
  memory.isReachable = false
  await advance(5000)
  expect(await convergence).toMatchObject({ applied: 1, of: 2, laggards: [{ id: 'b', why: 'still at generation 4' }] })
})

test('the listener for reports is removed when the wait ends', async () => {
  await store.sendHeartbeat(reportOf('a', 5))
  const forget = vi.fn()
  vi.spyOn(store, 'onHeartbeat').mockReturnValue(forget)
  await fleet.converge({ generation: 5 }, clock.now())
  expect(forget).toHaveBeenCalledOnce()
  expect(vi.getTimerCount()).toBe(0)
})

const flipTo = (percentage: number): Expected => ({ generation: 5, flip: { context: 'catalog', percentage } })

test('a flip has converged when the flag is at its percentage', async () => {
  await store.sendHeartbeat(reportOf('a', 5, { percentages: { catalog: 25 } }))
  await store.sendHeartbeat(reportOf('b', 5))
  await store.sendHeartbeat(reportOf('c', 5, { percentages: { catalog: null } }))
  await store.sendHeartbeat(reportOf('d', 5, { percentages: {} }))
  const { convergence } = await converging(flipTo(25))
  await advance(5000)
  expect((await convergence).laggards.map(({ id, why }) => [id, why])).toEqual([
    ['b', 'still at 10 %'],
    ['c', 'its flag has no single percentage'],
  ])
})

test('a later change does not hide that a flip has not converged', async () => {
  await store.sendHeartbeat(reportOf('b', 6))
  await store.sendHeartbeat(reportOf('a', 6, { percentages: { catalog: 25 } }))
  const { convergence } = await converging(flipTo(25))
  await advance(5000)
  expect((await convergence).laggards).toMatchObject([{ id: 'b', why: 'still at 10 %' }])
})

test('a context that was flipped again during the wait is not waited for', async () => {
  const flip = { ...stampAt(NOON), flag: 'catalog-flag', percentage: 10, generation: 6 }
  const flippedAgain: SharedState = stateWith({
    generation: 6,
    contexts: { catalog: { ...EMPTY_CONTEXT, flip } },
  })
  vi.spyOn(store, 'current').mockReturnValue(flippedAgain)
  await store.sendHeartbeat(reportOf('b', 6))
  expect(await fleet.converge(flipTo(25), clock.now())).toMatchObject({ applied: 1, laggards: [] })
})

test.each<[string, Expected['abandoned'], number]>([
  ['service', { context: 'catalog', side: 'service' }, 8],
  ['legacy', { context: 'catalog', side: 'legacy' }, 6],
  ['service of all contexts', { context: null, side: 'service' }, 12],
  ['service of a context that nobody asks', { context: 'search', side: 'service' }, 0],
])('requests in flight on the abandoned side are counted: %s', async (_, abandoned, inFlight) => {
  await store.sendHeartbeat(reportOf('a', 5))
  await store.sendHeartbeat(reportOf('b', 5))
  expect((await fleet.converge({ generation: 5, abandoned }, clock.now())).inFlight).toBe(inFlight)
})

test('this gateway reports every second, from its start to its stop', async () => {
  const eventLog = vi.fn()
  store.onHeartbeat(eventLog)
  fleet.sendHeartbeat()
  await settled()
  expect(eventLog).not.toHaveBeenCalled()
  fleet.start()
  await settled()
  expect(eventLog).toHaveBeenCalledTimes(1)
  await advance(2000)
  expect(eventLog).toHaveBeenCalledTimes(3)
  fleet.sendHeartbeat()
  await settled()
  expect(eventLog).toHaveBeenCalledTimes(4)
  await fleet.stop()
  fleet.sendHeartbeat()
  await advance(2000)
  expect(eventLog).toHaveBeenCalledTimes(4)
  expect(await store.fleet()).toEqual([])
})

test('an unreachable store disturbs neither the heartbeats nor the stop', async () => {
  memory.isReachable = false
  fleet.start()
  await advance(2000)
  memory.isReachable = true
  await advance(1000)
  expect(await store.fleet()).toHaveLength(1)
  memory.isReachable = false
  await fleet.stop()
})
