import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { refusalFacts, requestFacts } from '../facts.test-kit.ts'
import { refusalFields, requestFields } from './access-line.ts'

const parsed = (fields: string): Record<string, unknown> => JSON.parse(`{"level":"info"${fields}}`)

test('the line of a finished request has its decision, its upstream and its duration', () => {
  const facts = requestFacts({ head: { query: '?page=2&token=abc' } })
  expect(parsed(requestFields(facts, 1_753_000_000_000))).toEqual({
    level: 'info',
    time: 1_753_000_000_000,
    requestId: 'r-1',
    client: '192.0.2.7',
    method: 'GET',
    path: '/products/7?page=2&token=***',
    status: 200,
    context: 'catalog',
    route: '/products/:id',
    side: 'service',
    reason: 'flag-on',
    upstream: 'catalog',
    address: 'http://127.0.0.1:3001',
    attempts: 1,
    durationMs: 3.1,
    upstreamMs: 2,
    overheadMs: 0.2,
    requestBytes: 0,
    responseBytes: 512,
    userAgent: 'curl/8',
    identity: 'session',
  })
})

test('the line of a request that no context owns has no context', () => {
  expect(parsed(requestFields(requestFacts({ context: null }), 0))).not.toHaveProperty('context')
})

test('the line of a failed request has the failure and the code of its cause', () => {
  const cause = Object.assign(new Error('connect ECONNREFUSED 10.0.0.9:3001'), { code: 'ECONNREFUSED' })
  const outcome = {
    status: 502,
    failure: 'connect-refused',
    cause,
    answeredBy: undefined,
    upstreamMs: undefined,
    upstreamTotalMs: undefined,
  } as const
  const line = parsed(requestFields(requestFacts({ outcome }), 0))
  expect(line).toMatchObject({ failure: 'connect-refused', error: 'ECONNREFUSED' })
  expect(line).not.toHaveProperty('overheadMs')
})

test('the line has the trace of the client', () => {
  const traceId = '4bf92f3577b34da6a3ce929d0e0e4736'
  const fields = { traceparent: `00-${traceId}-00f067aa0ba902b7-01` }
  expect(parsed(requestFields(requestFacts({ head: { fields } as never }), 0)).traceId).toBe(traceId)
  expect(parsed(requestFields({ ...requestFacts(), traceId: 'begun-here' }, 0)).traceId).toBe('begun-here')
})

describe('a line of the access log never contains', () => {
  test('cookies, credentials, and the key that identifies a person', () => {
    const headers = ['Cookie', 'sid=COOKIE', 'Authorization', 'Bearer CREDENTIAL', 'X-Api-Key', 'APIKEY']
    const line = requestFields(requestFacts({ head: { headers }, identity: { key: 'PERSON' } }), 0)
    for (const secret of ['COOKIE', 'CREDENTIAL', 'APIKEY', 'PERSON']) expect(line).not.toContain(secret)
  })

  // The attack: a line break in a path or user agent forges a second log line; an escape sequence, or the C1 control
  // 0x9B that means the same, controls the terminal of a reader; U+202E shows text backwards.
  test('a control character, in whatever field a client sends it', () => {
    const dirty = fc.string({
      unit: fc.constantFrom(
        '\r',
        '\n',
        '\0',
        '\x1b[2J',
        '\x7f',
        '\x9b',
        '\u2028',
        '\u202e',
        '"',
        '\\',
        'a',
        'é',
        '😀',
        '\ud800',
      ),
    })
    fc.assert(
      fc.property(dirty, dirty, dirty, (path, userAgent, method) => {
        const head = { path, method, headers: ['user-agent', userAgent] }
        const lines = [
          requestFields(requestFacts({ head, identity: { requestId: path } }), 0),
          refusalFields(refusalFacts({ method, target: path, detail: userAgent, peerAddress: method }), 400, 0),
        ]
        for (const line of lines) {
          expect(line).not.toMatch(/[\p{Cc}\p{Cf}\u2028\u2029]/u)
          parsed(line)
        }
        expect(parsed(lines[0]!).method).toBe(method.slice(0, 32))
      }),
    )
  })

  test('more than a limited number of characters', () => {
    const long = 'x'.repeat(8192)
    const head = { path: `/${long}`, method: long, headers: ['User-Agent', long] }
    expect(requestFields(requestFacts({ head }), 0).length).toBeLessThan(3500)
    expect(
      refusalFields(refusalFacts({ method: long, target: `/?${long}`, detail: long }), 400, 0).length,
    ).toBeLessThan(3500)
  })
})

test('durations are milliseconds with three decimals, also for invalid numbers', () => {
  const time = fc.double({ min: 0, max: 1e7, noNaN: true })
  fc.assert(
    fc.property(time, (ms) => {
      const line = parsed(requestFields(requestFacts({ finishedAt: 100 + ms }), 0))
      const tolerance = ms < 2e6 ? 0.001 : 1
      expect(Math.abs(Number(line.durationMs) - ms)).toBeLessThanOrEqual(tolerance)
    }),
  )
  for (const odd of [Number.NaN, Number.POSITIVE_INFINITY, -5])
    parsed(requestFields(requestFacts({ finishedAt: odd }), 0))
})
