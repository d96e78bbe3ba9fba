import { describe, expect, it } from 'vitest'
import { FAILURES, type Failure } from '../../model/failures.ts'
import { AddressHealth, blamesTarget, mayEject } from './health.ts'

const POLICY = { consecutiveFailures: 3, baseMs: 1000, maxMs: 2500, maxPercent: 50 }
const NO_ANSWER = true
const ANSWERED_500 = false

/** Fails an address so many times and says how long each failure ejected it for. */
function fail(health: AddressHealth, times: number, now: number, { gotNoResponse = NO_ANSWER, isAlone = false } = {}) {
  return Array.from({ length: times }, () => health.recordFailure(gotNoResponse, isAlone, true, POLICY, now))
}

describe('an address', () => {
  it('is ejected after consecutive failures and returns by itself after the time of the ejection', () => {
    const health = new AddressHealth()
    expect(fail(health, 2, 0)).toEqual([0, 0])
    expect(health.isAvailable(0)).toBe(true)
    expect(fail(health, 1, 0)).toEqual([1000])
    expect(health.isAvailable(999)).toBe(false)
    expect(health.isAvailable(1000)).toBe(true)
  })

  it('counts consecutive failures only: one success resets the count', () => {
    const health = new AddressHealth()
    for (let i = 0; i < 20; i++) {
      expect(fail(health, 2, 0)).toEqual([0, 0])
      health.recordSuccess()
    }
    expect(health.isAvailable(0)).toBe(true)
  })

  it('is on trial after an ejection: one more failure ejects it for longer, up to the limit', () => {
    const health = new AddressHealth()
    fail(health, 3, 0)
    expect(fail(health, 1, 1000)).toEqual([2000])
    expect(fail(health, 1, 3000)).toEqual([2500])
    expect(fail(health, 1, 6000)).toEqual([2500])
    health.recordSuccess()
    expect(fail(health, 3, 9000)).toEqual([0, 0, 1000])
  })

  it('is not ejected twice by requests that were in progress at the ejection', () => {
    const health = new AddressHealth()
    fail(health, 3, 0)
    expect(fail(health, 10, 500)).toEqual(Array(10).fill(0))
    expect(health.isAvailable(1000)).toBe(true)
  })

  it('is not ejected if the policy does not allow one more ejection', () => {
    const health = new AddressHealth()
    for (let i = 0; i < 10; i++) expect(health.recordFailure(NO_ANSWER, false, false, POLICY, 0)).toBe(0)
    expect(health.isAvailable(0)).toBe(true)
  })

  it('reports why and until when it is unavailable, and nothing while it is available', () => {
    const health = new AddressHealth()
    expect(health.outage(0)).toBeUndefined()
    for (let i = 0; i < 3; i++) health.recordFailure(NO_ANSWER, false, true, POLICY, 100, 'connect-refused')
    expect(health.outage(300)).toEqual({ why: 'connect-refused', forMs: 200, endsInMs: 800 })
    expect(health.outage(1100)).toBeUndefined()
    health.recordVerdict(false, 'health check answered 500', 2000)
    expect(health.outage(2500)).toEqual({ why: 'health check answered 500', forMs: 500, endsInMs: null })
    health.recordVerdict(true, 'health check passed', 3000)
    expect(health.outage(3000)).toBeUndefined()
  })

  it('that is the only one of its upstream is ejected for missing responses, not for a 500', () => {
    const health = new AddressHealth()
    expect(fail(health, 20, 0, { gotNoResponse: ANSWERED_500, isAlone: true })).toEqual(Array(20).fill(0))
    expect(fail(health, 2, 0, { isAlone: true })).toEqual([0, 0])
    fail(health, 1, 0, { gotNoResponse: ANSWERED_500, isAlone: true })
    expect(fail(health, 3, 0, { isAlone: true })).toEqual([0, 0, 1000])
  })

  it('is unavailable while its health checks fail, and a passing verdict ends an ejection', () => {
    const health = new AddressHealth()
    health.recordVerdict(false)
    expect(health.isAvailable(0)).toBe(false)
    health.recordSuccess()
    expect(health.isAvailable(0)).toBe(false)
    fail(health, 3, 0)
    health.recordVerdict(true)
    expect(health.isAvailable(0)).toBe(true)
  })
})

describe('whether one more address may be ejected', () => {
  it.each([
    ['legacy', 1, 0, 100, false],
    ['service', 1, 0, 0, true],
    ['legacy', 2, 0, 50, true],
    ['legacy', 2, 1, 50, false],
    ['service', 3, 0, 50, true],
    ['service', 3, 1, 50, false],
    ['legacy', 4, 1, 50, true],
    ['legacy', 4, 2, 50, false],
    ['service', 10, 0, 0, false],
    ['service', 3, 2, 100, true],
  ] as const)('%s with %i addresses, %i out, at most %i %%: %s', (side, addresses, ejected, maxPercent, expected) => {
    expect(mayEject(side, addresses, ejected, { ...POLICY, maxPercent })).toBe(expected)
  })
})

it('only failures that the upstream is to blame for count against an address', () => {
  for (const failure of Object.keys(FAILURES) as Failure[]) {
    expect(blamesTarget(failure)).toBe(FAILURES[failure].blame === 'target')
  }
  expect(blamesTarget('client-gone')).toBe(false)
  expect(blamesTarget('overloaded')).toBe(false)
  expect(blamesTarget('connection-lost')).toBe(true)
})

describe('a health check that passes', () => {
  const POLICY = { consecutiveFailures: 1, baseMs: 1000, maxMs: 1000, maxPercent: 100 }

  it('ends an ejection', () => {
    const health = new AddressHealth()
    expect(health.recordFailure(true, true, true, POLICY, 0)).toBe(1000)
    expect(health.recordPassedCheck(1)).toBe(true)
    expect(health.isAvailable(1)).toBe(true)
    expect(health.recordPassedCheck(2)).toBe(false)
  })

  it('does not make an address available while the verdict of the checks is unhealthy', () => {
    const health = new AddressHealth()
    health.recordFailure(true, true, true, POLICY, 0)
    health.recordVerdict(false)
    expect(health.recordPassedCheck(1)).toBe(false)
    expect(health.isAvailable(1)).toBe(false)
  })
})
