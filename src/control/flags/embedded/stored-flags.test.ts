import { beforeEach, expect, test } from 'vitest'
import type { EmbeddedFlags, SharedState } from '../../../model/shared-state.ts'
import type { StoreStatus } from '../../../model/state-store.ts'
import { flagsAt, stateWith } from '../../control.test-kit.ts'
import { recordedEvents } from '../flags.test-kit.ts'
import { StoredFlags } from './stored-flags.ts'

let state: SharedState
let cutOffMs: number
let fileError: string | undefined
let eventLog: ReturnType<typeof recordedEvents>
let flags: StoredFlags

beforeEach(() => {
  state = stateWith({})
  cutOffMs = 0
  fileError = undefined
  eventLog = recordedEvents()
  const status = (): StoreStatus => ({
    kind: 'redis',
    location: 'redis://127.0.0.1',
    isConnected: cutOffMs === 0,
    cutOffMs,
    trouble: undefined,
  })
  const store = { current: () => state, status }
  flags = new StoredFlags({
    store,
    file: 'flags.json',
    events: eventLog.events,
    fileError: () => fileError,
    fileRejection: () => undefined,
  })
})

const seven = { userId: '7' }

test('embedded flags are stale before the first seed', async () => {
  await flags.start()
  expect(flags.evaluate('orders', seven)).toBe('stale')
  expect(flags.isOlderThan(Number.MAX_VALUE)).toBe(true)
  expect(flags.status()).toMatchObject({ stale: true, ageMs: undefined, flags: 0, location: 'flags.json' })
})

test('the flags of a newer state are in use at once', async () => {
  state = stateWith({ flags: flagsAt({ orders: 100 }) })
  await flags.start()
  expect(flags.evaluate('orders', seven)).toBe('on')
  flags.use(flagsAt({ orders: 0, catalog: 100 }))
  expect(flags.evaluate('orders', seven)).toBe('off')
  expect(flags.isFullyOn('catalog')).toBe(true)
  expect(flags.evaluate('search', seven)).toBe('missing')
  expect(flags.percentage('orders')).toEqual({ percentage: 0 })
  expect(flags.status()).toMatchObject({ stale: false, ageMs: 0, flags: 2, trouble: undefined })
})

test('a refresh takes the flags of the current state', async () => {
  await flags.start()
  state = stateWith({ flags: flagsAt({ orders: 100 }) })
  await flags.refresh()
  expect(flags.evaluate('orders', seven)).toBe('on')
})

test('a state without flags keeps the flags in use', () => {
  flags.use(flagsAt({ orders: 100 }))
  flags.use(null)
  expect(flags.evaluate('orders', seven)).toBe('on')
  expect(flags.status()).toMatchObject({ stale: false, flags: 1, trouble: undefined })
  expect(eventLog.recorded).toEqual([])
})

test('the age of embedded flags is the time since the store was reachable', () => {
  flags.use(flagsAt({ orders: 100 }))
  cutOffMs = 5000
  expect(flags.isOlderThan(4999)).toBe(true)
  expect(flags.isOlderThan(5000)).toBe(false)
  expect(flags.status().ageMs).toBe(5000)
  expect(flags.evaluate('orders', seven)).toBe('on')
})

test('invalid flags in the store are reported, and the last valid ones stay in use', () => {
  flags.use(flagsAt({ orders: 100 }))
  const strategies = [{ name: 'flexibleRollout', parameters: { rollout: 'many' } }]
  flags.use({ version: 2, features: [{ name: 'orders', enabled: true, strategies }] } as EmbeddedFlags)
  expect(flags.evaluate('orders', seven)).toBe('on')
  expect(flags.status().trouble).toContain('"many" is not a percentage')
  expect(eventLog.of('flagsFailed')).toMatchObject([{ source: 'the store' }])
  flags.use(flagsAt({ orders: 0 }))
  expect(flags.evaluate('orders', seven)).toBe('off')
  expect(flags.status().trouble).toBeUndefined()
})

test('trouble with the flags file is trouble of the embedded flags', () => {
  flags.use(flagsAt({ orders: 100 }))
  fileError = 'flags.json: there is no such file'
  expect(flags.status().trouble).toBe(fileError)
})

test('the same flags again are not parsed again', () => {
  const same = flagsAt({ orders: 100 })
  flags.use(same)
  const trace = flags.trace('orders', seven)
  flags.use(same)
  expect(flags.trace('orders', seven)).toEqual(trace)
  expect(eventLog.recorded).toEqual([])
})
