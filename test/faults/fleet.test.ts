// A fleet that shares Redis, with faults of Redis, of the network, of a clock and of a gateway (F13, F14): clients notice
// nothing, the gateways converge, and no acknowledged change is lost.
import { rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import type { ChangeResponse } from '../../src/admin/contract/change-requests.ts'
import type { FleetResponse } from '../../src/admin/contract/fleet-response.ts'
import { type FleetGateway, listHarm, listWrongSides, startFleet } from '../kit/fleet.ts'
import { sharedByFile } from '../kit/lifetime.ts'
import { startRedis } from '../kit/redis.ts'
import { until } from '../kit/until.ts'
import { startWire } from '../kit/wire.ts'

const HOUR_MS = 3_600_000
const AN_HOUR_AHEAD = `const Real=Date;globalThis.Date=class extends Real{constructor(...a){if(a.length>0)super(...a);else super(Real.now()+${HOUR_MS})}static now(){return Real.now()+${HOUR_MS}}}`

/** The clock of the second gateway is an hour ahead; the third reaches Redis by a proxy that can be cut. */
const shared = sharedByFile(async () => {
  const redis = await startRedis()
  const wire = await startWire(redis.port)
  const fleet = await startFleet({
    redis: (index) => (index === 2 ? `redis://127.0.0.1:${wire.port}` : redis.url),
    env: (index) =>
      index === 1 ? { NODE_OPTIONS: `--import data:text/javascript,${encodeURIComponent(AN_HOUR_AHEAD)}` } : {},
  })
  return { redis, wire, fleet }
})

type Three = readonly [FleetGateway, FleetGateway, FleetGateway]
const three = () => shared().fleet.gateways as unknown as Three

async function isConnected({ readiness }: FleetGateway): Promise<boolean> {
  return ((await readiness()).store as { connected: boolean }).connected
}

async function allConnected(are: boolean): Promise<void> {
  await until(async () => (await Promise.all(three().map(isConnected))).every((is) => is === are))
}

/** Expects that the audit log still contains every earlier entry. */
async function expectOnRecord(earlierEntries: readonly { readonly position: string }[]): Promise<void> {
  const positions = new Map((await shared().fleet.history()).map((record) => [record.position, record]))
  expect(earlierEntries.filter((record) => !positions.has(record.position))).toEqual([])
}

describe('Redis of a fleet', () => {
  it('that is killed under load and returns empty costs no client request and no state', async () => {
    const { redis, fleet } = shared()
    await fleet.flip(30)
    const earlierEntries = await fleet.history()
    await fleet.underLoad(async () => {
      await redis.kill()
      await allConnected(false)
      const { code, stderr } = await fleet.strangler('flip', 'catalog', '60')
      expect({ code, stderr }).toEqual({ code: 5, stderr: expect.stringContaining('cannot be reached') })
      expect(await fleet.findWrongSides(30)).toEqual([])
      await redis.restart()
      const backAt = performance.now()
      await allConnected(true)
      expect(performance.now() - backAt).toBeLessThan(5000)
      await fleet.converged()
      expect(await fleet.findWrongSides(30)).toEqual([])
      await fleet.flip(60)
      expect(await fleet.findWrongSides(60)).toEqual([])
    })
    await expectOnRecord(earlierEntries)
    await until(async () => (await fleet.history()).some(({ verb, result }) => verb === 'flip' && result === 'failed'))
    const records = await fleet.history()
    expect(records.filter(({ verb }) => verb === 'restore').length).toBeGreaterThan(0)
    expect(records.filter(({ verb, after: percentage }) => verb === 'flip' && percentage === 60)).toMatchObject([
      { result: 'done' },
    ])
  })

  it('that is frozen under load delays no client request, and a refused change does not happen later', async () => {
    const { redis, fleet } = shared()
    await fleet.flip(30)
    await fleet.underLoad(async () => {
      redis.freeze()
      try {
        const { code, stderr } = await fleet.strangler('flip', 'catalog', '60')
        expect({ code, stderr }).toEqual({ code: 5, stderr: expect.stringContaining('cannot be reached') })
        await allConnected(false)
        expect(await fleet.findWrongSides(30)).toEqual([])
      } finally {
        redis.thaw()
      }
      await allConnected(true)
      await fleet.converged()
      expect(await fleet.findWrongSides(30)).toEqual([])
    })
    await fleet.flip(60)
    expect(await fleet.findWrongSides(60)).toEqual([])
  })

  it('that is emptied during flips loses no acknowledged flip from the audit log, and the last flip is in effect', async () => {
    const { redis, fleet } = shared()
    await fleet.flip(0)
    const earlierEntries = await fleet.history()
    const acknowledged: ChangeResponse[] = []
    await fleet.underLoad(async () => {
      for (const percentage of [10, 20, 30, 40, 50, 60]) {
        const [flipped] = await Promise.all([fleet.flip(percentage), percentage === 30 ? redis.flush() : undefined])
        acknowledged.push(flipped)
      }
      await redis.flush()
      await until(async () => (await redis.cli('HGET', '{strangler}:state', 'generation')) !== '')
      await fleet.converged()
      expect(await fleet.findWrongSides(60)).toEqual([])
    })
    await expectOnRecord(earlierEntries)
    const records = await fleet.history()
    for (const { generation, after: percentage } of acknowledged)
      expect(records.filter((record) => record.generation === generation)).toMatchObject([
        { verb: 'flip', after: percentage },
      ])
    await fleet.flip(70)
    expect(await fleet.findWrongSides(70)).toEqual([])
  })
})

describe('one of three gateways', () => {
  it('that is cut off from Redis keeps its state, is reported by name, and recovers by itself', async () => {
    const { wire, fleet } = shared()
    const [first, second, third] = three()
    await fleet.flip(0)
    await fleet.underLoad(async () => {
      wire.hang()
      try {
        await until(async () => !(await isConnected(third)))
        const { code, stdout } = await fleet.strangler('flip', 'catalog', '100')
        expect(code, stdout).toBe(3)
        expect(stdout).toContain('applied on 2 of 3 gateways only')
        expect(stdout).toMatch(new RegExp(`${third.id} at ${third.url}: (silent for|still at)`))
        expect(await fleet.findWrongSides(100, [first, second])).toEqual([])
        expect(await fleet.findWrongSides(0, [third])).toEqual([])
        const seen = await fleet.strangler('fleet')
        expect(seen.code).toBe(3)
        expect(seen.stdout).toMatch(new RegExp(`${third.id}.*silent for`))
        expect(await third.readiness()).toMatchObject({
          status: 'ready',
          store: { kind: 'redis', connected: false, cutOffSeconds: expect.any(Number) },
        })
      } finally {
        wire.heal()
      }
      await fleet.converged()
      expect(await isConnected(third)).toBe(true)
      expect(await fleet.findWrongSides(100)).toEqual([])
    })
    expect((await fleet.strangler('fleet')).code).toBe(0)
  })

  it('with its clock an hour ahead ends a pin at the same time as the others, whichever gateway set it', async () => {
    const { fleet } = shared()
    await fleet.flip(0)
    const [first, second] = three()
    const { members } = (await second.api<FleetResponse>('GET', '/fleet')).body
    expect(members.find(({ id }) => id === second.id)?.startedAt).toBeGreaterThan(Date.now() + HOUR_MS / 2)
    for (const gateway of [first, second]) {
      const load = fleet.startLoad()
      const request = { body: { side: 'service', forMs: 1500 } }
      const pinnedAt = Date.now()
      const { status, body } = await gateway.api('PUT', '/contexts/catalog/pin', request)
      expect({ status, converged: body.converged }).toEqual({ status: 200, converged: true })
      const saidAt = performance.now()
      // On the clock of Redis, which is that of this machine.
      expect(Math.abs((body.until as number) - pinnedAt - 1500)).toBeLessThan(500)
      const endsAt = performance.now() + (body.until as number) - Date.now()
      await until(() => load.visits.some(({ startedAt }) => startedAt > endsAt + 300))
      const visits = await load.stop()
      const pinned = visits.filter(({ startedAt, tookMs }) => startedAt + tookMs < endsAt - 50)
      expect(listWrongSides(pinned, saidAt, () => 'service')).toEqual([])
      expect(listWrongSides(visits, endsAt + 100, () => 'legacy')).toEqual([])
      expect(listHarm(visits, saidAt).filter((harm) => !harm.startsWith('too few'))).toEqual([])
    }
    // The audit log uses one clock too.
    for (const { at: time } of (await fleet.history()).slice(0, 5))
      expect(Math.abs(time - Date.now())).toBeLessThan(60_000)
  })
})

describe('two concurrent changes', () => {
  it('of one context end with one change in effect on all gateways and one conflict that names the winner', async () => {
    const { fleet } = shared()
    const [first, second] = three()
    await fleet.flip(0)
    const from = (await fleet.history())[0]?.position ?? ''
    const done: number[] = []
    let lost = 0
    // A change after the response to the other is not concurrent, so the test repeats until both run at once.
    for (let round = 1; lost === 0 && round <= 40; round++) {
      const rivals = [
        { gateway: first, as: 'anna', percentage: 2 * round - 1 },
        { gateway: second, as: 'bob', percentage: 2 * round },
      ]
      const answers = await Promise.all(
        rivals.map(({ gateway, as, percentage }) =>
          gateway.api('PUT', '/contexts/catalog/flag', { as, body: { percentage } }),
        ),
      )
      for (const [index, { status, body }] of answers.entries()) {
        const [own, other] = [rivals[index] as (typeof rivals)[0], rivals[1 - index] as (typeof rivals)[0]]
        if (status === 200) done.push(own.percentage)
        else {
          lost++
          expect({ status, body }).toMatchObject({
            status: 409,
            body: { code: 'conflict', detail: expect.stringContaining(`flip by ${other.as}`) },
          })
        }
      }
    }
    expect(lost).toBe(1)
    await fleet.converged()
    const records = (await fleet.history()).filter(({ position, verb }) => position > from && verb === 'flip')
    const flips = records.filter(({ result }) => result === 'done')
    expect(flips.map(({ after: percentage }) => percentage).toSorted()).toEqual(done.toSorted())
    expect(records.filter(({ result }) => result === 'conflict')).toHaveLength(1)
    expect(await fleet.findWrongSides(flips[0]?.after as number)).toEqual([])
  })

  it('of two contexts both take effect', async () => {
    const [first, second] = three()
    for (const percentage of [11, 12, 13]) {
      const answers = await Promise.all([
        first.api('PUT', '/contexts/catalog/flag', { as: 'anna', body: { percentage } }),
        second.api('PUT', '/contexts/orders/flag', { as: 'bob', body: { percentage } }),
      ])
      expect(answers.map(({ status, body }) => [status, body.converged])).toEqual([
        [200, true],
        [200, true],
      ])
    }
  })
})

describe('killing all contexts while Redis is gone', () => {
  it('works by file, by signal and by command, each on its gateway, and is in the audit log when Redis is back', async () => {
    const { redis, fleet } = shared()
    const [first, second, third] = three()
    await fleet.flip(100)
    const from = (await fleet.history())[0]?.position ?? ''
    await fleet.underLoad(async () => {
      await redis.kill()
      await allConnected(false)
      await writeFile(join(first.folder, 'state', 'kill.all'), '')
      second.signal('SIGUSR2')
      const { code, stdout } = await third.strangler('kill', '--reason', 'everything is on fire')
      expect(code, stdout).toBe(3)
      expect(stdout).toContain('on this gateway (')
      expect(stdout).toContain('The other gateways are unchanged')
      await until(async () => (await fleet.findWrongSides(0)).length === 0)
      await redis.restart()
      await allConnected(true)
      expect(await fleet.findWrongSides(0)).toEqual([])
    })
    const killed = async () =>
      (await fleet.history()).filter(({ position, verb }) => position > from && verb === 'kill')
    await until(async () => (await killed()).length >= 4)
    const actors = (await killed()).map(({ actor, gateway, result }) => `${actor} on ${gateway}: ${result}`)
    expect(actors).toEqual(
      expect.arrayContaining([
        `kill file on ${first.id}: done`,
        `signal on ${second.id}: done`,
        expect.stringMatching(`on ${third.id}: done`),
        `anna on ${third.id}: failed`,
      ]),
    )
    await rm(join(first.folder, 'state', 'kill.all'))
    for (const gateway of [second, third]) expect((await gateway.strangler('revive')).code).toBe(0)
    await until(async () => (await fleet.findWrongSides(100)).length === 0)
  })
})

describe('a gateway killed in the middle of a flip', () => {
  it('leaves a flip that has either happened or not, and the other gateways agree', async () => {
    const { fleet } = shared()
    const [first, second, third] = three()
    await fleet.flip(0)
    const from = (await fleet.history())[0]?.position ?? ''
    const flips = async () => (await fleet.history()).filter(({ position, verb }) => position > from && verb === 'flip')
    await fleet.underLoad(
      async () => {
        // Kills the gateway that runs the flip while it waits for another.
        second.signal('SIGSTOP')
        const command = third.strangler('flip', 'catalog', '100')
        await until(async () => (await first.sideOf('anybody')) === 'service')
        third.signal('SIGKILL')
        const { code, stderr } = await command
        expect(code, stderr).toBe(5)
        // The command retries and gets a cut connection or a refused one.
        expect(stderr).toMatch(/the change may have been made: check strangler history/)
        second.signal('SIGCONT')
        await until(async () => (await fleet.findWrongSides(100, [second])).length === 0)
        expect(await fleet.findWrongSides(100, [first, second])).toEqual([])
        expect(await flips()).toMatchObject([{ verb: 'flip', after: 100, result: 'done', gateway: third.id }])
        // Kills a gateway for which the flip waits.
        second.signal('SIGSTOP')
        const waiting = first.strangler('flip', 'catalog', '0')
        await until(async () => (await first.sideOf('anybody')) === 'legacy')
        second.signal('SIGKILL')
        const waited = await waiting
        expect(waited.code, waited.stdout).toBe(3)
        expect(waited.stdout).toContain('applied on 1 of 3 gateways only')
        for (const { id, url } of [second, third]) expect(waited.stdout).toContain(`${id} at ${url}: `)
        // A gateway started in its place has the flip from its first request.
        const next = await fleet.join()
        expect(await fleet.findWrongSides(0, [first, next])).toEqual([])
      },
      { among: [first] },
    )
  })
})
