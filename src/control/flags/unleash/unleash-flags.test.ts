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
let heard: ReturnType<typeof recordedEvents>
let started: Flags[]
const unhandled: unknown[] = []
process.on('unhandledRejection', (error) => unhandled.push(error))

beforeEach(async () => {
  stateDir = await mkdtemp(join(tmpdir(), 'unleash-'))
  unleash = await startUnleashStub([rollout('orders', 100), rollout('catalog', 0)])
  heard = recordedEvents()
  started = []
  for (const method of ['log', 'warn', 'error', 'info'] as const) vi.spyOn(console, method)
})

afterEach(async () => {
  for (const method of ['log', 'warn', 'error', 'info'] as const) expect(console[method]).not.toHaveBeenCalled()
  vi.restoreAllMocks()
  for (const flags of started) await flags.stop()
  await unleash.close().catch(() => {})
  await rm(stateDir, { recursive: true, force: true })
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
    events: heard.events,
    clock: realClock,
    ...more,
  })
  started.push(flags)
  return flags
}

/** With it, a silence would be noticed only after half a minute. */
const LONG_MS = 10_000
const person = { userId: '7' }

describe('with Unleash well', () => {
  test('flags are there when start resolves, asked for with the token', async () => {
    const flags = make()
    await flags.start()
    expect(flags.evaluate('orders', person)).toBe('on')
    expect(flags.evaluate('catalog', person)).toBe('off')
    expect(flags.evaluate('nowhere', person)).toBe('missing')
    expect(flags.status()).toMatchObject({ source: 'unleash', location: unleash.url, flags: 2, stale: false })
    expect(heard.of('flagsRead')).toEqual([{ source: unleash.url, flags: 2 }])
    const asked = unleash.seen.find(({ path }) => path === '/api/client/features')
    expect(asked?.headers.authorization).toBe('secret-token')
    await until(() => unleash.seen.some(({ path }) => path === '/api/client/register'))
  })

  test('a change arrives with the next poll, and one that changes nothing is not told twice', async () => {
    const flags = make()
    await flags.start()
    await unleash.asked()
    await unleash.asked()
    expect(heard.of('flagsRead')).toHaveLength(1)
    unleash.features = [rollout('orders', 0)]
    await until(() => flags.evaluate('orders', person) === 'off')
    expect(flags.evaluate('catalog', person)).toBe('missing')
    expect(heard.of('flagsRead')).toHaveLength(2)
    expect(heard.of('flagsFailed')).toEqual([])
  })

  test('an unchanged answer is a contact: the age begins anew', async () => {
    const flags = make()
    await flags.start()
    await unleash.asked()
    await unleash.asked()
    await until(() => (flags.status().ageMs ?? Number.POSITIVE_INFINITY) < 40)
  })

  test('Unleash hears how often its flags were asked', async () => {
    const flags = make()
    await flags.start()
    for (let i = 0; i < 3; i++) flags.evaluate('orders', person)
    await flags.stop()
    const { bucket } = JSON.parse(unleash.seen.find(({ path }) => path === '/api/client/metrics')!.body)
    expect(bucket.toggles.orders).toMatchObject({ yes: 3, no: 0 })
  })
})

