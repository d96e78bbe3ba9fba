import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { RetryBudget } from './retry-budget.ts'

const NONE = { budgetPercent: 0, minimumPerSecond: 0 }
const SAVED_AT_FIRST = 10

function spendAll(budget: RetryBudget, policy: typeof NONE, now: number): number {
  let spent = 0
  while (budget.spend(policy, now)) spent++
  return spent
}

describe('the retry budget', () => {
  it('allows one burst at the start, and no more', () => {
    expect(spendAll(new RetryBudget(0), NONE, 0)).toBe(SAVED_AT_FIRST)
    expect(spendAll(new RetryBudget(0), NONE, 3_600_000)).toBe(SAVED_AT_FIRST)
  })

  it('earns its percentage of the requests', () => {
    const budget = new RetryBudget(0)
    const policy = { budgetPercent: 20, minimumPerSecond: 0 }
    spendAll(budget, policy, 0)
    for (let i = 0; i < 26; i++) budget.earn(policy)
    expect(spendAll(budget, policy, 0)).toBe(5)
  })

  it('allows the configured minimum per second without any traffic', () => {
    const budget = new RetryBudget(0)
    const policy = { budgetPercent: 0, minimumPerSecond: 3 }
    spendAll(budget, policy, 0)
    expect(spendAll(budget, policy, 1000)).toBe(3)
    expect(spendAll(budget, policy, 1200)).toBe(0)
    expect(spendAll(budget, policy, 2000)).toBe(3)
  })

  it('saves at most ten retries, even after a long quiet time', () => {
    const budget = new RetryBudget(0)
    const policy = { budgetPercent: 100, minimumPerSecond: 100 }
    for (let i = 0; i < 1000; i++) budget.earn(policy)
    expect(spendAll(budget, policy, 60_000)).toBe(SAVED_AT_FIRST)
  })

  it('is never exceeded in any order of requests, retries and elapsed time', () => {
    const step = fc.oneof(fc.constant('request'), fc.constant('retry'), fc.integer({ min: 1, max: 500 }))
    fc.assert(
      fc.property(fc.array(step, { maxLength: 300 }), fc.integer({ min: 0, max: 100 }), (steps, budgetPercent) => {
        const policy = { budgetPercent, minimumPerSecond: 3 }
        const budget = new RetryBudget(0)
        let [now, requests, retries] = [0, 0, 0]
        for (const step of steps) {
          if (typeof step === 'number') {
            now += step
          } else if (step === 'request') {
            budget.earn(policy)
            requests++
          } else if (budget.spend(policy, now)) {
            retries++
          }
        }
        const allowed = SAVED_AT_FIRST + (requests * budgetPercent) / 100 + (now / 1000) * 3
        expect(retries).toBeLessThanOrEqual(allowed + 1e-6)
      }),
    )
  })
})
