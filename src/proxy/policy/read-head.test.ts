import { describe, expect, test } from 'vitest'
import { DROPPED_FIELDS, mayChangeRequestField, READ_FIELDS } from '../../model/gateway-fields.ts'
import type { RequestHead } from '../../model/request-head.ts'
import { type HeadRules, isEndToEnd, type RawHead, readHead } from './read-head.ts'
import { Refusal } from './refusal.ts'

const RULES = {
  limits: { targetBytes: 100, headerBytes: 1000, headerCount: 20 },
  identity: { user: { header: 'x-account' } },
} as HeadRules

function read(headers: readonly string[], raw: Partial<RawHead> = {}): RequestHead | Refusal {
  const head: RawHead = {
    method: 'GET',
    target: '/',
    majorVersion: 1,
    minorVersion: 1,
    rawHeaders: ['Host', 'a', ...headers],
    peerAddress: '192.0.2.1',
    secure: false,
    ...raw,
  }
  return readHead(head, RULES)
}

/** The failure, or `ok`. The parser in front of this refuses most of these already: both must, as parsers change. */
function verdict(headers: readonly string[], raw?: Partial<RawHead>): string {
  const result = read(headers, raw)
  return result instanceof Refusal ? result.failure : 'ok'
}

function accepted(headers: readonly string[], raw?: Partial<RawHead>): RequestHead {
  const result = read(headers, raw)
  if (result instanceof Refusal) throw new Error(`${result.failure}: ${result.detail}`)
  return result
}

describe('a head is refused', () => {
  test.each<[string, readonly string[], Partial<RawHead>, string]>([
    ['HTTP/2.0', [], { majorVersion: 2 }, 'malformed'],
    ['HTTP/0.9', [], { majorVersion: 0, minorVersion: 1 }, 'malformed'],
    ['TRACE', [], { method: 'TRACE' }, 'method-refused'],
    ['CONNECT', [], { method: 'CONNECT' }, 'method-refused'],
    ['no Host', [], { rawHeaders: [] }, 'bad-host'],
    ['two Hosts', ['host', 'a'], {}, 'bad-host'],
    ['a long target', [], { target: `/${'a'.repeat(100)}` }, 'target-too-long'],
    ['many lines', Array.from({ length: 40 }, () => 'x'), {}, 'headers-too-large'],
    ['long lines', ['x', 'a'.repeat(1000)], {}, 'headers-too-large'],
    ['both lengths', ['Content-Length', '1', 'Transfer-Encoding', 'chunked'], {}, 'bad-framing'],
    ['two lengths', ['Content-Length', '1', 'content-length', '1'], {}, 'bad-framing'],
    ['two codings', ['Transfer-Encoding', 'chunked', 'transfer-encoding', 'chunked'], {}, 'bad-framing'],
    ['chunks in HTTP/1.0', ['Transfer-Encoding', 'chunked'], { minorVersion: 0 }, 'bad-framing'],
    ['a bad target', [], { target: '/\\' }, 'bad-target'],
    ['an unknown expectation', ['Expect', 'x'], {}, 'expectation-unknown'],
    ['Max-Forwards: x', ['Max-Forwards', 'x'], {}, 'bad-header'],
    ['an unknown transfer coding', ['Transfer-Encoding', 'gzip'], {}, 'coding-unknown'],
    ['an unknown transfer coding before chunked', ['Transfer-Encoding', 'gzip, chunked'], {}, 'coding-unknown'],
    ['the withdrawn coding identity', ['Transfer-Encoding', 'identity'], {}, 'coding-unknown'],
    ['an unknown coding after chunked', ['Transfer-Encoding', 'chunked, gzip'], {}, 'bad-framing'],
  ])('for %s', (_, headers, raw, failure) => {
    expect(verdict(headers, raw)).toBe(failure)
  })

  test.each(['', '+5', '-1', '0x5', '5_0', '1e1', '5 5', '5, 5', '5;', '\u0665', '9'.repeat(16), ' 5', '5\t'])(
    'for Content-Length %j',
    (length) => {
      expect(verdict(['Content-Length', length])).toBe('bad-framing')
    },
  )

  test.each(['', 'xchunked', 'chunked, chunked', 'chunked;a', ' chunked', 'chunked\u00a0'])(
    'for Transfer-Encoding %j',
    (coding) => {
      expect(verdict(['Transfer-Encoding', coding])).toBe('bad-framing')
    },
  )

  test.each(['', 'a,b', 'u@a', 'a/x', 'a b', 'a:99999', ':', 'a::', 'a:x', '[::1', '[x]', '\u00e9', 'a\u0000'])(
    'for Host %j',
    (host) => {
      expect(verdict([], { rawHeaders: ['Host', host] })).toBe('bad-host')
    },
  )
})

