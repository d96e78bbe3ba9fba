import { afterEach, describe, expect, test, vi } from 'vitest'
import { NO_COUNTS, type RouteCounts } from '../model/comparison-counts.ts'
import type { ComparisonStore } from '../model/comparison-store.ts'
import type { Decision } from '../model/decision.ts'
import type { Outcome } from '../model/outcome.ts'
import type { Route } from '../model/route.ts'
import type { Events } from '../telemetry/events.ts'
import { quietEvents } from '../telemetry/quiet-events.ts'
import { GatewayShadowing, type GatewayShadowingOptions } from './gateway-shadowing.ts'
import { copyOf, headOf, policyOf } from './request-heads.test-kit.ts'
import type { ThreadHandle, ThreadListener } from './worker/comparing-thread.ts'
import type { Job, ThreadReport } from './worker/messages.ts'

afterEach(() => void vi.useRealTimers())

const DECISION: Decision = { side: 'legacy', reason: 'flag-off', fallback: false }
/** The client has left: the gateway thread counts the request by itself. */
const GONE = { status: 200, failure: 'client-gone', fallbackCause: undefined } as Outcome

function start(saveCounts: ComparisonStore['saveCounts'], more: Partial<GatewayShadowingOptions> = {}) {
  const ended: string[] = []
  const reported = { opened: 0 }
  const troubles: unknown[] = []
  const nothing = async () => []
  const shadowing = new GatewayShadowing({
    writer: 'me',
    store: { saveCounts, counts: nothing, saveExamples: async () => {}, examples: nothing },
    clock: { now: () => performance.now(), wallTime: () => 1_800_000_000_000 },
    random: () => 0,
    events: Object.assign(Object.create(quietEvents) as Events, {
      shadowOpened: ({ count }: { count: number }) => {
        reported.opened += count
      },
      shadowEnded: ({ outcome, reason, count }: { outcome: string; reason: string; count: number }) =>
        void ended.push(...Array(count).fill(`${outcome}(${reason})`)),
      comparisonsNotSaved: ({ error }: { error: unknown }) => void troubles.push(error),
    }),
    limits: () => ({ captureBytes: 1e6, underWay: 10, lagMs: 1e9, cpuShare: 1 }),
    ...more,
  })
  const route = { context: { name: 'catalog' }, shadow: policyOf(), pattern: '/products/:id' } as unknown as Route
  const request = { head: headOf(), route, decision: DECISION, shares: new Map<string, number>() }
  return { shadowing, request, ended, told: reported, troubles }
}

test('saves do not queue up while the store is slow', async () => {
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
  expect(calls, 'the save under way, and one with all later counts').toBe(2)
  expect(troubles, 'reported once').toHaveLength(1)
})

