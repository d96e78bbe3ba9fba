import { afterEach, beforeEach, expect, onTestFinished, test, vi } from 'vitest'
import { until } from '../../../test/kit/until.ts'
import { manualClock, NOON } from '../../lib/manual-clock.test-kit.ts'
import type { AuditEntry } from '../../model/audit-log.ts'
import { type StateStore, StoreUnavailable } from '../../model/state-store.ts'
import { MemoryStore, SharedMemory } from '../../store/memory/memory-store.ts'
import { recordedEvents } from '../flags/flags.test-kit.ts'
import { AuditRecorder } from './audit-recorder.ts'

beforeEach(() => void vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval'] }))
afterEach(() => void vi.useRealTimers())

function entry(reason: string, more: Partial<AuditEntry> = {}): AuditEntry {
  return {
    at: NOON,
    actor: 'anna',
    address: null,
    verb: 'flip',
    context: 'catalog',
    before: null,
    after: null,
    reason,
    until: null,
    result: 'refused',
    detail: null,
    generation: null,
    gateway: 'g1',
    ...more,
  }
}

type Running = {
  readonly recorder: AuditRecorder
  readonly store: StateStore
  readonly memory: SharedMemory
  readonly eventLog: ReturnType<typeof recordedEvents>
  /** The reasons in the audit log, the oldest first. */
  readonly log: () => Promise<(string | null)[]>
}

function recording(): Running {
  const memory = new SharedMemory()
  const store = new MemoryStore({ memory, clock: manualClock() })
  const eventLog = recordedEvents()
  const recorder = new AuditRecorder({ store, events: eventLog.events, gateway: 'g1' })
  recorder.start()
  onTestFinished(() => recorder.stop())
  const log = async () => {
    memory.isReachable = true
    const { records } = await store.history({ limit: 2000 })
    return records.map(({ reason }) => reason).reverse()
  }
  return { recorder, store, memory, eventLog, log }
}

test('record resolves when the entry is in the audit log', async () => {
  const { recorder, log } = recording()
  await recorder.record(entry('one'))
  expect(await log()).toEqual(['one'])
})

test('an entry that is recorded later is written within a second', async () => {
  const { recorder, memory } = recording()
  recorder.recordLater(entry('one'))
  vi.advanceTimersByTime(1000)
  await until(() => memory.audit.length === 1)
})

test('entries recorded while the store is unreachable are written in order and once when it returns', async () => {
  const { recorder, memory, log } = recording()
  memory.isReachable = false
  await recorder.record(entry('one'))
  recorder.recordLater(entry('two'))
  await recorder.record(entry('three'))
  vi.advanceTimersByTime(3000)
  expect(memory.audit).toEqual([])
  memory.isReachable = true
  vi.advanceTimersByTime(1000)
  await until(() => memory.audit.length === 3)
  await recorder.record(entry('four'))
  expect(await log()).toEqual(['one', 'two', 'three', 'four'])
})

test('an unreachable store is not asked again for each waiting entry', async () => {
  const { recorder, store, log } = recording()
  await recorder.record(entry('one'))
  let refuse = (_: Error) => {}
  const record = vi.spyOn(store, 'record').mockImplementation(
    () =>
      new Promise((_, reject) => {
        refuse = reject
      }),
  )
  const records = [recorder.record(entry('two')), recorder.record(entry('three'))]
  await until(() => record.mock.calls.length === 1)
  records.push(recorder.record(entry('four')))
  refuse(new StoreUnavailable('gone', undefined))
  await Promise.all(records)
  expect(record).toHaveBeenCalledOnce()
  record.mockRestore()
  await recorder.record(entry('five'))
  expect(await log()).toEqual(['one', 'two', 'three', 'four', 'five'])
})

test('an entry that is recorded during a write is written after it', async () => {
  const { recorder, log } = recording()
  const first = recorder.record(entry('one'))
  recorder.recordLater(entry('two'))
  await Promise.all([first, recorder.record(entry('three'))])
  expect(await log()).toEqual(['one', 'two', 'three'])
})

test('an outage of the store during a write loses no entry', async () => {
  const { recorder, store, memory, log } = recording()
  const record = vi.spyOn(store, 'record')
  record.mockImplementationOnce(async () => {
    memory.isReachable = false
    throw new StoreUnavailable('the answer was lost', undefined)
  })
  await recorder.record(entry('one'))
  await recorder.record(entry('two'))
  memory.isReachable = true
  await recorder.record(entry('three'))
  expect(await log()).toEqual(['one', 'two', 'three'])
})

test('of more than a thousand waiting entries the oldest are dropped, which is reported and recorded', async () => {
  const { recorder, store, memory, eventLog, log } = recording()
  memory.isReachable = false
  for (let number = 1; number <= 1003; number++) recorder.recordLater(entry(String(number)))
  expect(eventLog.of('stateNotSaved').map(({ error }) => String(error))).toEqual([
    'Error: more than 1000 entries wait for the audit log: the oldest are dropped, and are in this log alone',
  ])
  memory.isReachable = true
  await recorder.record(entry('last'))
  const reasons = await log()
  expect(reasons).toHaveLength(1001)
  expect(reasons.slice(0, 3)).toEqual([null, '5', '6'])
  expect(reasons.at(-1)).toBe('last')
  const { records } = await store.history({ limit: 2000 })
  expect(records.at(-1)).toMatchObject({
    actor: 'gateway',
    verb: 'restore',
    result: 'failed',
    detail: '4 entries were dropped while the store could not be reached: the log of this gateway has them',
    gateway: 'g1',
  })
})

test('each outage reports its own dropped entries', async () => {
  const { recorder, memory, eventLog } = recording()
  for (const outage of [1, 2]) {
    memory.isReachable = false
    for (let number = 0; number <= 1000; number++) recorder.recordLater(entry(String(number)))
    memory.isReachable = true
    await recorder.record(entry('last'))
    expect(eventLog.of('stateNotSaved')).toHaveLength(outage)
  }
})

test('attack: refused sign-ins during an outage of the store displace no entry of an operator', async () => {
  const { recorder, memory, log } = recording()
  memory.isReachable = false
  recorder.recordLater(entry('the kill', { verb: 'kill' }))
  const knock = { by: 'nobody', role: null, address: '192.0.2.1', what: 'GET /', why: 'no token' }
  for (let number = 0; number < 1500; number++) void recorder.recordRefusedCaller(knock)
  memory.isReachable = true
  await recorder.record(entry('last'))
  const reasons = await log()
  expect(reasons).toContain('the kill')
  expect(reasons).toContain('last')
})

test('an entry that the store cannot accept does not block the entries behind it', async () => {
  const { recorder, eventLog, log } = recording()
  await recorder.record(entry('one', { at: Number.NaN }))
  await recorder.record(entry('two'))
  expect(await log()).toEqual(['two'])
  expect(eventLog.of('bug')).toMatchObject([{ where: 'audit log' }])
})

test('a refused caller is reported and recorded', async () => {
  const { recorder, store, eventLog } = recording()
  await recorder.recordRefusedCaller({
    by: 'eve',
    role: 'viewer',
    address: '192.0.2.7',
    what: 'POST /kill',
    why: 'no right',
  })
  expect(eventLog.of('changeFinished')).toMatchObject([
    { verb: 'sign-in', by: 'eve', result: 'refused', detail: 'no right' },
  ])
  const { records } = await store.history({ limit: 1 })
  expect(records).toMatchObject([
    { verb: 'sign-in', actor: 'eve', address: '192.0.2.7', result: 'refused', detail: 'POST /kill: no right' },
  ])
})

test('stop writes the waiting entries, or reports that it could not', async () => {
  const { recorder, memory, eventLog } = recording()
  recorder.recordLater(entry('one'))
  await recorder.stop()
  expect(memory.audit).toHaveLength(1)
  memory.isReachable = false
  recorder.recordLater(entry('two'))
  await recorder.stop()
  expect(eventLog.of('stateNotSaved').map(({ error }) => String(error))).toEqual([
    'Error: 1 entry could not be written to the audit log before the end: it is in this log alone',
  ])
})
