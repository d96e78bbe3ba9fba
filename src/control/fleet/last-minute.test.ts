import { expect, test } from 'vitest'
import { LastMinute } from './last-minute.ts'

const counts = (legacy: number, service: number) => ({ catalog: { legacy, service } })

/** One look a second for so long, with one request of each side in between. */
function watched(seconds: number, lastMinute = new LastMinute()) {
  let last = {}
  for (let second = 0; second <= seconds; second++) last = lastMinute.add(counts(second, 2 * second), second * 1000)
  return last
}

test('within the first minute it is all there was', () => {
  expect(watched(30)).toEqual(counts(30, 60))
})

test('after it, what is older than a minute no longer counts', () => {
  expect(watched(60)).toEqual(counts(60, 120))
  expect(watched(200)).toEqual(counts(60, 120))
})

test('a minute without requests is none', () => {
  const lastMinute = new LastMinute()
  watched(100, lastMinute)
  expect(lastMinute.add(counts(100, 200), 160_000)).toEqual(counts(0, 0))
})

test('what came before the first look, nobody knows when, is not of the last minute', () => {
  expect(new LastMinute().add(counts(500, 0), 7_000_000)).toEqual(counts(0, 0))
})

test('counts that go on in place are remembered as they were shown', () => {
  const lastMinute = new LastMinute()
  const live = { catalog: { legacy: 1, service: 1 } }
  lastMinute.add(live, 0)
  live.catalog.legacy = 4
  expect(lastMinute.add(live, 1000)).toEqual(counts(3, 0))
})

test('a context that appears counts from its beginning, and one that goes is forgotten', () => {
  const lastMinute = new LastMinute()
  lastMinute.add(counts(5, 5), 0)
  expect(lastMinute.add({ orders: { legacy: 2, service: 1 } }, 1000)).toEqual({ orders: { legacy: 2, service: 1 } })
})

test('counts that begin anew do not become negative', () => {
  const lastMinute = new LastMinute()
  lastMinute.add(counts(50, 50), 0)
  expect(lastMinute.add(counts(3, 60), 1000)).toEqual(counts(0, 10))
})

test('it remembers a minute, however long it runs', () => {
  const lastMinute = new LastMinute()
  watched(10_000, lastMinute)
  expect(lastMinute.size).toBeLessThan(63)
})