describe('with answers of Unleash that are too large', () => {
  const MOST = 32 * 1024 * 1024
  /** What the sockets of both ends hold besides. */
  const ON_THE_WAY = 16 * 1024 * 1024

  test('a poll reads 32 MiB of an endless list, reports it, and the last good flags stay', async () => {
    const flags = make({ timeoutMs: LONG_MS })
    await flags.start()
    unleash.mode = 'endless'
    await until(() => heard.of('flagsFailed').length > 0)
    expect(flags.status().trouble).toContain(`Unleash answered with more than ${MOST} bytes`)
    expect(flags.evaluate('orders', person)).toBe('on')
    const { sent } = unleash
    expect(sent).toBeGreaterThanOrEqual(MOST)
    expect(sent).toBeLessThan(2 * (MOST + ON_THE_WAY))
    unleash.mode = 'well'
    unleash.features = [rollout('orders', 0)]
    await until(() => flags.evaluate('orders', person) === 'off')
  })

  test('a flag that is asked for by its name is bounded in the same way', async () => {
    const flags = make({ refreshMs: LONG_MS, timeoutMs: LONG_MS })
    await flags.start()
    unleash.mode = 'endless'
    await flags.refresh(['orders'])
    expect(String(flags.status().trouble)).toContain(`more than ${MOST} bytes`)
    expect(flags.evaluate('orders', person)).toBe('on')
  })

  test('a compressed list, which could expand to any size, is not read', async () => {
    const flags = make()
    await flags.start()
    unleash.features = [rollout('orders', 0)]
    unleash.mode = 'compressed'
    await until(() => heard.of('flagsFailed').length > 0)
    expect(flags.status().trouble).toContain('with the coding gzip, which was not requested')
    expect(flags.evaluate('orders', person)).toBe('on')
    expect(unleash.seen.at(-1)?.headers['accept-encoding']).toBe('identity')
  })
})

