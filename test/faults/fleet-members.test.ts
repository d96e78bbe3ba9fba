// The members of a fleet, after Redis has lost its data and after a gateway was restarted.
import { expect, it } from 'vitest'
import type { FleetResponse } from '../../src/admin/contract/fleet-response.ts'
import { type FleetGateway, startFleet } from '../kit/fleet.ts'
import { startRedis } from '../kit/redis.ts'
import { until } from '../kit/until.ts'

it('a gateway that died before Redis lost its data is a laggard until it is forgotten or returns with the same id', async () => {
  const redis = await startRedis()
  const fleet = await startFleet({ redis: redis.url })
  const [first, , third] = fleet.gateways as [FleetGateway, FleetGateway, FleetGateway]
  const alive = await first.strangler('fleet', 'forget', third.id)
  expect(alive.code).toBe(1)
  expect(alive.stderr).toContain('reports: stop it first')

  third.signal('SIGKILL')
  await third.exited
  await redis.flush()
  await until(async () => (await first.strangler('fleet')).code === 3)
  const flipped = await first.strangler('flip', 'catalog', '20')
  expect(flipped.code, flipped.stdout).toBe(3)
  expect(flipped.stdout).toContain(`${third.id} at ${third.url}: silent for`)

  const back = await fleet.join({ stateOf: third })
  expect(back.id).toBe(third.id)
  const members = async () => (await first.api<FleetResponse>('GET', '/fleet')).body.members.map(({ id }) => id)
  expect((await members()).toSorted()).toEqual(
    fleet.gateways
      .slice(0, 3)
      .map(({ id }) => id)
      .toSorted(),
  )
  await until(async () => (await first.strangler('fleet')).code === 0)

  back.signal('SIGKILL')
  await back.exited
  await redis.flush()
  await until(async () => (await first.strangler('fleet')).code === 3)
  const forgotten = await first.strangler('fleet', 'forget', third.id, '--reason', 'the host is gone')
  expect(forgotten.code, forgotten.stderr).toBe(0)
  expect(forgotten.stdout).toContain(`${third.id} is forgotten`)
  expect((await first.strangler('fleet')).code).toBe(0)
  expect((await fleet.history())[0]).toMatchObject({ verb: 'forget', before: third.id, reason: 'the host is gone' })
})
