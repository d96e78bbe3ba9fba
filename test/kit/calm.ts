// What every fault leaves behind: nothing.
import { expect } from 'vitest'
import { until } from './until.ts'

type Watched = { readonly metric: (sample: string) => Promise<number> }

/** No bug was met, nothing is under way any more. In a test's own process vitest itself fails on what was not caught. */
export async function expectCalm(gateway: Watched): Promise<void> {
  await until(async () => (await gateway.metric('strangler_requests_in_flight')) === 0)
  expect(await gateway.metric('strangler_bugs_total')).toBe(0)
}

/** A clock that goes as time does, and can be put forward. */
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
