import { afterEach, expect, test, vi } from 'vitest'
import type { ComparisonStore } from '../model/comparison-store.ts'
import type { Decision } from '../model/decision.ts'
import type { Outcome } from '../model/outcome.ts'
import type { Route } from '../model/route.ts'
import type { RouteCounts } from '../model/shadow.ts'
import type { Events } from '../telemetry/events.ts'
import { quietEvents } from '../telemetry/quiet-events.ts'
import { createShadowing } from './create-shadowing.ts'
import { headOf, policyOf } from './heads.test-kit.ts'

afterEach(() => void vi.useRealTimers())

const DECISION: Decision = { side: 'legacy', reason: 'flag-off', fallback: false }
/** The client went: it is counted here, and no thread is needed. */
const GONE = { status: 200, failure: 'client-gone', fellBack: undefined } as Outcome

function start(saveCounts: ComparisonStore['saveCounts']) {
  const ended: string[] = []
  const troubles: unknown[] = []
  const nothing = async () => []
  const shadowing = createShadowing({
    writer: 'me',
    store: { saveCounts, counts: nothing, saveExamples: async () => {}, examples: nothing },
    clock: { now: () => performance.now(), wallTime: () => 1_800_000_000_000 },
    dice: () => 0,
    events: Object.assign(Object.create(quietEvents) as Events, {
      shadowEnded: ({ outcome, reason }: { outcome: string; reason: string }) =>
        void ended.push(`${outcome}(${reason})`),
      comparisonsNotKept: ({ error }: { error: unknown }) => void troubles.push(error),
    }),
    limits: () => ({ captureBytes: 1e6, underWay: 10, lagMs: 1e9 }),
  })
  const route = { context: { name: 'catalog' }, shadow: policyOf(), pattern: '/products/:id' } as unknown as Route
  const request = { head: headOf(), route, decision: DECISION, shares: new Map<string, number>() }
  return { shadowing, request, ended, troubles }
}

test('while the store takes long nothing gathers that would be waited for at the end', async () => {
  vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval'] })
  let calls = 0
  const waiting: (() => void)[] = []
  const { shadowing, request, troubles } = start(async () => {
    calls++
    await new Promise<void>((resolve) => waiting.push(resolve))
    throw new Error('away')
  })
  shadowing.open(request)?.close(GONE, () => undefined)
  await vi.advanceTimersByTimeAsync(60_000)
  expect(calls).toBe(1)
  const stopped = shadowing.stop()
  for (let i = 0; i < 5; i++) {
    for (const release of waiting.splice(0)) release()
    await new Promise((resolve) => setTimeout(resolve, 10))
  }
  await stopped
  expect(calls, 'the one under way, and one with all that was counted until the end').toBe(2)
  expect(troubles, 'said once').toHaveLength(1)
})

test('what ends in this thread is counted once, and told once', async () => {
  const said: RouteCounts[] = []
  const { shadowing, request, ended } = start(async (_, counts) => void said.push(...counts))
  for (let i = 0; i < 3; i++) shadowing.open(request)?.close(GONE, () => undefined)
  const stream = shadowing.open(request)
  stream?.onHead(200, ['Content-Type', 'text/event-stream'])
  stream?.close({ ...GONE, failure: undefined }, () => undefined)
  const part = shadowing.open(request)
  part?.onHead(206, [])
  part?.close({ ...GONE, failure: undefined }, () => undefined)
  const unavailable = shadowing.open(request)
  unavailable?.onHead(200, [])
  unavailable?.close({ ...GONE, failure: undefined }, () => undefined)
  const broken = shadowing.open(request)
  broken?.onHead(200, [])
  broken?.close({ ...GONE, failure: undefined }, () => {
    throw new Error('a bug')
  })
  await shadowing.stop()
  expect(shadowing.open(request), 'nothing is looked at any more').toBeUndefined()
  expect(ended).toEqual([
    ...['failed(client-gone)', 'failed(client-gone)', 'failed(client-gone)', 'uncomparable(streaming)'],
    ...['uncomparable(partial)', 'failed(unavailable)', 'failed(internal)', 'shed(draining)'],
  ])
  expect(said).toMatchObject([
    {
      ...{ context: 'catalog', route: 'GET /products/:id' },
      counts: {
        failed: { 'client-gone': 3, unavailable: 1, internal: 1 },
        uncomparable: { streaming: 1, partial: 1 },
      },
    },
  ])
  expect(shadowing.readings()).toMatchObject({ captures: 0, capturedBytes: 0, underWay: 0 })
})

test('as many requests are looked at as may be', async () => {
  const { shadowing, request, ended } = start(async () => {})
  const taps = Array.from({ length: 1024 }, () => shadowing.open(request))
  expect(shadowing.open(request)).toBeUndefined()
  expect(ended).toEqual(['shed(in-flight)'])
  for (const tap of taps) tap?.close(GONE, () => undefined)
  expect(shadowing.open(request)).toBeDefined()
  await shadowing.stop()
})

test.each([
  ['no context owns it', { route: { shadow: policyOf() } as unknown as Route }],
  ['its route is not shadowed', { route: { context: { name: 'catalog' } } as unknown as Route }],
  ['an operator has said none', { shares: new Map([['catalog', 0]]) }],
  ['it is not eligible', { head: headOf({ method: 'POST' }) }],
])('nothing is counted where %s', async (_, more) => {
  const { shadowing, request, ended } = start(async () => {})
  expect(shadowing.open({ ...request, ...more })).toBeUndefined()
  await shadowing.stop()
  expect(ended).toEqual([])
})
