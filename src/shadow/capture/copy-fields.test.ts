import { expect, test } from 'vitest'
import { acceptsDryRun, copyFields } from './copy-fields.ts'

const TRACE = '4bf92f3577b34da6a3ce929d0e0e4736'
const SPAN = '00f067aa0ba902b7'

const request = {
  fields: [
    ...['Host', 'shop.example', 'Authorization', 'Bearer a', 'cookie', 'sid=1', 'X-User-Id', 'anna'],
    ...['X-API-Key', 'sk', 'DPoP', 'proof'],
    ...['Idempotency-Key', 'k', 'traceparent', `00-${TRACE}-${'1'.repeat(16)}-01`, 'X-Forwarded-For', '192.0.2.1'],
    ...['x-shadow', 'no', 'Content-Length', '3', 'Transfer-Encoding', 'chunked', 'Expect', '100-continue'],
  ],
  identityFields: ['x-user-id'],
}

test('a copy has the fields of the request, its mark, and its own span in the same trace', () => {
  expect(copyFields(request, '1', 'keep', SPAN)).toEqual([
    ...['Host', 'shop.example', 'Authorization', 'Bearer a', 'cookie', 'sid=1', 'X-User-Id', 'anna'],
    ...['X-API-Key', 'sk', 'DPoP', 'proof'],
    ...['Idempotency-Key', 'k', 'traceparent', `00-${TRACE}-${SPAN}-01`, 'X-Forwarded-For', '192.0.2.1'],
    ...['X-Shadow', '1'],
  ])
})

test('with "strip", a copy has no identity and no credentials', () => {
  expect(copyFields(request, 'dry-run', 'strip', SPAN)).toEqual([
    ...['Host', 'shop.example'],
    ...['Idempotency-Key', 'k', 'traceparent', `00-${TRACE}-${SPAN}-01`, 'X-Forwarded-For', '192.0.2.1'],
    ...['X-Shadow', 'dry-run'],
  ])
})

test('only "dry-run" accepts dry runs', () => {
  expect(acceptsDryRun(['Content-Type', 'text/plain', 'x-shadow-accepted', ' Dry-Run'])).toBe(true)
  for (const headers of [[], ['X-Shadow-Accepted', '1'], ['X-Shadow', 'dry-run']])
    expect(acceptsDryRun(headers)).toBe(false)
})
