// A rolling upgrade: the previous package beside this version, with one Redis, one state folder, one map.
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { type FleetGateway, listFailures, sideAt, startFleet } from '../kit/fleet.ts'
import { whenOver } from '../kit/lifetime.ts'
import { previousStrangler } from '../kit/previous.ts'
import { runStrangler, STRANGLER } from '../kit/process.ts'
import { startRedis } from '../kit/redis.ts'
import { until } from '../kit/until.ts'

const previous = previousStrangler()

/** A previous gateway, a current one and a second previous one over one Redis. */
async function mixedFleet() {
  const redis = await startRedis()
  const fleet = await startFleet({ redis: redis.url, command: (index) => (index === 1 ? STRANGLER : previous) })
  const [old, current] = fleet.gateways as unknown as readonly [FleetGateway, FleetGateway]
  return { redis, fleet, old, current }
}

describe('a fleet of the previous version and this one over one Redis', () => {
  it('confirms every change on all gateways, whichever version makes it', async () => {
    const { fleet, old, current } = await mixedFleet()
    for (const [gateway, percentage] of [
      [current, 30],
      [old, 60],
      [current, 0],
      [old, 25],
    ] as const) {
      const { code, stdout, stderr } = await gateway.strangler('flip', 'catalog', String(percentage))
      expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
      expect(stdout).toContain('applied on 3 of 3 gateways')
      expect(await fleet.findWrongSides(percentage)).toEqual([])
    }
    const everything = [
      ['freeze', 'orders'],
      ['thaw', 'orders'],
      ['pin', 'catalog', 'service', '--for', '1h'],
      ['unpin', 'catalog'],
      ['rollback', 'catalog'],
      ['unpin', 'catalog'],
      ['shadow', 'catalog', '10'],
      ['shadow', 'catalog', '0'],
      ['kill'],
      ['revive'],
    ]
    for (const [number, args] of everything.entries()) {
      const gateway = number % 2 === 0 ? current : old
      const { code, stdout, stderr } = await gateway.strangler(...args, '--reason', `step ${number}`)
      expect({ args, code, stdout, stderr }).toEqual({
        args,
        code: 0,
        stdout: expect.stringContaining('applied on 3 of 3 gateways'),
        stderr: '',
      })
    }
    await fleet.converged()
  })

  it('has one audit log and one status, whichever version answers', async () => {
    const { old, current } = await mixedFleet()
    await current.strangler('flip', 'catalog', '40', '--reason', 'from this version')
    await old.strangler('pin', 'orders', 'legacy', '--for', '1h', '--reason', 'from the previous version')
    for (const gateway of [old, current]) {
      const history = await gateway.strangler('history')
      expect(history).toMatchObject({ code: 0, stderr: '' })
      expect(history.stdout).toContain('from this version')
      expect(history.stdout).toContain('from the previous version')
      const status = await gateway.strangler('status')
      expect(status).toMatchObject({ code: 0 })
      expect(status.stdout).toMatch(/catalog.*40 %/)
      const members = await gateway.strangler('fleet')
      expect(members).toMatchObject({ code: 0 })
    }
    expect(await current.strangler('history', '--verify')).toMatchObject({ code: 0 })
  })

  it('is upgraded gateway by gateway under load without a failed request, and no person changes sides', async () => {
    const redis = await startRedis()
    const fleet = await startFleet({ gateways: 2, redis: redis.url, percentage: 50, command: () => previous })
    const [first, second] = fleet.gateways as unknown as readonly [FleetGateway, FleetGateway]
    const load = fleet.startLoad({ among: [second] })
    await load.untilVisits()
    first.signal('SIGTERM')
    await first.exited
    const upgraded = await fleet.join({ stateOf: first, command: STRANGLER })
    await load.untilVisits()
    const visits = await load.stop()
    expect(listFailures(visits)).toEqual([])
    expect(visits.filter(({ side, person }) => side !== sideAt(50, person))).toEqual([])
    expect(await fleet.findWrongSides(50, [upgraded, second])).toEqual([])
    const moreLoad = fleet.startLoad({ among: [upgraded] })
    await moreLoad.untilVisits()
    second.signal('SIGTERM')
    await second.exited
    const other = await fleet.join({ stateOf: second, command: STRANGLER })
    await moreLoad.untilVisits()
    const later = await moreLoad.stop()
    expect(listFailures(later)).toEqual([])
    expect(later.filter(({ side, person }) => side !== sideAt(50, person))).toEqual([])
    expect(await fleet.findWrongSides(50, [upgraded, other])).toEqual([])
    const { stdout } = await other.strangler('flip', 'catalog', '75')
    expect(stdout).toContain('applied on 2 of 2 gateways')
  })
})

