import { expect, test } from 'vitest'
import type { Decision } from '../../model/decision.ts'
import type { RequestHead } from '../../model/request-head.ts'
import { headOf } from '../request-heads.test-kit.ts'
import { isEligible } from './eligibility.ts'

const TO_LEGACY: Decision = { side: 'legacy', reason: 'flag-off', fallback: false }
const TO_SERVICE: Decision = { side: 'service', reason: 'flag-on', fallback: true }
const KILLED: Decision = { side: 'legacy', reason: 'killed', fallback: false }
const BODY: Partial<RequestHead> = { body: { kind: 'length', bytes: 3 } }
const CHUNKED: Partial<RequestHead> = { body: { kind: 'chunked' } }

type Row = readonly [string, string, Partial<RequestHead>, Decision, 'never' | 'dry-run', boolean]

const ROWS: readonly Row[] = [
  ...['GET', 'HEAD', 'OPTIONS'].flatMap((method): Row[] => [
    ['a safe method', method, {}, TO_LEGACY, 'never', true],
    ['a safe method that the service answers', method, {}, TO_SERVICE, 'never', true],
    ['a body on a method that has none', method, BODY, TO_LEGACY, 'dry-run', false],
    [
      'an explicit empty body on a method that has none',
      method,
      { body: { kind: 'length', bytes: 0 } },
      TO_LEGACY,
      'never',
      false,
    ],
    ['chunks on a method that has none', method, CHUNKED, TO_LEGACY, 'dry-run', false],
    ['the kill switch', method, {}, KILLED, 'dry-run', false],
  ]),
  ...['POST', 'PUT', 'PATCH', 'DELETE'].flatMap((method): Row[] => [
    ['a write', method, BODY, TO_LEGACY, 'never', false],
    ['a write without a body', method, {}, TO_LEGACY, 'never', false],
    ['a dry run', method, BODY, TO_LEGACY, 'dry-run', true],
    ['a dry run in chunks', method, CHUNKED, TO_LEGACY, 'dry-run', true],
    ['a dry run without a body', method, {}, TO_LEGACY, 'dry-run', true],
    ['a dry run to legacy', method, BODY, TO_SERVICE, 'dry-run', false],
    ['a dry run, killed', method, BODY, KILLED, 'dry-run', false],
  ]),
  // The effect of an unknown method is unknown. TRACE returns credentials to its sender.
  ...['TRACE', 'CONNECT', 'PROPFIND', 'MKCOL', 'LOCK', 'QUERY', 'PURGE', 'get', 'Get', ''].map(
    (method): Row => ['another method', method, {}, TO_LEGACY, 'dry-run', false],
  ),
  ['an upgrade', 'GET', { fields: { ...headOf().fields, upgrade: 'websocket' } }, TO_LEGACY, 'dry-run', false],
  [
    'a request with the mark of a copy',
    'GET',
    { fields: { ...headOf().fields, saysShadow: true } },
    TO_LEGACY,
    'never',
    false,
  ],
  [
    'a write with the mark of a copy',
    'POST',
    { fields: { ...headOf().fields, saysShadow: true } },
    TO_LEGACY,
    'dry-run',
    false,
  ],
  ['an encoded slash', 'GET', { hasEncodedSlash: true }, TO_LEGACY, 'never', false],
  ['a write with an encoded slash', 'POST', { hasEncodedSlash: true }, TO_LEGACY, 'dry-run', false],
  ['an HTTP/1.0 client', 'GET', { minorVersion: 0 }, TO_LEGACY, 'never', true],
  [
    'legacy instead of an unavailable service',
    'GET',
    {},
    { ...TO_LEGACY, reason: 'service-unavailable' },
    'never',
    true,
  ],
  ['a pin', 'GET', {}, { ...TO_SERVICE, reason: 'pinned' }, 'never', true],
]

test.each(ROWS)(
  'the eligibility of a request is as expected for %s: %s',
  (_, method, more, decision, writes, expected) => {
    expect(isEligible(headOf({ method, ...more }), decision, writes)).toBe(expected)
  },
)
