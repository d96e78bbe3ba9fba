// Checks that a fault has no lasting effects on a gateway.
import { expect } from 'vitest'
import { until } from './until.ts'

type Watched = { readonly metric: (sample: string) => Promise<number> }

/** Expects that no bug was reported and no request is in flight. Vitest itself fails on uncaught errors in the process of the test. */
export async function expectCalm(gateway: Watched): Promise<void> {
  await until(async () => (await gateway.metric('strangler_requests_in_flight')) === 0)
  expect(await gateway.metric('strangler_bugs_total')).toBe(0)
}

/** A clock that follows real time and can be advanced. */
export function adjustableClock() {
  let aheadMs = 0
  return {
    now: () => performance.now() + aheadMs,
    wallTime: () => Date.now() + aheadMs,
    advance: (ms: number) => {
      aheadMs += ms
    },
  }
}
