import { chmod, mkdtemp, readFile, rm, stat, utimes, writeFile } from 'node:fs/promises'
import type { IncomingHttpHeaders } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import type { FlagBackupStore } from '../../../model/ports.ts'
import type { StoredFlagBackup } from '../../../model/shared-state.ts'
import { realClock, recordedEvents, rollout, until } from '../flags.test-kit.ts'
import type { Flags } from '../flags.ts'
import { UnleashFlags, type UnleashFlagsOptions } from './unleash-flags.ts'
import { startUnleashStub, type UnleashStub } from './unleash-stub.test-kit.ts'

let stateDir: string
let unleash: UnleashStub
let eventLog: ReturnType<typeof recordedEvents>
let started: Flags[]
const unhandled: unknown[] = []
process.on('unhandledRejection', (error) => unhandled.push(error))

beforeEach(async () => {
  stateDir = await mkdtemp(join(tmpdir(), 'unleash-'))
  unleash = await startUnleashStub([rollout('orders', 100), rollout('catalog', 0)])
  eventLog = recordedEvents()
  started = []
  for (const method of ['log', 'warn', 'error', 'info'] as const) vi.spyOn(console, method)
})

afterEach(async () => {
  for (const method of ['log', 'warn', 'error', 'info'] as const) expect(console[method]).not.toHaveBeenCalled()
  vi.restoreAllMocks()
  for (const flags of started) await flags.stop()
  await unleash.close().catch(() => {})
  await rm(stateDir, { recursive: true, force: true, maxRetries: 5 })
  expect(unhandled).toEqual([])
})

type More = Partial<
  Pick<UnleashFlagsOptions, 'token' | 'refreshMs' | 'timeoutMs' | 'url' | 'stateDir' | 'backupStore' | 'clock'>
>

function make(more: More = {}): Flags {
  const flags = new UnleashFlags({
    url: unleash.url,
    token: unleash.token,
    appName: 'strangler-gateway',
    instanceId: 'gateway-1',
    refreshMs: 40,
    timeoutMs: 1000,
    stateDir,
    events: eventLog.events,
    clock: realClock,
    ...more,
  })
  started.push(flags)
  return flags
}

/** With this refresh interval, the watchdog notices a silence only after half a minute. */
const LONG_MS = 10_000
const person = { userId: '7' }

describe('flags of a healthy Unleash', () => {
  test('are in use when start resolves, and were requested with the token', async () => {
    const flags = make()
    await flags.start()
    expect(flags.evaluate('orders', person)).toBe('on')
    expect(flags.evaluate('catalog', person)).toBe('off')
    expect(flags.evaluate('nowhere', person)).toBe('missing')
    expect(flags.status()).toMatchObject({ source: 'unleash', location: unleash.url, flags: 2, stale: false })
    expect(eventLog.of('flagsRead')).toEqual([{ source: unleash.url, flags: 2 }])
    const poll = unleash.seen.find(({ path }) => path === '/api/client/features')
    expect(poll?.headers.authorization).toBe('secret-token')
    await until(() => unleash.seen.some(({ path }) => path === '/api/client/register'))
  })

  test('change with the next poll, and an unchanged poll is not reported again', async () => {
    const flags = make()
    await flags.start()
    await unleash.nextPoll()
    await unleash.nextPoll()
    expect(eventLog.of('flagsRead')).toHaveLength(1)
    unleash.features = [rollout('orders', 0)]
    await until(() => flags.evaluate('orders', person) === 'off')
    expect(flags.evaluate('catalog', person)).toBe('missing')
    expect(eventLog.of('flagsRead')).toHaveLength(2)
    expect(eventLog.of('flagsFailed')).toEqual([])
  })

  test('have a new age after a 304 response', async () => {
    const flags = make()
    await flags.start()
    await unleash.nextPoll()
    await unleash.nextPoll()
    await until(() => (flags.status().ageMs ?? Number.POSITIVE_INFINITY) < 40)
  })

  test('are evaluated with usage counts that Unleash receives', async () => {
    const flags = make()
    await flags.start()
    for (let i = 0; i < 3; i++) flags.evaluate('orders', person)
    await flags.stop()
    const { bucket } = JSON.parse(unleash.seen.find(({ path }) => path === '/api/client/metrics')!.body)
    expect(bucket.toggles.orders).toMatchObject({ yes: 3, no: 0 })
  })
})

