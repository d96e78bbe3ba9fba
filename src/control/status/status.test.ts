// The upstreams and the rejected files in the status, and flags that match some users only.
import { expect, test } from 'vitest'
import { until } from '../../../test/kit/until.ts'
import { gradualRollout } from '../flags/percentage.ts'
import { testFleet } from '../gateway-control.test-kit.ts'

test('status has the unavailable addresses of a context and of legacy, by the clock of the fleet', async () => {
  const { start, clock } = await testFleet()
  const { control, upstreams } = await start()
  const outage = { address: 'http://10.0.0.1:3000', why: 'connect-refused', forMs: 5000, endsInMs: 25_000 }
  upstreams.push({ name: 'legacy', side: 'legacy', addresses: 1, unavailable: [] })
  const service = (await control.context('orders'))?.service ?? ''
  const unhealthy = { ...outage, address: 'http://10.0.0.2:3000', endsInMs: null }
  upstreams.push({ name: service, side: 'service', addresses: 3, unavailable: [outage, unhealthy] })
  const { legacy, contexts } = await control.status()
  expect(legacy).toEqual({ addresses: 1, available: 1, unavailable: [] })
  const now = clock.wallTime()
  expect(contexts.find(({ name }) => name === 'orders')?.upstream).toEqual({
    addresses: 3,
    available: 1,
    unavailable: [
      { address: outage.address, why: 'connect-refused', since: now - 5000, until: now + 25_000 },
      { address: unhealthy.address, why: 'connect-refused', since: now - 5000, until: null },
    ],
  })
})

test('status has the rejected files and the id of this gateway', async () => {
  const { start } = await testFleet()
  const { control, rejectedFiles } = await start({ id: 'gw-1' })
  const rejection = { file: 'map', path: 'routes.config.ts', since: 1, mistake: 'legacy: is missing' } as const
  rejectedFiles.push(rejection)
  expect(await control.status()).toMatchObject({ gateway: 'gw-1', rejectedFiles: [rejection] })
})

test('a context at 100 % of matching users is split', async () => {
  const { start, log } = await testFleet()
  const { control, store } = await start()
  const { flag } = (await control.context('orders')) ?? { flag: '' }
  const constraints = [{ contextName: 'userId', operator: 'IN', values: ['7'] }]
  const limited = { name: flag, enabled: true, strategies: [{ ...gradualRollout(flag, 100), constraints }] }
  const state = await store.read()
  const [seeded] = await log()
  if (seeded === undefined || state.flags === null) throw new Error('nothing was seeded')
  const { position: _, ...entry } = seeded
  const generation = state.generation + 1
  const features = state.flags.features.map((feature) => (feature.name === flag ? limited : feature))
  await store.commit({ ...state, generation, flags: { ...state.flags, features } }, { ...entry, generation })
  await until(() => control.generation() === generation)
  expect(await control.context('orders')).toMatchObject({ percentage: 100, isForMatching: true, serving: 'split' })
  expect(await control.context('catalog')).toMatchObject({ percentage: 10, isForMatching: false, serving: 'split' })
})