describe('a state folder of the previous version', () => {
  it('is continued by this version: percentages, pins, the kill switch and the audit log', async () => {
    const fleet = await startFleet({ gateways: 1, command: () => previous })
    const [old] = fleet.gateways as unknown as readonly [FleetGateway]
    await old.strangler('flip', 'catalog', '35', '--reason', 'before the upgrade')
    await old.strangler('pin', 'orders', 'service', '--for', '1h', '--reason', 'a pin before the upgrade')
    old.signal('SIGTERM')
    await old.exited
    const current = await fleet.join({ stateOf: old, command: STRANGLER })
    expect(await fleet.findWrongSides(35, [current])).toEqual([])
    const status = await current.strangler('status')
    expect(status.stdout).toMatch(/orders .* service until/)
    const history = await current.strangler('history')
    expect(history.stdout).toContain('before the upgrade')
    expect((await current.strangler('flip', 'catalog', '45')).code).toBe(0)
    expect(await current.strangler('history', '--verify')).toMatchObject({ code: 0 })
  })

  it('can be used by the previous version again, which reads the state that this version has written', async () => {
    const fleet = await startFleet({ gateways: 1, command: () => STRANGLER })
    const [current] = fleet.gateways as unknown as readonly [FleetGateway]
    await current.strangler('flip', 'catalog', '55', '--reason', 'after the upgrade')
    current.signal('SIGTERM')
    await current.exited
    const old = await fleet.join({ stateOf: current, command: previous })
    expect(await fleet.findWrongSides(55, [old])).toEqual([])
    expect((await old.strangler('history')).stdout).toContain('after the upgrade')
  })
})

describe('a map of the previous version', () => {
  const MAP = {
    legacy: { url: 'http://127.0.0.1:3000' },
    services: { catalog: { url: 'http://127.0.0.1:3001', health: '/healthz' } },
    contexts: {
      catalog: {
        owner: 'team-catalog',
        service: 'catalog',
        flag: 'migrate-catalog',
        fallback: true,
        routes: ['GET /products', '/api/catalog/*'],
      },
    },
    trustedProxies: ['127.0.0.1'],
    identity: { session: { cookie: 'sid' }, user: { header: 'x-user-id', trust: ['127.0.0.1'] } },
  }

  it('is accepted by check, which lists options with a new meaning', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'strangler-map-'))
    whenOver(() => rm(folder, { recursive: true, force: true }))
    await writeFile(join(folder, 'routes.config.json'), JSON.stringify(MAP))
    const args = ['check', '--config', 'routes.config.json']
    expect(await runStrangler(args, { cwd: folder, command: previous })).toMatchObject({ code: 0 })
    const { code, stdout, stderr } = await runStrangler(args, { cwd: folder })
    expect(code).toBe(0)
    expect(`${stdout}${stderr}`).toContain('fallback')
  })
})

it('a gateway of the previous version restores its state to an empty Redis beside this version', async () => {
  const { redis, fleet, current } = await mixedFleet()
  await current.strangler('flip', 'catalog', '65')
  await redis.flush()
  await until(async () => (await fleet.findWrongSides(65)).length === 0)
  await until(async () => (await current.strangler('status')).stdout.includes('65 %'))
})
