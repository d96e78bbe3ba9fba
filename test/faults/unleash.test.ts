// Faults of the Unleash of a fleet (F15): no client changes its side because of them, and rollback and kill switch work
// without Unleash.
import { describe, expect, it } from 'vitest'
import { FLAG, type Fleet, type FleetGateway, listFailures, startFleet } from '../kit/fleet.ts'
import { startFront, type Trouble, type UnleashFront } from '../kit/front.ts'
import { sharedByFile } from '../kit/lifetime.ts'
import { startRedis } from '../kit/redis.ts'
import { startUnleash } from '../kit/unleash.ts'
import { until } from '../kit/until.ts'

const unleash = sharedByFile(() => startUnleash({ flags: { [FLAG]: 100, 'migrate-orders': 0 } }))

type Flags = { readonly stale: boolean; readonly refused: boolean }
const flagsOf = async ({ readiness }: FleetGateway) => (await readiness()).flags as Flags

describe('an Unleash that fails at the start', () => {
  const shared = sharedByFile(() =>
    Promise.all(
      (['down', 401, 500, 'garbage', 'slow'] as const).map(async (trouble) => {
        const front = await startFront(unleash().url)
        await front.fail(trouble)
        const fleet = await startFleet({ gateways: 1, unleash: { ...unleash(), apiUrl: front.apiUrl } })
        return { trouble, front, fleet }
      }),
    ),
  )

  it('leaves all requests with legacy, is reported, and has no effect after it recovers', async () => {
    await Promise.all(shared().map(recovers))
  })

  async function recovers({ trouble, front, fleet }: { trouble: Trouble; front: UnleashFront; fleet: Fleet }) {
    const [gateway] = fleet.gateways as [FleetGateway]
    const load = fleet.startLoad({ clients: 1, pauseMs: 20 })
    expect(await gateway.readiness(), String(trouble)).toMatchObject({ status: 'ready', flags: { stale: true } })
    if (trouble === 401) expect((await flagsOf(gateway)).refused).toBe(true)
    expect(await fleet.findWrongSides(0)).toEqual([])
    const { status, body } = await gateway.api('PUT', '/contexts/catalog/flag', { body: { percentage: 100 } })
    expect({ status, body }, String(trouble)).toMatchObject({ status: 503, body: { code: 'unavailable' } })
    expect(body.detail).toContain('Unleash at http://127.0.0.1:')
    await front.mend()
    await fleet.flip(100)
    expect(await fleet.findWrongSides(100)).toEqual([])
    await until(async () => {
      const { stale, refused } = await flagsOf(gateway)
      return !stale && !refused
    })
    expect(listFailures(await load.stop())).toEqual([])
  }
})