describe('a head is read', () => {
  test.each<[readonly string[], RequestHead['body']]>([
    [[], { kind: 'none' }],
    [['Content-Length', '0'], { kind: 'length', bytes: 0 }],
    [['content-LENGTH', '007'], { kind: 'length', bytes: 7 }],
    [['Transfer-Encoding', 'Chunked'], { kind: 'chunked' }],
    [['Content_Length', '5', 'Transfer_Encoding', 'chunked'], { kind: 'none' }],
  ])('with the body of %j', (headers, body) => {
    expect(accepted(headers).body).toEqual(body)
  })

  test('with the fields for the whole way as they came, and no others', () => {
    const kept = ['Accept', 'x', 'X-A', '1', 'cookie', 'a=1', 'X-a', '2', 'COOKIE', 'b=2', '__Proto', 'x'].slice(0, 10)
    const dropped = ['Connection', 'close, X-Listed', 'X-Listed', '1', 'TE', 'x', 'X_U', '1', 'x-FORWARDED-user', 'm']
    const head = accepted([...kept, ...dropped, 'X-Account', '7', 'Via', '1.0 fred'])
    expect(head.endToEnd).toEqual(kept)
    expect(head.fields).toMatchObject({ cookie: 'a=1; b=2', user: '7', via: '1.0 fred' })
  })

  test.each<[readonly string[], string | undefined]>([
    [['X-Account', '7'], '7'],
    [['x-account', '7', 'X-ACCOUNT', '8'], undefined],
    [['x-account', '7', 'X-ACCOUNT', '7', 'x-Account', '7'], undefined],
    [['x_account', '7'], undefined],
    [[], undefined],
  ])('with the user of %j being %s', (headers, user) => {
    const head = accepted(headers)
    expect(head.fields.user).toBe(user)
    expect(head.endToEnd).toEqual([])
  })

  test('in HTTP/1.0 without a Host, and without regard to what it expects', () => {
    const head = accepted([], { rawHeaders: ['Expect', '100-continue'], minorVersion: 0 })
    expect(head.host).toBe('')
    expect(head.fields.expect).toBeUndefined()
  })

  test('with Connection listing what must stay: framing and Host are not fields that can be unsaid', () => {
    const head = accepted(['Connection', 'Host, Content-Length, X-A,,', 'Content-Length', '5', 'X-A', '1', 'X-B', '2'])
    expect(head.body).toEqual({ kind: 'length', bytes: 5 })
    expect(head.host).toBe('a')
    expect(head.endToEnd).toEqual(['X-B', '2'])
  })
})

test('a trailer or a field is end to end unless the gateway reads it, sets it or ends it', () => {
  expect(['X-Sum', 'Digest', 'Server-Timing', 'Grpc-Status', 'X-Forward', 'X-Userland'].map(isEndToEnd)).not.toContain(
    false,
  )
  expect(
    ['Cookie', 'HOST', 'x-user-id', 'X-User-Whatever', 'x_sum', 'TE', 'X-Original-Url', 'X-Strangler-Side', 'Via'].map(
      isEndToEnd,
    ),
  ).not.toContain(true)
})

test('header rules may change exactly the end-to-end fields and Cookie, and no handshake field of a WebSocket', () => {
  const owned = [...READ_FIELDS, ...DROPPED_FIELDS, 'x-user-x', 'X-Forwarded-Port', 'X_Sum', 'x-original-url']
  for (const name of [...owned, 'Authorization', 'X-Api-Key', 'Accept', 'tracestate']) {
    expect(mayChangeRequestField(name), name).toBe(isEndToEnd(name) || name === 'cookie')
  }
  expect(mayChangeRequestField('Sec-WebSocket-Key')).toBe(false)
})

test.each<[string, readonly string[]]>([
  ['h2c', ['Connection', 'Upgrade, HTTP2-Settings', 'Upgrade', 'h2c', 'HTTP2-Settings', 'AAMAAABk']],
  ['h2c among others', ['Connection', 'upgrade', 'Upgrade', 'websocket', 'upgrade', 'H2C']],
  ['HTTP2-Settings alone', ['http2-SETTINGS', 'x']],
  ['TLS', ['Connection', 'upgrade', 'Upgrade', 'TLS/1.0']],
])('an upgrade to %s is ignored: none of its fields goes on', (_, headers) => {
  expect(accepted([...headers, 'Accept', '*/*']).endToEnd).toEqual(['Accept', '*/*'])
})

test.each([
  ['a:', 'a'],
  ['[::1]:', '[::1]'],
  ['a:80', 'a:80'],
])('Host: %s is %s', (host, expected) => {
  expect(accepted([], { rawHeaders: ['Host', host] }).host).toBe(expected)
})