describe('responses of Unleash that are too large', () => {
  const MOST = 32 * 1024 * 1024
  /** Bytes in the buffers of both sockets. */
  const ON_THE_WAY = 16 * 1024 * 1024

  test('are read up to 32 MiB and reported, and the last good flags stay', async () => {
    const flags = make({ timeoutMs: LONG_MS })
    await flags.start()
    unleash.mode = 'endless'
    await until(() => eventLog.of('flagsFailed').length > 0)
    expect(flags.status().trouble).toContain(`Unleash answered with more than ${MOST} bytes`)
    expect(flags.evaluate('orders', person)).toBe('on')
    const { sent } = unleash
    expect(sent).toBeGreaterThanOrEqual(MOST)
    expect(sent).toBeLessThan(2 * (MOST + ON_THE_WAY))
    unleash.mode = 'well'
    unleash.features = [rollout('orders', 0)]
    await until(() => flags.evaluate('orders', person) === 'off')
  })

  test('are bounded for a flag that is read by its name', async () => {
    const flags = make({ refreshMs: LONG_MS, timeoutMs: LONG_MS })
    await flags.start()
    unleash.mode = 'endless'
    await flags.refresh(['orders'])
    expect(String(flags.status().trouble)).toContain(`more than ${MOST} bytes`)
    expect(flags.evaluate('orders', person)).toBe('on')
  })

  test('are not read if they are compressed, since they could expand to any size', async () => {
    const flags = make()
    await flags.start()
    unleash.features = [rollout('orders', 0)]
    unleash.mode = 'compressed'
    await until(() => eventLog.of('flagsFailed').length > 0)
    expect(flags.status().trouble).toContain('with the coding gzip, which was not requested')
    expect(flags.evaluate('orders', person)).toBe('on')
    expect(unleash.seen.at(-1)?.headers['accept-encoding']).toBe('identity')
  })
})