describe('an Unleash from which a fleet has read its flags', () => {
  const shared = sharedByFile(async () => {
    const redis = await startRedis()
    const fronts = await Promise.all([1, 2, 3].map(() => startFront(unleash().url)))
    const frontOf = (index: number) => fronts[index % 3] as UnleashFront
    const fleet = await startFleet({
      redis: redis.url,
      unleash: (index) => ({ ...unleash(), apiUrl: frontOf(index).apiUrl }),
    })
    return { redis, fronts, fleet }
  })

  const allFail = (trouble: Trouble) => Promise.all(shared().fronts.map((front) => front.fail(trouble)))
  const allMend = () => Promise.all(shared().fronts.map((front) => front.mend()))

  it('that goes away under load moves no client, a restarted gateway has the last flags, and a rollback works', async () => {
    const { fleet } = shared()
    await fleet.flip(40)
    await fleet.underLoad(async () => {
      await allFail('down')
      const flipped = await fleet.strangler('flip', 'catalog', '60')
      expect(flipped.code, flipped.stdout).toBe(5)
      expect(flipped.stderr).toMatch(/Unleash at http:\/\/127\.0\.0\.1:\d+\/api\/ cannot be reached/)
      expect(await fleet.findWrongSides(40)).toEqual([])

      await allFail('slow')
      const next = await fleet.join()
      expect(await fleet.findWrongSides(40, [next])).toEqual([])
      // The gateway still waits for its first flags, but its shutdown does not.
      const endedAt = performance.now()
      next.signal('SIGTERM')
      expect(await next.exited).toMatchObject({ code: 0 })
      expect(performance.now() - endedAt).toBeLessThan(3000)

      const { code, stdout } = await fleet.strangler('rollback', 'catalog', '--reason', 'orders are lost')
      expect(code, stdout).toBe(0)
      expect(stdout).toContain('rolled back, everything to legacy, applied on 3 of 3 gateways')
      expect(stdout).toContain('its flag is not at 0 yet, as Unleash does not answer: the gateway keeps retrying')
      expect(await fleet.findWrongSides(0)).toEqual([])
      await allMend()
      await until(async () => (await unleash().clientRollouts(FLAG))?.[0] === '0', 15_000)
    })
    const records = await fleet.history()
    expect(
      records.find(({ verb, detail }) => verb === 'rollback' && detail?.includes('at 0 in Unleash')),
    ).toMatchObject({
      actor: 'anna',
      before: 40,
      after: 0,
      result: 'done',
    })
    await until(async () => (await fleet.strangler('unpin', 'catalog')).code === 0)
    expect(await fleet.findWrongSides(0)).toEqual([])
    await fleet.flip(50)
    expect(await fleet.findWrongSides(50)).toEqual([])
  })

  it('that is unreachable for one gateway is reported with its name and percentage, and fleet exits 3 until it recovers', async () => {
    const { fleet, fronts } = shared()
    await fleet.flip(94)
    await fronts[2]?.fail('down')
    const lagging = fleet.gateways[2] as FleetGateway
    try {
      const flipped = await fleet.strangler('flip', 'catalog', '10')
      expect(flipped.code, flipped.stdout).toBe(3)
      const { code, stdout } = await fleet.strangler('fleet')
      expect(code, stdout).toBe(3)
      expect(stdout).toMatch(new RegExp(`${lagging.id}.* still at 94 % instead of 10 % for catalog, from flags read`))
      const status = await fleet.strangler('status')
      expect(status.stdout).toMatch(new RegExp(`2 of 3 gateways converged; not ${lagging.id} \\(still at 94 %`))
      // The percentage of the asked gateway is not used: it may be the one that was cut off.
      expect((await lagging.strangler('fleet')).stdout).toMatch(new RegExp(`${lagging.id}.* still at 94 %`))
    } finally {
      await fronts[2]?.mend()
    }
    await fleet.converged()
    expect((await fleet.strangler('fleet')).code).toBe(0)
  })

  it('that accepts changes without publishing them makes a flip name the laggards, which catch up afterwards', async () => {
    const { fleet, fronts } = shared()
    await fleet.flip(0)
    await fleet.underLoad(async () => {
      const troubles: readonly Trouble[] = [401, 'garbage', 'slow']
      await Promise.all(fronts.map((front, index) => front.fail(troubles[index] as Trouble, /^\/api\/client/)))
      const { code, stdout } = await fleet.strangler('flip', 'catalog', '100')
      expect(code, stdout).toBe(3)
      expect(stdout).toContain('applied on 0 of 3 gateways only')
      for (const { id, url } of fleet.gateways) expect(stdout).toContain(`${id} at ${url}: still at 0 %`)
      expect(await fleet.findWrongSides(0)).toEqual([])
      expect(await flagsOf(fleet.gateways[0] as FleetGateway)).toMatchObject({ stale: false, refused: true })
      await allMend()
      await until(async () => (await fleet.findWrongSides(100)).length === 0)
      await until(async () => !(await flagsOf(fleet.gateways[0] as FleetGateway)).refused, 20_000)
    })
  })

  it('from which the flag was removed sends all clients to legacy, counts the failures, and a flip creates the flag again', async () => {
    const { fleet } = shared()
    await fleet.flip(100)
    await fleet.underLoad(async () => {
      await unleash().deleteFlag(FLAG)
      // Any flip reads all flags again.
      const { status } = await (fleet.gateways[0] as FleetGateway).api('PUT', '/contexts/orders/flag', {
        body: { percentage: 7 },
      })
      expect(status).toBe(200)
      await until(async () => (await fleet.findWrongSides(0)).length === 0)
    })
    for (const { metric } of fleet.gateways)
      expect(await metric('strangler_flag_missing_total{context="catalog"}')).toBeGreaterThan(0)
    // An entry during a flip would be a conflict.
    await until(async () =>
      (await fleet.history()).some(({ verb, after: percentage }) => verb === 'outside' && percentage === null),
    )
    await fleet.flip(30)
    expect(await fleet.findWrongSides(30)).toEqual([])
  })

  it('that goes away together with Redis under load fails no request, the kill switch works, and the state returns with them', async () => {
    const { fleet, redis } = shared()
    await fleet.flip(100)
    const earlierEntries = await fleet.history()
    const [first, second, third] = fleet.gateways as [FleetGateway, FleetGateway, FleetGateway]
    await fleet.underLoad(async () => {
      await Promise.all([redis.kill(), allFail('slow')])
      const { code, stdout } = await first.strangler('kill', '--reason', 'everything is on fire')
      expect(code, stdout).toBe(3)
      for (const { signal } of [second, third]) signal('SIGUSR2')
      await until(async () => (await fleet.findWrongSides(0)).length === 0)
      await Promise.all([redis.restart(), allMend()])
      await fleet.converged()
      expect(await fleet.findWrongSides(0)).toEqual([])
      for (const { strangler } of fleet.gateways) expect((await strangler('revive')).code).toBe(0)
      await until(async () => (await fleet.findWrongSides(100)).length === 0)
    })
    const records = await fleet.history()
    expect(earlierEntries.filter(({ position }) => !records.some((record) => record.position === position))).toEqual([])
    const killed = records.filter(({ verb, result }) => verb === 'kill' && result === 'done')
    expect(killed.map(({ gateway }) => gateway).toSorted()).toEqual([first.id, second.id, third.id].toSorted())
  })
})
