import { expect, test } from 'vitest'
import { CpuAllowance, shareOfOnlyProcessor } from './cpu-allowance.ts'

/** Starts as many comparisons as allowed, a hundred times per second, and reports their cost every quarter of a second. */
function comparisonsIn(seconds: number, share: number, costMs: number): number {
  const allowance = new CpuAllowance(() => share)
  let begun = 0
  let untold = 0
  for (let now = 0; now < seconds * 1000; now += 10) {
    for (let i = 0; i < 100 && allowance.mayStart(now); i++) {
      allowance.reserve()
      begun++
      untold++
    }
    if (now % 250 === 0) {
      allowance.settle(untold * costMs, untold)
      untold = 0
    }
  }
  return begun
}

test.each([
  [0.1, 0.15],
  [0.1, 5],
  [0.5, 0.15],
  [1, 0.4],
])('with a share of %d, comparisons of %d ms use exactly that share', (share, costMs) => {
  const seconds = 100
  const spentMs = comparisonsIn(seconds, share, costMs) * costMs
  expect(spentMs).toBeLessThan((seconds + 2) * 1000 * share)
  expect(spentMs).toBeGreaterThan((seconds - 5) * 1000 * share)
})

test('after a rest a small burst is allowed', () => {
  const allowance = new CpuAllowance(() => 0.1)
  expect(allowance.mayStart(0)).toBe(true)
  allowance.settle(10, 0)
  expect(allowance.mayStart(0)).toBe(false)
  expect(allowance.mayStart(10)).toBe(true)
  allowance.settle(10, 0)
  expect(allowance.mayStart(50)).toBe(false)
  // After an hour the balance is still only the share of a tenth of a second.
  expect(allowance.mayStart(3_600_000)).toBe(true)
  allowance.settle(10, 0)
  expect(allowance.mayStart(3_600_000)).toBe(false)
})

test('after a very expensive comparison the next one starts within half a minute, or earlier with a larger share', () => {
  let share = 0.003
  const allowance = new CpuAllowance(() => share)
  expect(allowance.mayStart(0)).toBe(true)
  allowance.settle(5000, 1)
  expect(allowance.mayStart(0)).toBe(false)
  expect(allowance.mayStart(29_900)).toBe(false)
  expect(allowance.mayStart(30_100)).toBe(true)
  allowance.settle(5000, 1)
  expect(allowance.mayStart(30_100)).toBe(false)
  share = 0.5
  expect(allowance.mayStart(30_500)).toBe(true)
})

test.each([
  [0.5, 0, 0.5],
  [0.5, 0.25, 0.125],
  [0.5, 0.45, 0.005],
  [0.5, 0.5, 0.0015],
  [0.5, 1, 0.0015],
  [1, 0.25, 0.25],
  [0.001, 1, 0.001],
])('with a limit of %d and a utilization of %d, comparing may use %d of the only processor', (most, busy, share) => {
  expect(shareOfOnlyProcessor(most, busy)).toBeCloseTo(share, 10)
})