describe('with Unleash in trouble', () => {
  test('down at start and nothing kept: start does not wait long, all is stale, and recovery is by itself', async () => {
    await unleash.close()
    const flags = make()
    const begun = performance.now()
    await flags.start()
    expect(performance.now() - begun).toBeLessThan(3000)
    expect(flags.evaluate('orders', person)).toBe('stale')
    expect(flags.status()).toMatchObject({ stale: true, ageMs: undefined })
    expect(heard.of('flagsFailed').length).toBeGreaterThan(0)
    await unleash.reopen()
    await until(() => flags.evaluate('orders', person) === 'on')
    expect(flags.status()).toMatchObject({ stale: false, trouble: undefined })
  })

  test('down at start with flags kept: the last good ones answer at once, and their age is true', async () => {
    const before = make()
    await before.start()
    await until(() => unleash.seen.length > 3)
    await before.stop()
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

  test('the kept flags are for the gateway’s eyes only', async () => {
    await make().start()
    const file = join(stateDir, 'unleash-flags.json')
    await until(() => heard.of('flagsRead').length > 0)
    await unleash.asked()
    expect((await stat(file)).mode & 0o777).toBe(0o600)
  })

  test('a damaged backup is reported and does not stand in the way', async () => {
    await writeFile(join(stateDir, 'unleash-flags.json'), '{"version":2,"featu')
    const flags = make()
    await flags.start()
    await until(() => flags.evaluate('orders', person) === 'on' && heard.of('flagsFailed').length > 0)
    expect(String(heard.of('flagsFailed')[0]?.error)).toContain('kept flags cannot be read')
  })

  test('a state folder that cannot be written is reported and stops nothing', async () => {
    await rm(stateDir, { recursive: true })
    await writeFile(stateDir, 'a file where the folder should be')
    const flags = make()
    await flags.start()
    expect(flags.evaluate('orders', person)).toBe('on')
    await until(() => heard.of('flagsFailed').length > 0)
    expect(flags.status().trouble).toBeUndefined()
    await chmod(stateDir, 0o600)
  })

  test.each([500, 503, 429, 404, 418] as const)('answers of %d: the last good flags stay', async (status) => {
    const flags = make()
    await flags.start()
    unleash.mode = status
    await until(() => heard.of('flagsFailed').length > 0)
    expect(flags.evaluate('orders', person)).toBe('on')
    expect(flags.status().trouble).toContain(String(status))
    unleash.mode = 'well'
    await until(() => flags.status().trouble === undefined)
  })

  test('a token that is refused is reported, and mending it in Unleash needs no restart', async () => {
    const flags = make({ token: 'old', timeoutMs: LONG_MS })
    await flags.start()
    expect(flags.evaluate('orders', person)).toBe('stale')
    expect(heard.of('flagsFailed').some(({ error }) => String(error).includes('401'))).toBe(true)
    unleash.token = 'old'
    await until(() => flags.evaluate('orders', person) === 'on')
  })

  test('a token that is withdrawn leaves the last good flags', async () => {
    const flags = make()
    await flags.start()
    unleash.token = 'new'
    await until(() => flags.status().trouble?.includes('401') === true)
    expect(flags.evaluate('orders', person)).toBe('on')
    expect(JSON.stringify(heard.told)).not.toContain('secret-token')
    unleash.token = 'secret-token'
    await until(() => flags.status().trouble === undefined)
  })

  test.each(['garbage', 'nonsense'] as const)(
    '%s with an ETag is not confirmed by the 304 that follows it',
    async (mode) => {
      const flags = make()
      await flags.start()
      unleash.mode = mode
      await until(() => flags.status().trouble !== undefined)
      const asked = () => unleash.seen.filter(({ path }) => path === '/api/client/features').length
      const then = asked()
      await until(() => asked() > then + 4)
      expect(flags.status().trouble).toBeDefined()
      expect(flags.evaluate('orders', person)).toBe('on')
      unleash.mode = 'well'
      await until(() => flags.status().trouble === undefined)
    },
  )

  test('one that never answers: the last good flags stay, and stopping does not wait for it', async () => {
    const flags = make()
    await flags.start()
    unleash.mode = 'silent'
    await until(() => heard.of('flagsFailed').length > 0)
    expect(flags.evaluate('orders', person)).toBe('on')
    const begun = performance.now()
    await flags.stop()
    expect(performance.now() - begun).toBeLessThan(1500)
  })

  test('a strategy that only Unleash knows is reported and starts no reconnecting', async () => {
    unleash.features = [{ name: 'orders', enabled: true, strategies: [{ name: 'moonPhase', parameters: {} }] }]
    const flags = make()
    await flags.start()
    expect(flags.evaluate('orders', person)).toBe('off')
    expect(String(heard.of('flagsFailed')[0]?.error)).toContain('moonPhase')
    const registered = () => unleash.seen.filter(({ path }) => path === '/api/client/register').length
    for (let i = 0; i < 4; i++) await unleash.asked()
    expect(registered()).toBe(1)
    expect(heard.of('flagsRead')).toHaveLength(1)
  })

  test('an address that is no Unleash does not keep the gateway from starting', async () => {
    const flags = make({ url: 'http://127.0.0.1:1/api/' })
    await flags.start()
    expect(flags.evaluate('orders', person)).toBe('stale')
  })
})

describe('refreshed', () => {
  const MINUTE_MS = 60_000
  const LIST = '/api/client/features'
  const FLAG = '/api/client/features/orders'
  const asked = (path: string) => unleash.seen.filter((one) => one.path === path).length
  /** Polls have names of their own for their connections. */
  const isRefetch = (headers: IncomingHttpHeaders) => headers['unleash-connection-id'] === 'gateway-1'

  /** The answers to these requests, held back until `release` is called. */
  function held(path: string, isHeld: (headers: IncomingHttpHeaders) => boolean = () => true) {
    const { promise, resolve: release } = Promise.withResolvers<void>()
    const { before } = unleash
    unleash.before = (request) => (request.url === path && isHeld(request.headers) ? promise : before(request))
    return { release, isAsked: () => unleash.seen.some((one) => one.path === path && isHeld(one.headers)) }
  }

  test('the list comes now, not at the next poll, and the polls go on from it', async () => {
    const flags = make({ refreshMs: MINUTE_MS })
    await flags.start()
    unleash.features = [rollout('orders', 0)]
    await flags.refresh()
    expect(flags.evaluate('orders', person)).toBe('off')
    await flags.refresh()
    expect(heard.of('flagsRead')).toHaveLength(2)
    const last = unleash.seen.findLast(({ path }) => path === '/api/client/features')
    expect(last?.headers['if-none-match']).toContain('well')
    expect(last?.headers['if-none-match']).not.toContain('catalog')
  })

  test('a flag by its name comes at once, and nobody meets what an older list says of it', async () => {
    const flags = make({ refreshMs: MINUTE_MS })
    await flags.start()
    unleash.newer = { orders: rollout('orders', 0) }
    await flags.refresh(['orders', 'nowhere'])
    expect(flags.status().trouble).toBeUndefined()
    expect(flags.percentage('orders')).toEqual({ percentage: 0 })
    expect(flags.percentage('catalog')).toEqual({ percentage: 0 })
    // Another change has made a new list, in which this one is not yet.
    unleash.features = [rollout('orders', 100), rollout('catalog', 1)]
    await flags.refresh()
    expect(flags.percentage('catalog')).toEqual({ percentage: 1 })
    expect(flags.percentage('orders')).toEqual({ percentage: 0 })
    // A moment later the list is the newer one, and what it says counts.
    unleash.features = [rollout('orders', 50), rollout('catalog', 1)]
    await until(() => flags.percentage('orders').percentage === 50)
  })

  test('a poll in the moment after takes nothing back either', async () => {
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

  test('one flag does not make the others young, nor their trouble good', async () => {
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

  describe('while another client takes the place of the one there was', () => {
    /** Polls fail, and the next good answer is a 304, which confirms nothing: a new client is made. */
    async function doubtful(more: More = {}) {
      const flags = make(more)
      await flags.start()
      unleash.mode = 418
      await until(() => flags.status().trouble !== undefined)
      return flags
    }

    test('a flag that was asked for before is in use when the refresh is over', async () => {
      const flags = await doubtful()
      const byName = held(FLAG)
      unleash.newer = { orders: rollout('orders', 0) }
      unleash.mode = 'well'
      const refreshed = flags.refresh(['orders'])
      await until(() => flags.status().trouble === undefined)
      byName.release()
      await refreshed
      expect(flags.percentage('orders')).toEqual({ percentage: 0 })
    })

    test('an older list that comes to the new one afterwards takes nothing back', async () => {
      const flags = await doubtful()
      const byName = held(FLAG)
      const wholeList = held(LIST, (headers) => headers['if-none-match'] === undefined)
      unleash.newer = { orders: rollout('orders', 0) }
      unleash.seen.length = 0
      unleash.mode = 'well'
      const refreshed = flags.refresh(['orders'])
      await until(() => byName.isAsked() && wholeList.isAsked())
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

    test('why it could not be read is told all the same', async () => {
      const flags = await doubtful()
      const byName = held(FLAG)
      unleash.newer = { orders: rollout('catalog', 0) }
      unleash.mode = 'well'
      const refreshed = flags.refresh(['orders'])
      await until(() => flags.status().trouble === undefined)
      byName.release()
      await refreshed
      expect(String(heard.of('flagsFailed').at(-1)?.error)).toContain('asked for flag "orders"')
    })

    test('a 304 that confirms nothing is not the end of a refresh, but the list is', async () => {
      const flags = await doubtful({ refreshMs: 300 })
      unleash.mode = 'well'
      await flags.refresh()
      expect(flags.status().trouble).toBeUndefined()
    })

    test('a list that was asked for before is in use when the refresh is over', async () => {
      const flags = await doubtful({ refreshMs: 300 })
      const refetched = held(LIST, isRefetch)
      unleash.mode = 'well'
      unleash.features = [rollout('orders', 0), rollout('catalog', 0)]
      const refreshed = flags.refresh()
      await until(refetched.isAsked)
      unleash.features = [rollout('orders', 100), rollout('catalog', 0)]
      await until(() => flags.status().trouble === undefined)
      refetched.release()
      await refreshed
      expect(flags.percentage('orders')).toEqual({ percentage: 0 })
    })
  })

  test('a list that was asked for in the moment after takes nothing back, however late it comes', async () => {
    let aheadMs = 0
    const flags = make({ clock: { ...realClock, now: () => realClock.now() + aheadMs } })
    await flags.start()
    unleash.newer = { orders: rollout('orders', 0) }
    await flags.refresh(['orders'])
    const late = held(LIST, (headers) => !isRefetch(headers))
    unleash.features = [rollout('orders', 100), rollout('catalog', 1)]
    unleash.seen.length = 0
    await until(late.isAsked)
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

  test('polls that come after that count, though nothing else gets through', async () => {
    let aheadMs = 0
    const flags = make({ clock: { ...realClock, now: () => realClock.now() + aheadMs } })
    await flags.start()
    unleash.newer = { orders: rollout('orders', 0) }
    await flags.refresh(['orders'])
    const refetched = held(LIST, isRefetch)
    aheadMs = LONG_MS
    unleash.features = [rollout('orders', 50)]
    await until(() => flags.percentage('orders').percentage === 50)
    refetched.release()
  })

  test('one that is not known by its name any more is not held against the list', async () => {
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

  test('a connection that dies under it costs a second try and no more', async () => {
    const flags = make({ refreshMs: MINUTE_MS })
    await flags.start()
    unleash.newer = { orders: rollout('orders', 0) }
    unleash.before = ({ socket, url }) => {
      if (url === FLAG && asked(FLAG) === 1) socket.destroy()
      return undefined
    }
    await flags.refresh(['orders'])
    expect(asked(FLAG)).toBe(2)
    expect(flags.percentage('orders')).toEqual({ percentage: 0 })
    expect(flags.status().trouble).toBeUndefined()
  })

  test('one that fails does not end the refresh of another', async () => {
    const flags = make({ refreshMs: MINUTE_MS })
    await flags.start()
    const orders = held(FLAG)
    unleash.newer = { orders: rollout('orders', 0), catalog: rollout('another', 0) }
    const refreshed = flags.refresh(['catalog', 'orders']).then(() => 'over')
    expect(await Promise.race([refreshed, setTimeout(200, 'under way')])).toBe('under way')
    orders.release()
    await refreshed
    expect(flags.percentage('orders')).toEqual({ percentage: 0 })
    expect(flags.status().trouble).toContain('asked for flag "catalog"')
  })

  test('a list against which one was held is read again, though it stays the same', async () => {
    const flags = make({ refreshMs: MINUTE_MS })
    await flags.start()
    unleash.newer = { orders: rollout('orders', 0) }
    await flags.refresh(['orders'])
    unleash.features = [rollout('orders', 50)]
    await flags.refresh()
    expect(flags.percentage('orders')).toEqual({ percentage: 0 })
    await until(() => flags.percentage('orders').percentage === 50)
  })

  test('a flag by its name brings the others along where there are none', async () => {
    const flags = make({ refreshMs: MINUTE_MS })
    unleash.mode = 503
    await flags.start()
    unleash.mode = 'well'
    unleash.newer = { orders: rollout('orders', 0) }
    await flags.refresh(['orders'])
    expect(flags.percentage('orders')).toEqual({ percentage: 0 })
    expect(flags.percentage('catalog')).toEqual({ percentage: 0 })
  })

  test('one flag is no set of flags: a client that has no others yet waits for them', async () => {
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
    const byName = held(FLAG)
    unleash.newer = { orders: rollout('orders', 0) }
    const refreshed = flags.refresh(['orders'])
    // The token is refused for the list: a new client is made, which has read no flags so far.
    await until(() => byName.isAsked() && reads > 1)
    byName.release()
    await refreshed
    expect(flags.evaluate('catalog', person)).toBe('on')
    again.resolve({ text, at: 0 })
    await until(() => flags.percentage('orders').percentage === 0)
    expect(flags.evaluate('catalog', person)).toBe('on')
  })

  test('many at once cost two requests', async () => {
    const flags = make({ refreshMs: MINUTE_MS })
    await flags.start()
    const before = asked('/api/client/features')
    await Promise.all(Array.from({ length: 50 }, () => flags.refresh()))
    expect(asked('/api/client/features')).toBe(before + 2)
  })

  test('many flags cost one list', async () => {
    const flags = make({ refreshMs: MINUTE_MS })
    await flags.start()
    await flags.refresh(Array.from({ length: 11 }, (_, at) => `flag-${at}`))
    expect(unleash.seen.filter(({ path }) => path.startsWith('/api/client/features/'))).toEqual([])
  })

  test('it does not wait for the pause after failures', async () => {
    const flags = make({ refreshMs: MINUTE_MS })
    unleash.mode = 503
    await flags.start()
    expect(flags.evaluate('orders', person)).toBe('stale')
    unleash.mode = 'well'
    await flags.refresh()
    expect(flags.evaluate('orders', person)).toBe('on')
    expect(flags.status().trouble).toBeUndefined()
  })

  test('a token that is refused is an alarm here too, and works again as soon as it does', async () => {
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
    ['one without a switch', { name: 'orders' }],
    ['another', rollout('catalog', 100)],
    ['with a switch that is none', { ...rollout('orders', 0), enabled: 'no' }],
  ])('an answer that is no flag, or %s, is not taken', async (_what, newer) => {
    const flags = make({ refreshMs: MINUTE_MS })
    await flags.start()
    unleash.newer = { orders: newer }
    await flags.refresh(['orders'])
    expect(flags.percentage('orders')).toEqual({ percentage: 100 })
    expect(flags.percentage('catalog')).toEqual({ percentage: 0 })
    expect(flags.status().trouble).toBeDefined()
  })
})

describe('kept for the fleet', () => {
  /** Another gateway of the fleet wrote it, an hour ago by the fleet's clock, which is a day ahead of ours. */
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

  test('a gateway with an empty disk and no Unleash decides by what others kept, and knows its age', async () => {
    await unleash.close()
    const flags = make({ backupStore: backupStoreWith({ text, at: 0 }).backupStore })
    await flags.start()
    expect(flags.evaluate('orders', person)).toBe('on')
    expect(heard.of('flagsRead')).toEqual([{ source: 'the copy in the store', flags: 1 }])
    await until(() => Math.round((flags.status().ageMs ?? 0) / 60_000) === 60)
  })

  test('flags that come are kept for others, once', async () => {
    const { backupStore, written } = backupStoreWith(undefined)
    const flags = make({ backupStore })
    await flags.start()
    await until(() => written.length > 0)
    await unleash.asked()
    await unleash.asked()
    expect(written).toHaveLength(1)
    expect(JSON.parse(written[0]!.text).features).toEqual(unleash.features)
    expect(written[0]!.at).toBeGreaterThan(Date.now() + 80_000_000)
  })

  test('the disk is asked first', async () => {
    await make().start()
    await until(() => heard.of('flagsRead').length > 0)
    await Promise.all(started.map((flags) => flags.stop()))
    await unleash.close()
    const other = JSON.stringify({ version: 2, features: [rollout('orders', 0)] })
    const flags = make({ backupStore: backupStoreWith({ text: other, at: 0 }).backupStore })
    await flags.start()
    expect(flags.evaluate('orders', person)).toBe('on')
  })

  test('a keep that fails, or has what is no flags, is reported and stops nothing', async () => {
    const failing: FlagBackupStore = {
      wallTime: Date.now,
      saveFlagBackup: () => Promise.reject(new Error('no store')),
      loadFlagBackup: async () => ({ text: '{"version":2,"featu', at: 0 }),
    }
    const flags = make({ backupStore: failing })
    await flags.start()
    await until(() => flags.evaluate('orders', person) === 'on')
    for (const what of ['no store', 'kept for the fleet cannot be read'])
      await until(() => heard.of('flagsFailed').some(({ error }) => String(error).includes(what)))
    expect(flags.status().trouble).toBeUndefined()
  })
})

test('the address is shown without its password', () => {
  expect(make({ url: 'http://me:hidden@127.0.0.1:1/api/' }).status().location).toBe('http://127.0.0.1:1/api/')
  const location = 'http://127.0.0.1:1/api/'
  expect(make({ url: `${location}?token=hidden#hidden` }).status().location).toBe(location)
})

test('after stop the last flags still answer what is in flight', async () => {
  const flags = make()
  await flags.start()
  await flags.stop()
  expect(flags.evaluate('orders', person)).toBe('on')
})
