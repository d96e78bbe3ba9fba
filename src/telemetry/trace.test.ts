import fc from 'fast-check'
import { expect, test } from 'vitest'
import { continueTrace, parseTraceparent } from './trace.ts'

const traceId = '4bf92f3577b34da6a3ce929d0e0e4736'
const random = { hex: (bytes: number) => 'ab'.repeat(bytes) }

test.each([
  [`00-${traceId}-00f067aa0ba902b7-01`, true],
  [`00-${traceId}-00f067aa0ba902b7-00`, true],
  [`cc-${traceId}-00f067aa0ba902b7-01`, true],
  [`cc-${traceId}-00f067aa0ba902b7-01-what-the-future-adds`, true],
  [`00-${traceId}-00f067aa0ba902b7-01-more`, false],
  [`cc-${traceId}-00f067aa0ba902b7-01.more`, false],
  [`ff-${traceId}-00f067aa0ba902b7-01`, false],
  [`00-${'0'.repeat(32)}-00f067aa0ba902b7-01`, false],
  [`00-${traceId}-${'0'.repeat(16)}-01`, false],
  [`00-${traceId.toUpperCase()}-00f067aa0ba902b7-01`, false],
  [`00-${traceId}-00f067aa0ba902b7-01, 00-${traceId}-00f067aa0ba902b7-01`, false],
  [` 00-${traceId}-00f067aa0ba902b7-01`, false],
  ['', false],
])('traceparent %j is valid: %s', (field, isValid) => {
  expect(parseTraceparent(field)).toEqual(isValid ? { traceId } : undefined)
})

test('a valid traceparent is not changed', () => {
  const field = `00-${traceId}-00f067aa0ba902b7-00`
  expect(continueTrace(field, random)).toEqual({ traceparent: field, traceId })
})

test('a missing or invalid traceparent is replaced by a new trace', () => {
  const begun = { traceparent: `00-${'ab'.repeat(16)}-${'ab'.repeat(8)}-01`, traceId: 'ab'.repeat(16) }
  expect(continueTrace(undefined, random)).toEqual(begun)
  fc.assert(fc.property(fc.string(), (field) => void expect(continueTrace(field, random)).toEqual(begun)))
})
