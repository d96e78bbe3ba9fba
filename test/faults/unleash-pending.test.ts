// A rollback while Unleash is unreachable: its 0 % is written when Unleash is back, and never over a later change.
import { describe, expect, it } from 'vitest'
import { FLAG, type FleetGateway, startFleet } from '../kit/fleet.ts'
import { startFront } from '../kit/front.ts'
import { sharedByFile } from '../kit/lifetime.ts'
import { startRedis } from '../kit/redis.ts'
import { startUnleash } from '../kit/unleash.ts'
import { until } from '../kit/until.ts'

const shared = sharedByFile(async () => {
  const [redis, unleash] = [await startRedis(), await startUnleash({ flags: { [FLAG]: 40 } })]
  const front = await startFront(unleash.url)
  const fleet = await startFleet({ gateways: 2, redis: redis.url, unleash: { ...unleash, apiUrl: front.apiUrl } })
  return { unleash, front, fleet }
})

/** Longer than the interval between two attempts plus the limit of one attempt. */
const TRIES_MS = 12_000

async function rollbackWhileFrozen(): Promise<void> {
  const { unleash, fleet } = shared()
  await fleet.flip(40)
  unleash.freeze()
  const { code, stdout } = await fleet.strangler('rollback', 'catalog', '--reason', 'orders are lost')
  expect(code, stdout).toBe(0)
  expect(stdout).toContain('its flag is not at 0 yet')
}

const trueFor = (ms: number, check: () => Promise<void>) => {
  const end = performance.now() + ms
  return until(async () => {
    await check()
    return performance.now() > end
  }, ms + 10_000)
}

const records = async () => (await shared().fleet.history()).map(({ detail }) => detail ?? '')

describe('a rollback while Unleash is frozen', () => {
  it('does not write a percentage later that an unpin has dropped', async () => {
    const { unleash, fleet } = shared()
    await rollbackWhileFrozen()
    const second = fleet.gateways[1] as FleetGateway
    const unpinned = await second.strangler('unpin', 'catalog')
    expect(unpinned.code, unpinned.stderr).toBe(0)
    unleash.thaw()
    await trueFor(TRIES_MS, async () => expect(await unleash.clientRollouts(FLAG)).toEqual(['40']))
    expect(await records()).toContain(
      `the pending write of 0 % to flag "${FLAG}" in Unleash is dropped: unpin by anna came after the rollback`,
    )
    await fleet.converged()
    expect(await fleet.findWrongSides(40)).toEqual([])
  })

  it('does not overwrite a percentage that an operator has set in Unleash since', async () => {
    const { unleash, front, fleet } = shared()
    await rollbackWhileFrozen()
    // The gateways reach Unleash after the operator.
    await front.fail('down')
    unleash.thaw()
    await unleash.setRollout(FLAG, 55)
    await front.mend()
    await until(
      async () => (await records()).some((detail) => detail.includes('for the rollback by anna is dropped')),
      30_000,
    )
    await trueFor(TRIES_MS, async () => expect(await unleash.clientRollouts(FLAG)).toEqual(['55']))
    expect(await fleet.findWrongSides(0)).toEqual([])
    await fleet.strangler('unpin', 'catalog')
    await fleet.converged()
    expect(await fleet.findWrongSides(55)).toEqual([])
  })
})
