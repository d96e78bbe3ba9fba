import { expect, test } from 'vitest'
import { LastMinute } from './last-minute.ts'

const counts = (legacy: number, service: number) => ({ catalog: { legacy, service } })

/** Adds one sample a second, with one more request of each side in each. */
function watched(seconds: number, lastMinute = new LastMinute()) {
  let last = {}
  for (let second = 0; second <= seconds; second++) last = lastMinute.add(counts(second, 2 * second), second * 1000)
  return last
}

test('within the first minute all requests count', () => {
  expect(watched(30)).toEqual(counts(30, 60))
})

test('after a minute older requests do not count', () => {
  expect(watched(60)).toEqual(counts(60, 120))
  expect(watched(200)).toEqual(counts(60, 120))
})

test('a minute without requests counts 0', () => {
  const lastMinute = new LastMinute()
  watched(100, lastMinute)
  expect(lastMinute.add(counts(100, 200), 160_000)).toEqual(counts(0, 0))
})

test('requests of before the first sample do not count', () => {
  expect(new LastMinute().add(counts(500, 0), 7_000_000)).toEqual(counts(0, 0))
})

test('counts that change in place are kept as they were sampled', () => {
  const lastMinute = new LastMinute()
  const live = { catalog: { legacy: 1, service: 1 } }
  lastMinute.add(live, 0)
  live.catalog.legacy = 4
  expect(lastMinute.add(live, 1000)).toEqual(counts(3, 0))
})

test('a new context counts from its beginning, and a removed one is forgotten', () => {
  const lastMinute = new LastMinute()
  lastMinute.add(counts(5, 5), 0)
  expect(lastMinute.add({ orders: { legacy: 2, service: 1 } }, 1000)).toEqual({ orders: { legacy: 2, service: 1 } })
})

test('counts that begin anew do not become negative', () => {
  const lastMinute = new LastMinute()
  lastMinute.add(counts(50, 50), 0)
  expect(lastMinute.add(counts(3, 60), 1000)).toEqual(counts(0, 10))
})

test('the samples cover one minute, however long the gateway runs', () => {
  const lastMinute = new LastMinute()
  watched(10_000, lastMinute)
  expect(lastMinute.size).toBeLessThan(63)
})
