import { describe, expect, it } from 'vitest'
import { FAILURES, type Failure } from '../../model/failures.ts'
import { failureForClient, mayFallBack, mayRetry, type Sent } from './may-repeat.ts'

const GET: Sent = { method: 'GET', hasBody: false, hasBodyBegun: false }
const DELETE: Sent = { ...GET, method: 'DELETE' }
const POST: Sent = { method: 'POST', hasBody: true, hasBodyBegun: false }
const BEGUN: Sent = { ...POST, hasBodyBegun: true }

describe('a failed request', () => {
  it.each<[Failure, Sent, { retry: boolean; legacy: boolean }]>([
    // Nothing arrived: whatever it is, it may go elsewhere.
    ['connect-refused', GET, { retry: true, legacy: true }],
    ['connect-refused', POST, { retry: true, legacy: true }],
    ['connect-timeout', POST, { retry: true, legacy: true }],
    ['unavailable', POST, { retry: false, legacy: true }],
    // It may have arrived: only what has no effect twice.
    ['connection-lost', GET, { retry: true, legacy: true }],
    ['connection-lost', DELETE, { retry: true, legacy: false }],
    ['connection-lost', POST, { retry: false, legacy: false }],
    ['response-timeout', GET, { retry: false, legacy: true }],
    ['response-timeout', DELETE, { retry: false, legacy: false }],
    ['response-malformed', GET, { retry: false, legacy: true }],
    // A body that was begun cannot be sent again.
    ['connect-refused', BEGUN, { retry: false, legacy: false }],
  ])('after %s with %o may be repeated: %o', (failure, sent, { retry, legacy }) => {
    expect(mayRetry(failure, sent)).toBe(retry)
    expect(mayFallBack(failure, sent)).toBe(legacy)
  })

  it('is never repeated if the client is to blame or the queue is full', () => {
    const blamed = (Object.keys(FAILURES) as Failure[]).filter((failure) => FAILURES[failure].blame === 'gateway')
    for (const failure of ['client-gone', 'slow-request', 'body-too-large', 'overloaded', 'internal'] as const) {
      expect(mayRetry(failure, GET)).toBe(false)
      expect(mayFallBack(failure, GET)).toBe(false)
    }
    expect(blamed).toEqual(['overloaded', 'keys-unreachable', 'loop', 'internal'])
  })

  it('with POST is not repeated after any failure if it may have arrived', () => {
    for (const failure of Object.keys(FAILURES) as Failure[]) {
      if (FAILURES[failure].nothingSent) continue
      expect(mayRetry(failure, POST)).toBe(false)
      expect(mayFallBack(failure, POST)).toBe(false)
    }
  })
})

describe('a write that has not reached the service', () => {
  it.each<[Failure, Failure]>([
    ['connect-refused', 'unavailable'],
    ['connect-timeout', 'unavailable'],
    ['unavailable', 'unavailable'],
    ['overloaded', 'overloaded'],
    ['connection-lost', 'connection-lost'],
    ['response-timeout', 'response-timeout'],
  ])('turns %s into the failure %s for the client', (failure, answered) => {
    expect(failureForClient(failure, 'service', 'POST')).toBe(answered)
  })

  it('is the only case: reads, and writes to legacy, keep their failure', () => {
    expect(failureForClient('connect-refused', 'service', 'GET')).toBe('connect-refused')
    expect(failureForClient('connect-refused', 'legacy', 'POST')).toBe('connect-refused')
  })
})