describe('an Unleash in trouble', () => {
  test('that is down at the start without a backup does not delay the start: flags are stale until it returns', async () => {
    await unleash.close()
    const flags = make()
    const begun = performance.now()
    await flags.start()
    expect(performance.now() - begun).toBeLessThan(3000)
    expect(flags.evaluate('orders', person)).toBe('stale')
    expect(flags.status()).toMatchObject({ stale: true, ageMs: undefined })
    expect(eventLog.of('flagsFailed').length).toBeGreaterThan(0)
    await unleash.reopen()
    await until(() => flags.evaluate('orders', person) === 'on')
    expect(flags.status()).toMatchObject({ stale: false, trouble: undefined })
  })

  test('that is down at the start leaves the flags of the backup in use, with their true age', async () => {
    const previous = make()
    await previous.start()
    await until(() => unleash.seen.length > 3)
    await previous.stop()
    await unleash.close()
    const file = join(stateDir, 'unleash-flags.json')
    await until(() => readFile(file).then(() => true) !== undefined)
    const anHourAgo = new Date(Date.now() - 3_600_000)
    await utimes(file, anHourAgo, anHourAgo)
    const flags = make()
    await flags.start()
    expect(flags.evaluate('orders', person)).toBe('on')
    await until(() => (flags.status().ageMs ?? 0) > 3_599_000)
    expect(flags.status().stale).toBe(false)
  })

  test('leaves a backup that only the gateway may read', async () => {
    await make().start()
    const file = join(stateDir, 'unleash-flags.json')
    await until(() => eventLog.of('flagsRead').length > 0)
    await unleash.nextPoll()
    expect((await stat(file)).mode & 0o777).toBe(0o600)
  })

  test('with a damaged backup is reported and does not prevent the start', async () => {
    await writeFile(join(stateDir, 'unleash-flags.json'), '{"version":2,"featu')
    const flags = make()
    await flags.start()
    await until(() => flags.evaluate('orders', person) === 'on' && eventLog.of('flagsFailed').length > 0)
    expect(String(eventLog.of('flagsFailed')[0]?.error)).toContain('kept flags cannot be read')
  })

  test('with a state folder that cannot be written is reported and stops nothing', async () => {
    await rm(stateDir, { recursive: true })
    await writeFile(stateDir, 'a file where the folder should be')
    const flags = make()
    await flags.start()
    expect(flags.evaluate('orders', person)).toBe('on')
    await until(() => eventLog.of('flagsFailed').length > 0)
    expect(flags.status().trouble).toBeUndefined()
    await chmod(stateDir, 0o600)
  })

  test.each([500, 503, 429, 404, 418] as const)('that answers %d leaves the last good flags in use', async (status) => {
    const flags = make()
    await flags.start()
    unleash.mode = status
    await until(() => eventLog.of('flagsFailed').length > 0)
    expect(flags.evaluate('orders', person)).toBe('on')
    expect(flags.status().trouble).toContain(String(status))
    unleash.mode = 'well'
    await until(() => flags.status().trouble === undefined)
  })

  test('that rejects the token is reported, and needs no restart when it accepts the token again', async () => {
    const flags = make({ token: 'old', timeoutMs: LONG_MS })
    await flags.start()
    expect(flags.evaluate('orders', person)).toBe('stale')
    expect(eventLog.of('flagsFailed').some(({ error }) => String(error).includes('401'))).toBe(true)
    unleash.token = 'old'
    await until(() => flags.evaluate('orders', person) === 'on')
  })

  test('that withdraws the token leaves the last good flags in use', async () => {
    const flags = make()
    await flags.start()
    unleash.token = 'new'
    await until(() => flags.status().trouble?.includes('401') === true)
    expect(flags.evaluate('orders', person)).toBe('on')
    expect(JSON.stringify(eventLog.recorded)).not.toContain('secret-token')
    unleash.token = 'secret-token'
    await until(() => flags.status().trouble === undefined)
  })

  test.each(['garbage', 'nonsense'] as const)(
    'that answers %s with an ETag does not confirm it by a later 304',
    async (mode) => {
      const flags = make()
      await flags.start()
      unleash.mode = mode
      await until(() => flags.status().trouble !== undefined)
      const polls = () => unleash.seen.filter(({ path }) => path === '/api/client/features').length
      const earlier = polls()
      await until(() => polls() > earlier + 4)
      expect(flags.status().trouble).toBeDefined()
      expect(flags.evaluate('orders', person)).toBe('on')
      unleash.mode = 'well'
      await until(() => flags.status().trouble === undefined)
    },
  )

  test('that never answers leaves the last good flags in use and does not delay stop', async () => {
    const flags = make()
    await flags.start()
    unleash.mode = 'silent'
    await until(() => eventLog.of('flagsFailed').length > 0)
    expect(flags.evaluate('orders', person)).toBe('on')
    const begun = performance.now()
    await flags.stop()
    expect(performance.now() - begun).toBeLessThan(1500)
  })

  test('with a strategy that only Unleash knows is reported and not reconnected', async () => {
    unleash.features = [{ name: 'orders', enabled: true, strategies: [{ name: 'moonPhase', parameters: {} }] }]
    const flags = make()
    await flags.start()
    expect(flags.evaluate('orders', person)).toBe('off')
    expect(String(eventLog.of('flagsFailed')[0]?.error)).toContain('moonPhase')
    const registered = () => unleash.seen.filter(({ path }) => path === '/api/client/register').length
    for (let i = 0; i < 4; i++) await unleash.nextPoll()
    expect(registered()).toBe(1)
    expect(eventLog.of('flagsRead')).toHaveLength(1)
  })

  test('at an address without Unleash does not prevent the start', async () => {
    const flags = make({ url: 'http://127.0.0.1:1/api/' })
    await flags.start()
    expect(flags.evaluate('orders', person)).toBe('stale')
  })
})

