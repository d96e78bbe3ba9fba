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

describe('readHead refuses', () => {
  test.each<[string, readonly string[], Partial<RawHead>, string]>([
    ['the version HTTP/2.0', [], { majorVersion: 2 }, 'malformed'],
    ['the version HTTP/0.9', [], { majorVersion: 0, minorVersion: 1 }, 'malformed'],
    ['the method TRACE', [], { method: 'TRACE' }, 'method-refused'],
    ['the method CONNECT', [], { method: 'CONNECT' }, 'method-refused'],
    ['a missing Host', [], { rawHeaders: [] }, 'bad-host'],
    ['two Host fields', ['host', 'a'], {}, 'bad-host'],
    ['a target above its limit', [], { target: `/${'a'.repeat(100)}` }, 'target-too-long'],
    ['more lines than the limit', Array.from({ length: 40 }, () => 'x'), {}, 'headers-too-large'],
    ['more bytes of headers than the limit', ['x', 'a'.repeat(1000)], {}, 'headers-too-large'],
    [
      'Content-Length with Transfer-Encoding',
      ['Content-Length', '1', 'Transfer-Encoding', 'chunked'],
      {},
      'bad-framing',
    ],
    ['two Content-Length fields', ['Content-Length', '1', 'content-length', '1'], {}, 'bad-framing'],
    [
      'two Transfer-Encoding fields',
      ['Transfer-Encoding', 'chunked', 'transfer-encoding', 'chunked'],
      {},
      'bad-framing',
    ],
    ['Transfer-Encoding in HTTP/1.0', ['Transfer-Encoding', 'chunked'], { minorVersion: 0 }, 'bad-framing'],
    ['a target with a backslash', [], { target: '/\\' }, 'bad-target'],
    ['an unknown expectation', ['Expect', 'x'], {}, 'expectation-unknown'],
    ['a Max-Forwards that is not a number', ['Max-Forwards', 'x'], {}, 'bad-header'],
    ['an unknown transfer coding', ['Transfer-Encoding', 'gzip'], {}, 'coding-unknown'],
    ['an unknown transfer coding before chunked', ['Transfer-Encoding', 'gzip, chunked'], {}, 'coding-unknown'],
    ['the withdrawn coding identity', ['Transfer-Encoding', 'identity'], {}, 'coding-unknown'],
    ['an unknown coding after chunked', ['Transfer-Encoding', 'chunked, gzip'], {}, 'bad-framing'],
  ])('%s', (_, headers, raw, failure) => {
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

describe('readHead', () => {
  test.each<[readonly string[], RequestHead['body']]>([
    [[], { kind: 'none' }],
    [['Content-Length', '0'], { kind: 'length', bytes: 0 }],
    [['content-LENGTH', '007'], { kind: 'length', bytes: 7 }],
    [['Transfer-Encoding', 'Chunked'], { kind: 'chunked' }],
    [['Content_Length', '5', 'Transfer_Encoding', 'chunked'], { kind: 'none' }],
  ])('reads from %j the framing %j', (headers, body) => {
    expect(accepted(headers).body).toEqual(body)
  })

  test('keeps end-to-end fields unchanged and drops all others', () => {
    const forwarded = ['Accept', 'x', 'X-A', '1', 'cookie', 'a=1', 'X-a', '2', 'COOKIE', 'b=2', '__Proto', 'x'].slice(
      0,
      10,
    )
    const dropped = ['Connection', 'close, X-Listed', 'X-Listed', '1', 'TE', 'x', 'X_U', '1', 'x-FORWARDED-user', 'm']
    const head = accepted([...forwarded, ...dropped, 'X-Account', '7', 'Via', '1.0 fred'])
    expect(head.endToEnd).toEqual(forwarded)
    expect(head.fields).toMatchObject({ cookie: 'a=1; b=2', user: '7', via: '1.0 fred' })
  })

  test.each<[readonly string[], string | undefined]>([
    [['X-Account', '7'], '7'],
    [['x-account', '7', 'X-ACCOUNT', '8'], undefined],
    [['x-account', '7', 'X-ACCOUNT', '7', 'x-Account', '7'], undefined],
    [['x_account', '7'], undefined],
    [[], undefined],
  ])('reads from %j the user %s', (headers, user) => {
    const head = accepted(headers)
    expect(head.fields.user).toBe(user)
    expect(head.endToEnd).toEqual([])
  })

  test('accepts HTTP/1.0 without a Host, and ignores its Expect', () => {
    const head = accepted([], { rawHeaders: ['Expect', '100-continue'], minorVersion: 0 })
    expect(head.host).toBe('')
    expect(head.fields.expect).toBeUndefined()
  })

  test('keeps framing and Host even if Connection lists them', () => {
    const head = accepted(['Connection', 'Host, Content-Length, X-A,,', 'Content-Length', '5', 'X-A', '1', 'X-B', '2'])
    expect(head.body).toEqual({ kind: 'length', bytes: 5 })
    expect(head.host).toBe('a')
    expect(head.endToEnd).toEqual(['X-B', '2'])
  })
})

test('a field is end-to-end unless the gateway reads, sets or removes it', () => {
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
])('readHead ignores an upgrade to %s and drops its fields', (_, headers) => {
  expect(accepted([...headers, 'Accept', '*/*']).endToEnd).toEqual(['Accept', '*/*'])
})

test.each([
  ['a:', 'a'],
  ['[::1]:', '[::1]'],
  ['a:80', 'a:80'],
])('readHead normalises the Host %s to %s', (host, expected) => {
  expect(accepted([], { rawHeaders: ['Host', host] }).host).toBe(expected)
})
