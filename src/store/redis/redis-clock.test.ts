import { expect, it } from 'vitest'
import { RedisClock } from './redis-clock.ts'

function clocks() {
  const ours = { at: 1000, now: () => ours.at, wallTime: () => 50_000 + ours.at }
  return { ours, redis: new RedisClock(ours) }
}

/** Measures with a round trip of this duration; Redis has the time `redisMs` in the middle of it. */
function measure({ ours, redis }: ReturnType<typeof clocks>, redisMs: number, roundTripMs: number): void {
  const askedAt = ours.at
  ours.at += roundTripMs
  redis.measure(redisMs, askedAt)
}

it('the Redis clock shows the local time before the first measurement', () => {
  const { redis } = clocks()
  expect(redis.isKnown).toBe(false)
  expect(redis.wallTime()).toBe(51_000)
})

it('the Redis clock shows the time of Redis half a round trip later, and continues with the monotonic clock', () => {
  const both = clocks()
  measure(both, 7_000_000, 10)
  expect(both.redis.wallTime()).toBe(7_000_005)
  both.ours.at += 1000
  expect(both.redis.wallTime()).toBe(7_001_005)
})

it('the Redis clock keeps the measurement with the shortest round trip for a minute', () => {
  const both = clocks()
  measure(both, 7_000_000, 2)
  // 40 ms there, nothing back: half of the round trip would be 20 ms wrong.
  measure(both, 7_000_041, 40)
  expect(both.redis.wallTime()).toBe(7_000_041)
  both.ours.at += 60_000
  measure(both, 8_000_000, 40)
  expect(both.redis.wallTime()).toBe(8_000_020)
})

it('the Redis clock takes a less exact measurement that contradicts the last one, since the clock of Redis was set', () => {
  const both = clocks()
  measure(both, 7_000_000, 2)
  measure(both, 3_000_000, 10)
  expect(both.redis.wallTime()).toBe(3_000_005)
})

it('the Redis clock takes any next measurement after it was distrusted', () => {
  const both = clocks()
  measure(both, 7_000_000, 2)
  both.redis.distrust()
  expect(both.redis.isKnown).toBe(false)
  measure(both, 7_000_021, 40)
  expect(both.redis.wallTime()).toBe(7_000_041)
  expect(both.redis.isKnown).toBe(true)
})
