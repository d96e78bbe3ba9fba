import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { alphaNow, greaterOddsP, hitsUntil, holm, wilson } from './statistics.ts'

describe('the Wilson interval', () => {
  // Newcombe 1998, table I, method 3 (score, without correction for continuity).
  test.each([
    [81, 263, 0.2553, 0.3662],
    [15, 148, 0.0624, 0.1605],
    [0, 20, 0, 0.1611],
    [1, 29, 0.0061, 0.1718],
  ])('has the published values for %d of %d', (hits, trials, lower, upper) => {
    const interval = wilson(hits, trials)
    expect(interval.lower).toBeCloseTo(lower, 4)
    expect(interval.upper).toBeCloseTo(upper, 4)
  })

  test('contains the share, stays within 0 and 1, and is symmetric', () => {
    fc.assert(
      fc.property(fc.nat({ max: 1e6 }), fc.nat({ max: 1e6 }), (hits, misses) => {
        fc.pre(hits + misses > 0)
        const { lower, upper } = wilson(hits, hits + misses)
        const share = hits / (hits + misses)
        expect(lower).toBeGreaterThanOrEqual(0)
        expect(lower).toBeLessThanOrEqual(share)
        expect(upper).toBeGreaterThanOrEqual(share)
        expect(upper).toBeLessThanOrEqual(1)
        expect(wilson(misses, hits + misses).lower).toBeCloseTo(1 - upper, 9)
      }),
    )
  })

  test('is 0 to 1 without trials', () => {
    expect(wilson(0, 0)).toEqual({ lower: 0, upper: 1 })
  })

  test('gives the number of further matches until 99.9 %', () => {
    // n / (n + z²) >= 0.999 where all match.
    expect(hitsUntil(0, 0, 0.999)).toBe(3838)
    expect(hitsUntil(3838, 3838, 0.999)).toBe(0)
    expect(hitsUntil(3000, 3000, 0.999)).toBe(838)
    expect(hitsUntil(999, 1000, 0.999)).toBeGreaterThan(3838)
    fc.assert(
      fc.property(fc.nat({ max: 10_000 }), fc.nat({ max: 50 }), (hits, misses) => {
        const more = hitsUntil(hits, hits + misses, 0.99)
        const lower = (n: number) => wilson(hits + n, hits + misses + n).lower
        expect(lower(more)).toBeGreaterThanOrEqual(0.99)
        if (more > 0) expect(lower(more - 1)).toBeLessThan(0.99)
      }),
    )
  })
})

describe('the exact test of two proportions', () => {
  test('has the p-value of Fisher’s tea experiment: three of four', () => {
    expect(greaterOddsP({ hits: 3, trials: 4 }, { hits: 1, trials: 4 })).toBeCloseTo(17 / 70, 12)
    expect(greaterOddsP({ hits: 4, trials: 4 }, { hits: 0, trials: 4 })).toBeCloseTo(1 / 70, 12)
  })

  test('has the p-value of Fisher’s twins (1935): 10 of 13 against 2 of 17, 0.000465', () => {
    expect(greaterOddsP({ hits: 10, trials: 13 }, { hits: 2, trials: 17 })).toBeCloseTo(0.0004652, 6)
  })

  test('has the exact p-value with an odds factor: 1 % of 3,000 against 0 of 1,500', () => {
    expect(greaterOddsP({ hits: 30, trials: 3000 }, { hits: 0, trials: 1500 }, 1.2)).toBeCloseTo(
      2.76155774295996e-5,
      15,
    )
    expect(greaterOddsP({ hits: 480, trials: 1000 }, { hits: 160, trials: 300 }, 1.2)).toBeCloseTo(0.9989387766, 9)
  })

  test('equals the sum of its definition for any odds', () => {
    const count = fc.nat({ max: 25 })
    const odds = fc.constantFrom(0.5, 1, 1.2, 4)
    fc.assert(
      fc.property(count, count, count, count, odds, (a, b, c, d, ratio) => {
        const first = { hits: a, trials: a + b }
        const second = { hits: c, trials: c + d }
        let above = 0
        let total = 0
        for (let k = 0; k <= a + c; k++) {
          const weight = choose(a + b, k) * choose(c + d, a + c - k) * ratio ** k
          total += weight
          if (k >= a) above += weight
        }
        expect(greaterOddsP(first, second, ratio)).toBeCloseTo(above / total, 9)
      }),
    )
  })

  test('is fast and exact for large numbers', () => {
    const startedAt = performance.now()
    expect(greaterOddsP({ hits: 500_000, trials: 1e6 }, { hits: 1000, trials: 1e6 })).toBeLessThan(1e-15)
    expect(greaterOddsP({ hits: 1000, trials: 1e6 }, { hits: 500_000, trials: 1e6 })).toBeCloseTo(1, 9)
    expect(greaterOddsP({ hits: 500_000, trials: 1e6 }, { hits: 500_000, trials: 1e6 })).toBeCloseTo(0.5, 2)
    expect(greaterOddsP({ hits: 1e6, trials: 1e6 }, { hits: 1e6, trials: 1e6 })).toBe(1)
    expect(performance.now() - startedAt).toBeLessThan(200)
  })
})

test('Holm divides alpha by the number of remaining hypotheses and stops at the first one that is not rejected', () => {
  expect(holm([0.01, 0.04, 0.03, 0.005], 0.05)).toEqual([true, false, false, true])
  expect(holm([0.02, 0.02], 0.05)).toEqual([true, true])
  expect(holm([0.03, 0.03], 0.05)).toEqual([false, false])
  expect(holm([], 0.05)).toEqual([])
})

test('all looks together spend at most alpha', () => {
  const looks = Array.from({ length: 40 }, (_, i) => alphaNow(0.01, 30 * 2 ** i, 30))
  expect(looks.reduce((sum, alpha) => sum + alpha, 0)).toBeLessThanOrEqual(0.01)
  expect(alphaNow(0.01, 30, 30)).toBe(0.005)
  expect(alphaNow(0.01, 59, 30)).toBe(0.005)
  expect(alphaNow(0.01, 3, 30)).toBe(0.005)
})

function choose(n: number, k: number): number {
  if (k < 0 || k > n) return 0
  let product = 1
  for (let i = 1; i <= k; i++) product = (product * (n - k + i)) / i
  return product
}
