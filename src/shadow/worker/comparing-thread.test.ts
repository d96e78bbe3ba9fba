import { afterEach, describe, expect, test } from 'vitest'
import { until } from '../../../test/kit/until.ts'
import { NO_COUNTS, type RouteCounts } from '../../model/comparison-counts.ts'
import type { ShadowPolicy } from '../../model/shadow-policy.ts'
import { ComparingThread, type ThreadLimits } from './comparing-thread.ts'
import type { Job, ThreadReport } from './messages.ts'

const FILE = new URL('./faulty-worker.test-kit.ts', import.meta.url)
const LIMITS: ThreadLimits = {
  heapMb: 32,
  maxComparisonMs: 300,
  maxSilenceMs: 60_000,
  checkIntervalMs: 20,
  restartDelayMs: 100,
}
const LEARNED: RouteCounts = { context: 'catalog', route: 'GET /', start: 0, counts: { ...NO_COUNTS, matched: 7 } }

const begun: ComparingThread[] = []
afterEach(async () => {
  for (const thread of begun.splice(0)) await thread.stop()
})

function start(limits: Partial<ThreadLimits> = {}, file: string | URL = FILE) {
  const ended: number[] = []
  const lost: { jobs: string[]; why: string; at: number }[] = []
  const received: { known: unknown[]; counts: unknown[]; rulings: unknown; anew: number; policy: unknown }[] = []
  const thread = new ComparingThread({
    listener: {
      onReport: (report: ThreadReport) => {
        ended.push(...report.results.map(({ id }) => id))
        received.push(...report.notDryRun.map(({ why }) => JSON.parse(why)))
      },
      onLost: (jobs, why) =>
        lost.push({ jobs: jobs.map(({ id, reason }) => `${id} ${reason}`), why, at: performance.now() }),
      loadCounts: async () => [LEARNED],
    },
    limits: { ...LIMITS, ...limits },
    file,
  })
  begun.push(thread)
  let last = 0
  /** @returns the job's id */
  const send = (does: string, policy: object = {}) => {
    const id = ++last
    thread.send(job(id, does, thread.numberOf(policy as ShadowPolicy)))
    return id
  }
  return { thread, ended, lost, told: received, send }
}

function job(id: number, context: string, policy: number): Job {
  return {
    ...{ id, context, policy, route: 'GET /', time: 0, answeredBy: 'legacy', target: '/', status: 200, headers: '' },
    ...{ body: '', isTruncated: false, ms: 1, twin: undefined, requestBody: undefined },
    copy: { origin: '', tls: undefined, servername: '', method: 'GET', path: '/', fields: '', identityFields: '' },
  }
}

describe('a stuck or failed comparing thread is lost with its jobs', () => {
  test('if a comparison does not end: its job is out of time, the others have crashed', async () => {
    const { thread, lost, send } = start()
    for (const does of ['silent', 'spins', 'answers']) send(does)
    await until(() => lost.length === 1)
    expect(lost[0]).toMatchObject({
      jobs: ['1 crashed', '2 out-of-time', '3 crashed'],
      why: expect.stringContaining('300 ms'),
    })
    expect(thread.pendingJobs()).toBe(0)
  })

  test.each([
    ['throws', 'a bug'],
    ['exits', 'it ended'],
    ['exhausts', 'memory'],
  ])('if it %s', async (does, why) => {
    const { lost, send } = start()
    send(does)
    send('silent')
    await until(() => lost.length === 1)
    expect(lost[0]).toMatchObject({ jobs: ['1 crashed', '2 crashed'], why: expect.stringContaining(why) })
  })

  test('if it no longer reports', async () => {
    const { lost, send } = start({ maxSilenceMs: 400 })
    send('silent')
    await until(() => lost.length === 1)
    expect(lost[0]).toMatchObject({ jobs: ['1 crashed'], why: 'it was silent for 400 ms' })
  })

  test('if it cannot be started; nothing is thrown', async () => {
    const { lost, send } = start({}, 'no path of a file')
    send('answers')
    await until(() => lost.length === 1)
    expect(lost[0]?.jobs).toEqual(['1 crashed'])
  })
})

test('an idle comparing thread does not count as silent', async () => {
  const { ended, lost, send } = start({ maxSilenceMs: 500 })
  const first = send('answers')
  await until(() => ended.includes(first))
  const idleUntil = performance.now() + 700
  await until(() => performance.now() > idleUntil)
  const second = send('answers later')
  await until(() => ended.includes(second) || lost.length > 0)
  expect(lost).toEqual([])
})