describe('a refresh', () => {
  const MINUTE_MS = 60_000
  const LIST = '/api/client/features'
  const FLAG = '/api/client/features/orders'
  const requestsOf = (path: string) => unleash.seen.filter((request) => request.path === path).length
  /** Polls have connection ids of their own. */
  const isRefetch = (headers: IncomingHttpHeaders) => headers['unleash-connection-id'] === 'gateway-1'

  /** Holds the responses to these requests until `release` is called. */
  function holdResponses(path: string, isHeld: (headers: IncomingHttpHeaders) => boolean = () => true) {
    const { promise, resolve: release } = Promise.withResolvers<void>()
    const { beforeResponse } = unleash
    unleash.beforeResponse = (request) =>
      request.url === path && isHeld(request.headers) ? promise : beforeResponse(request)
    const isRequested = () => unleash.seen.some((request) => request.path === path && isHeld(request.headers))
    return { release, isRequested }
  }

  test('reads the list at once, and polls go on from its etag', async () => {
    const flags = make({ refreshMs: MINUTE_MS })
    await flags.start()
    unleash.features = [rollout('orders', 0)]
    await flags.refresh()
    expect(flags.evaluate('orders', person)).toBe('off')
    await flags.refresh()
    expect(eventLog.of('flagsRead')).toHaveLength(2)
    const last = unleash.seen.findLast(({ path }) => path === '/api/client/features')
    expect(last?.headers['if-none-match']).toContain('well')
    expect(last?.headers['if-none-match']).not.toContain('catalog')
  })

  test('of a flag reads it by its name at once, and an older list does not undo it', async () => {
    const flags = make({ refreshMs: MINUTE_MS })
    await flags.start()
    unleash.newer = { orders: rollout('orders', 0) }
    await flags.refresh(['orders', 'nowhere'])
    expect(flags.status().trouble).toBeUndefined()
    expect(flags.percentage('orders')).toEqual({ percentage: 0 })
    expect(flags.percentage('catalog')).toEqual({ percentage: 0 })
    // Another change has produced a new list, which does not contain this change yet.
    unleash.features = [rollout('orders', 100), rollout('catalog', 1)]
    await flags.refresh()
    expect(flags.percentage('catalog')).toEqual({ percentage: 1 })
    expect(flags.percentage('orders')).toEqual({ percentage: 0 })
    // A moment later the list is newer, and counts.
    unleash.features = [rollout('orders', 50), rollout('catalog', 1)]
    await until(() => flags.percentage('orders').percentage === 50)
  })

  test('is not undone by a poll in the second after it', async () => {
    const flags = make({ refreshMs: 100 })
    await flags.start()
    unleash.newer = { orders: rollout('orders', 0) }
    await flags.refresh(['orders'])
    unleash.features = [rollout('orders', 100), rollout('catalog', 1)]
    const answers = new Set<string>()
    await until(() => {
      answers.add(flags.evaluate('orders', person))
      return flags.percentage('catalog').percentage === 1
    })
    answers.add(flags.evaluate('orders', person))
    expect([...answers]).toEqual(['off'])
  })

  test('of one flag resets neither the age nor the trouble of the others', async () => {
    const flags = make({ refreshMs: MINUTE_MS })
    await flags.start()
    unleash.mode = 'garbage'
    await flags.refresh()
    const { ageMs = 0, trouble } = flags.status()
    expect(trouble).toContain('JSON')
    unleash.newer = { orders: rollout('orders', 0) }
    await flags.refresh(['orders'])
    expect(flags.evaluate('orders', person)).toBe('off')
    expect(flags.status().trouble).toBe(trouble)
    expect(flags.status().ageMs).toBeGreaterThanOrEqual(ageMs)
  })

  describe('while another client replaces the current one', () => {
    /** Polls fail, and the next valid response is a 304, which confirms nothing: a new client is created. */
    async function doubtful(more: More = {}) {
      const flags = make(more)
      await flags.start()
      unleash.mode = 418
      await until(() => flags.status().trouble !== undefined)
      return flags
    }

    test('puts a flag that was requested before into use before it resolves', async () => {
      const flags = await doubtful()
      const byName = holdResponses(FLAG)
      unleash.newer = { orders: rollout('orders', 0) }
      unleash.mode = 'well'
      const refreshed = flags.refresh(['orders'])
      await until(() => flags.status().trouble === undefined)
      byName.release()
      await refreshed
      expect(flags.percentage('orders')).toEqual({ percentage: 0 })
    })

    test('is not undone by an older list that the new client receives afterwards', async () => {
      const flags = await doubtful()
      const byName = holdResponses(FLAG)
      const wholeList = holdResponses(LIST, (headers) => headers['if-none-match'] === undefined)
      unleash.newer = { orders: rollout('orders', 0) }
      unleash.seen.length = 0
      unleash.mode = 'well'
      const refreshed = flags.refresh(['orders'])
      await until(() => byName.isRequested() && wholeList.isRequested())
      byName.release()
      await refreshed
      expect(flags.percentage('orders')).toEqual({ percentage: 0 })
      const answers = new Set<string>()
      wholeList.release()
      await until(() => {
        answers.add(flags.evaluate('orders', person))
        return flags.status().trouble === undefined
      })
      expect([...answers]).toEqual(['off'])
    })

    test('still reports why the flags could not be read', async () => {
      const flags = await doubtful()
      const byName = holdResponses(FLAG)
      unleash.newer = { orders: rollout('catalog', 0) }
      unleash.mode = 'well'
      const refreshed = flags.refresh(['orders'])
      await until(() => flags.status().trouble === undefined)
      byName.release()
      await refreshed
      expect(String(eventLog.of('flagsFailed').at(-1)?.error)).toContain('asked for flag "orders"')
    })

    test('does not end with a 304 that confirms nothing, but with the list', async () => {
      const flags = await doubtful({ refreshMs: 300 })
      unleash.mode = 'well'
      await flags.refresh()
      expect(flags.status().trouble).toBeUndefined()
    })

    test('puts a list that was requested before into use before it resolves', async () => {
      const flags = await doubtful({ refreshMs: 300 })
      const refetched = holdResponses(LIST, isRefetch)
      unleash.mode = 'well'
      unleash.features = [rollout('orders', 0), rollout('catalog', 0)]
      const refreshed = flags.refresh()
      await until(refetched.isRequested)
      unleash.features = [rollout('orders', 100), rollout('catalog', 0)]
      await until(() => flags.status().trouble === undefined)
      refetched.release()
      await refreshed
      expect(flags.percentage('orders')).toEqual({ percentage: 0 })
    })
  })

  test('is not undone by a list that was requested in the second after it, however late it arrives', async () => {
    let aheadMs = 0
    const flags = make({ clock: { ...realClock, now: () => realClock.now() + aheadMs } })
    await flags.start()
    unleash.newer = { orders: rollout('orders', 0) }
    await flags.refresh(['orders'])
    const late = holdResponses(LIST, (headers) => !isRefetch(headers))
    unleash.features = [rollout('orders', 100), rollout('catalog', 1)]
    unleash.seen.length = 0
    await until(late.isRequested)
    aheadMs = 2000
    late.release()
    const answers = new Set<string>()
    await until(() => {
      answers.add(flags.evaluate('orders', person))
      return flags.percentage('catalog').percentage === 1
    })
    answers.add(flags.evaluate('orders', person))
    expect([...answers]).toEqual(['off'])
  })

  test('gives way to later polls, even if no other request succeeds', async () => {
    let aheadMs = 0
    const flags = make({ clock: { ...realClock, now: () => realClock.now() + aheadMs } })
    await flags.start()
    unleash.newer = { orders: rollout('orders', 0) }
    await flags.refresh(['orders'])
    const refetched = holdResponses(LIST, isRefetch)
    aheadMs = LONG_MS
    unleash.features = [rollout('orders', 50)]
    await until(() => flags.percentage('orders').percentage === 50)
    refetched.release()
  })

  test('of a flag that Unleash does not know by its name any more leaves the decision to the list', async () => {
    const flags = make({ refreshMs: MINUTE_MS })
    await flags.start()
    unleash.newer = { orders: rollout('orders', 0) }
    await flags.refresh(['orders'])
    unleash.newer = {}
    await flags.refresh(['orders'])
    unleash.features = [rollout('catalog', 0)]
    await flags.refresh()
    expect(flags.evaluate('orders', person)).toBe('missing')
  })

  test('on a broken connection costs a second attempt and no more', async () => {
    const flags = make({ refreshMs: MINUTE_MS })
    await flags.start()
    unleash.newer = { orders: rollout('orders', 0) }
    unleash.beforeResponse = ({ socket, url }) => {
      if (url === FLAG && requestsOf(FLAG) === 1) socket.destroy()
      return undefined
    }
    await flags.refresh(['orders'])
    expect(requestsOf(FLAG)).toBe(2)
    expect(flags.percentage('orders')).toEqual({ percentage: 0 })
    expect(flags.status().trouble).toBeUndefined()
  })

  test('that fails does not end the refresh of another flag', async () => {
    const flags = make({ refreshMs: MINUTE_MS })
    await flags.start()
    const orders = holdResponses(FLAG)
    unleash.newer = { orders: rollout('orders', 0), catalog: rollout('another', 0) }
    const refreshed = flags.refresh(['catalog', 'orders']).then(() => 'over')
    expect(await Promise.race([refreshed, setTimeout(200, 'under way')])).toBe('under way')
    orders.release()
    await refreshed
    expect(flags.percentage('orders')).toEqual({ percentage: 0 })
    expect(flags.status().trouble).toContain('asked for flag "catalog"')
  })

  test('of a flag makes the client read a whole list again, though its etag is unchanged', async () => {
    const flags = make({ refreshMs: MINUTE_MS })
    await flags.start()
    unleash.newer = { orders: rollout('orders', 0) }
    await flags.refresh(['orders'])
    unleash.features = [rollout('orders', 50)]
    await flags.refresh()
    expect(flags.percentage('orders')).toEqual({ percentage: 0 })
    await until(() => flags.percentage('orders').percentage === 50)
  })

  test('of a flag before any list reads the list too', async () => {
    const flags = make({ refreshMs: MINUTE_MS })
    unleash.mode = 503
    await flags.start()
    unleash.mode = 'well'
    unleash.newer = { orders: rollout('orders', 0) }
    await flags.refresh(['orders'])
    expect(flags.percentage('orders')).toEqual({ percentage: 0 })
    expect(flags.percentage('catalog')).toEqual({ percentage: 0 })
  })

  test('of a flag before any list does not count as a set of flags', async () => {
    const text = JSON.stringify({ version: 2, features: [rollout('orders', 100), rollout('catalog', 100)] })
    const again = Promise.withResolvers<StoredFlagBackup>()
    let reads = 0
    const keptFlags = async () => (reads++ === 0 ? { text, at: 0 } : again.promise)
    unleash.token = 'new'
    const flags = make({
      token: 'old',
      backupStore: { wallTime: Date.now, saveFlagBackup: async () => {}, loadFlagBackup: keptFlags },
    })
    await flags.start()
    const byName = holdResponses(FLAG)
    unleash.newer = { orders: rollout('orders', 0) }
    const refreshed = flags.refresh(['orders'])
    // The token is rejected for the list: a new client is created, which has not read any flags.
    await until(() => byName.isRequested() && reads > 1)
    byName.release()
    await refreshed
    expect(flags.evaluate('catalog', person)).toBe('on')
    again.resolve({ text, at: 0 })
    await until(() => flags.percentage('orders').percentage === 0)
    expect(flags.evaluate('catalog', person)).toBe('on')
  })

  test('by many callers at once costs two requests', async () => {
    const flags = make({ refreshMs: MINUTE_MS })
    await flags.start()
    const earlier = requestsOf('/api/client/features')
    await Promise.all(Array.from({ length: 50 }, () => flags.refresh()))
    expect(requestsOf('/api/client/features')).toBe(earlier + 2)
  })

  test('of many flags reads one list', async () => {
    const flags = make({ refreshMs: MINUTE_MS })
    await flags.start()
    await flags.refresh(Array.from({ length: 11 }, (_, index) => `flag-${index}`))
    expect(unleash.seen.filter(({ path }) => path.startsWith('/api/client/features/'))).toEqual([])
  })

  test('does not wait for the pause of polls after a failure', async () => {
    const flags = make({ refreshMs: MINUTE_MS })
    unleash.mode = 503
    await flags.start()
    expect(flags.evaluate('orders', person)).toBe('stale')
    unleash.mode = 'well'
    await flags.refresh()
    expect(flags.evaluate('orders', person)).toBe('on')
    expect(flags.status().trouble).toBeUndefined()
  })

  test('with a rejected token is reported as such, and works again as soon as the token does', async () => {
    const flags = make({ refreshMs: MINUTE_MS })
    await flags.start()
    unleash.token = 'new'
    await flags.refresh()
    expect(flags.status()).toMatchObject({ isRefused: true, trouble: expect.stringContaining('(401)') })
    expect(flags.evaluate('orders', person)).toBe('on')
    unleash.token = 'secret-token'
    await flags.refresh()
    expect(flags.status()).toMatchObject({ isRefused: false, trouble: undefined })
  })

  test.each([
    ['with a flag without a switch', { name: 'orders' }],
    ['with another flag', rollout('catalog', 100)],
    ['with an invalid switch', { ...rollout('orders', 0), enabled: 'no' }],
  ])('does not take a response %s', async (_what, newer) => {
    const flags = make({ refreshMs: MINUTE_MS })
    await flags.start()
    unleash.newer = { orders: newer }
    await flags.refresh(['orders'])
    expect(flags.percentage('orders')).toEqual({ percentage: 100 })
    expect(flags.percentage('catalog')).toEqual({ percentage: 0 })
    expect(flags.status().trouble).toBeDefined()
  })
})