test('a request that ends without a comparison is counted once and reported once', async () => {
  const saved: RouteCounts[] = []
  const { shadowing, request, ended } = start(async (_, counts) => void saved.push(...counts))
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
  expect(saved).toMatchObject([
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

test('captures above the limit are shed', async () => {
  const { shadowing, request, ended } = start(async () => {})
  const taps = Array.from({ length: 1024 }, () => shadowing.open(request))
  expect(shadowing.open(request)).toBeUndefined()
  shadowing.readings()
  expect(ended, 'a reading reports all sheds first').toEqual(['shed(in-flight)'])
  for (const tap of taps) tap?.close(GONE, () => undefined)
  expect(shadowing.open(request)).toBeDefined()
  await shadowing.stop()
})

test('sheds are reported after a moment, as eligible and as shed together', async () => {
  vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval'] })
  const saved: RouteCounts[] = []
  const {
    shadowing,
    request,
    ended,
    told: reported,
  } = start(async (_, counts) => void saved.push(...counts), {
    limits: () => ({ captureBytes: 1e6, underWay: 0, lagMs: 1e9, cpuShare: 1 }),
  })
  const asOther = { ...request, head: headOf({ method: 'HEAD' }) }
  for (const shedRequest of [request, request, asOther, request]) expect(shadowing.open(shedRequest)).toBeUndefined()
  expect([reported.opened, ended]).toEqual([0, []])
  await vi.advanceTimersByTimeAsync(100)
  expect([reported.opened, ended]).toEqual([4, Array(4).fill('shed(queue)')])
  await vi.advanceTimersByTimeAsync(100)
  expect(reported.opened, 'once').toBe(4)
  shadowing.open(request)
  await shadowing.stop()
  expect(reported.opened, 'the last shed is reported too').toBe(5)
  expect(saved.slice(-2)).toMatchObject([
    { route: 'GET /products/:id', counts: { shed: { queue: 4 } } },
    { route: 'HEAD /products/:id', counts: { shed: { queue: 1 } } },
  ])
})

test.each([
  ['no context owns it', { route: { shadow: policyOf() } as unknown as Route }],
  ['its route is not shadowed', { route: { context: { name: 'catalog' } } as unknown as Route }],
  ['an operator has set the sample to 0', { shares: new Map([['catalog', 0]]) }],
  ['it is not eligible', { head: headOf({ method: 'POST' }) }],
])('nothing is counted if %s', async (_, more) => {
  const { shadowing, request, ended } = start(async () => {})
  expect(shadowing.open({ ...request, ...more })).toBeUndefined()
  await shadowing.stop()
  expect(ended).toEqual([])
})

describe('the gateway thread with a comparing thread', () => {
  const PLACE = { context: 'catalog', route: 'GET /products/:id', start: 1_800_000_000_000 }
  const ANSWERED = { ...GONE, failure: undefined } as Outcome

  function startWithThread(
    counts: ComparisonStore['counts'] = async () => [],
    more: Partial<GatewayShadowingOptions> = {},
  ) {
    const sent: Job[] = []
    let listener: ThreadListener | undefined
    const startThread = (given: ThreadListener): ThreadHandle => {
      listener = given
      return {
        numberOf: () => 0,
        packCopy: ({ tls, ...copy }) => ({ ...copy, tls: tls && 0, fields: '', identityFields: '' }),
        send: (job) => void sent.push(job),
        pendingJobs: () => 0,
        setRulings: () => {},
        finish: async () => {},
        stop: async () => {},
      }
    }
    const stored = new Map<number, RouteCounts>()
    const saveCounts = async (_: string, counts: readonly RouteCounts[]) => {
      for (const routeCounts of counts) stored.set(routeCounts.start, routeCounts)
    }
    const nothing = async () => []
    const store = { saveCounts, counts, saveExamples: async () => {}, examples: nothing }
    const started = start(saveCounts, { startThread, store, ...more })
    const copy = (body = '') => {
      const tap = started.shadowing.open(started.request)
      tap?.onHead(200, [])
      if (body !== '') tap?.onBody(Buffer.from(body), 0, body.length)
      tap?.close(ANSWERED, () => copyOf())
    }
    const report = (more: Partial<ThreadReport>) =>
      listener?.onReport({
        ...{ results: [], counts: [], cpuMs: 0, pairShares: {}, parity: {}, examples: [], notDryRun: [], ...more },
      })
    return { ...started, sent, stored, copy, report, listener: () => listener as ThreadListener }
  }
  const matched = (id: number) => ({ id, outcome: 'matched' as const, reason: '' as const, copyMs: 1 })
  const counted = (times: number) => [{ ...PLACE, counts: { ...NO_COUNTS, matched: times } }]

  test('counts a lost copy once, ignores its late result, and sheds pending copies at the end', async () => {
    const { shadowing, ended, sent, stored, copy, report, listener } = startWithThread()
    for (let i = 0; i < 4; i++) copy('x'.repeat(100))
    expect(shadowing.readings().capturedBytes).toBeGreaterThanOrEqual(400)
    const [first, second, third] = sent.map(({ id }) => id) as [number, number, number]
    report({ results: [matched(first)], counts: counted(1) })
    listener().onLost(
      [
        { id: second, reason: 'out-of-time' },
        { id: third, reason: 'crashed' },
      ],
      'a test',
    )
    report({ results: [matched(second)] })
    await shadowing.stop()
    expect(ended).toEqual(['matched()', 'uncomparable(out-of-time)', 'uncomparable(crashed)', 'shed(draining)'])
    expect([...stored.values()]).toMatchObject([
      {
        ...PLACE,
        counts: { matched: 1, uncomparable: { 'out-of-time': 1, crashed: 1 }, shed: { draining: 1 } },
      },
    ])
    expect(shadowing.readings().capturedBytes).toBe(0)
  })

  test('lets comparing use little of the only processor while it is busy, and the configured share of several processors', async () => {
    vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval'] })
    for (const [isOneForAll, least, most] of [
      [true, 1, 20],
      [false, 400, 600],
    ] as const) {
      let now = 0
      const clock = { now: () => now, wallTime: () => PLACE.start }
      const { shadowing, sent, copy } = startWithThread(undefined, { isSingleProcessor: isOneForAll, clock })
      // The test never idles, so the measured utilization of this thread is high.
      for (; now < 6000; now += 100) await vi.advanceTimersByTimeAsync(100)
      for (let i = 0; i < 1000; i++) copy()
      expect(sent.length).toBeGreaterThanOrEqual(least)
      expect(sent.length).toBeLessThanOrEqual(most)
      await shadowing.stop()
    }
  })

  test('gives a new thread the counts of other gateways and of its lost threads, or the latter alone if the store fails', async () => {
    const others = [{ ...PLACE, start: PLACE.start - 3_600_000, counts: { ...NO_COUNTS, matched: 7 } }]
    const { shadowing, report, listener } = startWithThread(async ({ except }) => {
      expect(except).toBe('me')
      return others
    })
    expect(await listener().loadCounts()).toEqual(others)
    report({ counts: counted(3) })
    expect(await listener().loadCounts(), 'it knows by itself').toEqual(others)
    listener().onLost([], 'a test')
    expect(await listener().loadCounts()).toEqual([...counted(3), ...others])
    await shadowing.stop()
    const cutOff = startWithThread(async () => {
      throw new Error('away')
    })
    cutOff.report({ counts: counted(3) })
    cutOff.listener().onLost([], 'a test')
    expect(await cutOff.listener().loadCounts()).toEqual(counted(3))
    await cutOff.shadowing.stop()
  })
})