test('a comparing thread is not lost because the gateway thread was blocked', async () => {
  const { ended, lost, send } = start({ maxSilenceMs: 1200 })
  const first = send('answers later')
  await until(() => ended.includes(first))
  // Its reports arrive meanwhile, but are read only after the check.
  const second = send('answers later')
  const busyUntil = performance.now() + 1700
  await new Promise((resolve) => setTimeout(() => setImmediate(resolve), 50))
  while (performance.now() < busyUntil);
  await until(() => ended.includes(second) || lost.length > 0)
  expect(lost).toEqual([])
})

describe('the replacement of a lost comparing thread', () => {
  test('starts after a delay, which jobs that wait for it do not extend', async () => {
    const { thread, ended, lost, send } = start({ restartDelayMs: 400 })
    send('throws')
    await until(() => lost.length === 1)
    const sent: number[] = []
    // Jobs arrive more often than the restart delay.
    while (ended.length === 0 && performance.now() - (lost[0]?.at ?? 0) < 5000) {
      sent.push(send('answers'))
      await new Promise((resolve) => setTimeout(resolve, 15))
    }
    await until(() => thread.pendingJobs() === 0)
    expect(lost, 'one loss is reported once').toHaveLength(1)
    expect(ended).toEqual(sent)
    expect(sent.length).toBeGreaterThan(5)
  })

  test('receives policies, counts and rulings again', async () => {
    const { thread, told: received, lost, send } = start()
    const policy = { sample: 0.5 }
    thread.setRulings({ 'catalog\nGET /': { 'value $.a': 'noise' } })
    send('silent', policy)
    send('throws', policy)
    await until(() => lost.length === 1)
    send('silent', policy)
    await until(async () => {
      send('tells', policy)
      await new Promise((resolve) => setTimeout(resolve, 30))
      return (received.at(-1)?.counts.length ?? 0) > 0
    })
    expect(received.at(-1)).toMatchObject({
      policy,
      counts: [LEARNED],
      rulings: { 'catalog\nGET /': { 'value $.a': 'noise' } },
    })
    expect(received.at(-1)?.known, 'once').toHaveLength(1)
  })

  test('is not confused with the lost thread, whose late messages are ignored', async () => {
    const { ended, lost, send } = start({ maxSilenceMs: 600 })
    const first = send('answers later')
    // After the immediate callbacks of this turn, the check runs first and the reports of the thread are read afterwards.
    await new Promise((resolve) => setTimeout(() => setImmediate(resolve), 200))
    const busyUntil = performance.now() + 700
    while (performance.now() < busyUntil);
    await until(() => lost.length === 1)
    const second = send('answers')
    await until(() => ended.includes(second))
    expect(lost[0]?.jobs).toEqual([`${first} crashed`])
    expect(ended).toEqual([second])
  })
})

test('after ten thousand edits of the config the comparing thread holds at most about a thousand policies', async () => {
  const { ended, told: received, thread, send } = start()
  const last = { sample: 1 }
  for (let i = 0; i < 10_000; i++) send('answers', { sample: i })
  const lastJob = send('tells', last)
  await until(() => ended.includes(lastJob))
  expect(received[0]?.policy).toEqual(last)
  expect(received[0]?.known.length).toBeLessThan(1100)
  expect(received[0]?.anew).toBeGreaterThan(5)
  expect(thread.pendingJobs()).toBe(0)
})

describe('the end of the comparing thread', () => {
  test('finish waits for pending jobs up to its limit', async () => {
    const { thread, ended, send } = start()
    const id = send('answers later')
    await thread.finish(5000)
    expect(ended).toEqual([id])
    send('silent')
    const from = performance.now()
    await thread.finish(200)
    expect(performance.now() - from).toBeLessThan(2000)
  })

  test('finish returns at once without pending jobs', async () => {
    const { thread } = start()
    await thread.finish(60_000)
  })

  test('finish returns when the thread is lost', async () => {
    const { thread, lost, send } = start()
    send('throws')
    await thread.finish(60_000)
    expect(lost).toHaveLength(1)
  })

  test('stop ends it without reporting a loss', async () => {
    const { thread, lost, send } = start({ maxComparisonMs: 60_000 })
    send('spins')
    await new Promise((resolve) => setTimeout(resolve, 200))
    await thread.stop()
    expect(lost).toEqual([])
  })
})