describe('the copy of the flags in the store', () => {
  /** Another gateway of the fleet wrote the copy an hour ago, by the fleet's clock, which is a day ahead of ours. */
  function backupStoreWith(backup: StoredFlagBackup | undefined) {
    const written: StoredFlagBackup[] = []
    const wallTime = () => Date.now() + 86_400_000
    const backupStore: FlagBackupStore = {
      wallTime,
      saveFlagBackup: async (flags) => void written.push(flags),
      loadFlagBackup: async () => backup && { ...backup, at: wallTime() - 3_600_000 },
    }
    return { backupStore, written }
  }
  const text = JSON.stringify({ version: 2, features: [rollout('orders', 100)], segments: [] })

  test('is in use on a gateway with an empty disk and without Unleash, with its true age', async () => {
    await unleash.close()
    const flags = make({ backupStore: backupStoreWith({ text, at: 0 }).backupStore })
    await flags.start()
    expect(flags.evaluate('orders', person)).toBe('on')
    expect(eventLog.of('flagsRead')).toEqual([{ source: 'the copy in the store', flags: 1 }])
    await until(() => Math.round((flags.status().ageMs ?? 0) / 60_000) === 60)
  })

  test('is written once for the same flags', async () => {
    const { backupStore, written } = backupStoreWith(undefined)
    const flags = make({ backupStore })
    await flags.start()
    await until(() => written.length > 0)
    await unleash.nextPoll()
    await unleash.nextPoll()
    expect(written).toHaveLength(1)
    expect(JSON.parse(written[0]!.text).features).toEqual(unleash.features)
    expect(written[0]!.at).toBeGreaterThan(Date.now() + 80_000_000)
  })

  test('is read after the copy on disk', async () => {
    await make().start()
    await until(() => eventLog.of('flagsRead').length > 0)
    await Promise.all(started.map((flags) => flags.stop()))
    await unleash.close()
    const other = JSON.stringify({ version: 2, features: [rollout('orders', 0)] })
    const flags = make({ backupStore: backupStoreWith({ text: other, at: 0 }).backupStore })
    await flags.start()
    expect(flags.evaluate('orders', person)).toBe('on')
  })

  test('that fails or is invalid is reported and stops nothing', async () => {
    const failing: FlagBackupStore = {
      wallTime: Date.now,
      saveFlagBackup: () => Promise.reject(new Error('no store')),
      loadFlagBackup: async () => ({ text: '{"version":2,"featu', at: 0 }),
    }
    const flags = make({ backupStore: failing })
    await flags.start()
    await until(() => flags.evaluate('orders', person) === 'on')
    for (const what of ['no store', 'kept for the fleet cannot be read'])
      await until(() => eventLog.of('flagsFailed').some(({ error }) => String(error).includes(what)))
    expect(flags.status().trouble).toBeUndefined()
  })
})

test('the location of the flags is shown without its password', () => {
  expect(make({ url: 'http://me:hidden@127.0.0.1:1/api/' }).status().location).toBe('http://127.0.0.1:1/api/')
  const location = 'http://127.0.0.1:1/api/'
  expect(make({ url: `${location}?token=hidden#hidden` }).status().location).toBe(location)
})

test('after stop the last flags still answer requests in flight', async () => {
  const flags = make()
  await flags.start()
  await flags.stop()
  expect(flags.evaluate('orders', person)).toBe('on')
})
