import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { Identity } from '../../model/decision.ts'
import { mayChangeResponseField } from '../../model/gateway-fields.ts'
import type { RequestHead } from '../../model/request-head.ts'
import type { Upstream } from '../../model/route.ts'
import type { Snapshot } from '../../model/snapshot.ts'
import {
  hopByHopOf,
  isLoop,
  type RequestAdditions,
  requestHeaders,
  responseHeaders,
  trailers,
  userFields,
} from './headers.ts'

const HEAD = {
  method: 'GET',
  host: 'shop.example',
  endToEnd: ['Accept', '*/*'],
  minorVersion: 1,
  peerAddress: '192.0.2.1',
  body: { kind: 'none' },
  fields: {},
} as unknown as RequestHead
const IDENTITY: Identity = {
  kind: 'session',
  key: 's',
  clientAddress: '192.0.2.1',
  secure: false,
  requestId: 'id-1',
  isNew: false,
}

type Changes = {
  head?: Partial<RequestHead>
  identity?: Partial<Identity>
  trusted?: boolean
  host?: Upstream['host']
  via?: boolean
}

function sent({
  head,
  identity,
  trusted = false,
  host = 'preserve',
  via = true,
}: Changes = {}): Record<string, string> {
  const snapshot = { trustsProxy: () => trusted, identity: { user: { header: 'x-account' } } } as unknown as Snapshot
  const added: RequestAdditions = {
    head: { ...HEAD, ...head },
    identity: { ...IDENTITY, ...identity },
    snapshot,
    rules: undefined,
    viaName: 'strangler-1',
    traceparent: 'tp',
  }
  const list = requestHeaders(added, { host, via } as Upstream, '10.0.0.1:3001')
  return Object.fromEntries(Array.from({ length: list.length / 2 }, (_, i) => [list[2 * i], list[2 * i + 1]]))
}

describe('the request fields for an upstream', () => {
  test('for an untrusted peer ignore its forwarded fields', () => {
    const fields = { forwardedFor: '6.6.6.6', forwardedHost: 'evil', forwarded: 'for=6.6.6.6', via: '1.0 fred' }
    expect(sent({ head: { fields: fields as RequestHead['fields'] } })).toEqual({
      Accept: '*/*',
      'X-Forwarded-For': '192.0.2.1',
      'X-Forwarded-Host': 'shop.example',
      'X-Forwarded-Proto': 'http',
      Forwarded: 'for=192.0.2.1;host="shop.example";proto=http',
      Via: '1.0 fred, 1.1 strangler-1',
      'X-Request-Id': 'id-1',
      traceparent: 'tp',
      Host: 'shop.example',
    })
  })

  test('for a trusted proxy extend its forwarded fields', () => {
    const fields = {
      forwardedFor: '6.6.6.6',
      forwardedHost: 'front',
      forwarded: 'for=6.6.6.6',
    } as RequestHead['fields']
    expect(sent({ trusted: true, head: { fields }, identity: { secure: true } })).toMatchObject({
      'X-Forwarded-For': '6.6.6.6, 192.0.2.1',
      'X-Forwarded-Host': 'front',
      'X-Forwarded-Proto': 'https',
      Forwarded: 'for=6.6.6.6, for=192.0.2.1;host="shop.example";proto=https',
    })
  })

  test('for an IPv6 client quote its address in Forwarded', () => {
    expect(sent({ head: { peerAddress: '2001:db8::1' } })).toMatchObject({
      'X-Forwarded-For': '2001:db8::1',
      Forwarded: 'for="[2001:db8::1]";host="shop.example";proto=http',
    })
  })

  test('for an HTTP/1.0 client without a Host contain the host of the upstream', () => {
    const headers = sent({ head: { host: '', minorVersion: 0 } })
    expect(headers).toMatchObject({
      Host: '10.0.0.1:3001',
      Via: '1.0 strangler-1',
      Forwarded: 'for=192.0.2.1;proto=http',
    })
    expect(headers).not.toHaveProperty('X-Forwarded-Host')
  })

  test('contain the host of the upstream if it is configured so', () => {
    expect(sent({ host: 'upstream' })).toMatchObject({ Host: '10.0.0.1:3001', 'X-Forwarded-Host': 'shop.example' })
  })

  test('contain only a verified user', () => {
    expect(sent({ identity: { kind: 'user', key: '7' } })).toHaveProperty('x-account', '7')
    expect(sent({ identity: { kind: 'session', key: '7' } })).not.toHaveProperty('x-account')
  })

  test('contain a decremented Max-Forwards, for OPTIONS only', () => {
    const fields = { maxForwards: '3' } as RequestHead['fields']
    expect(sent({ head: { method: 'OPTIONS', fields } })).toHaveProperty('Max-Forwards', '2')
    expect(sent({ head: { fields } })).not.toHaveProperty('Max-Forwards')
  })
})

test('the name of this gateway in Via is a loop, and the name of another gateway is not', () => {
  expect(isLoop({ via: '1.0 fred, 1.1 strangler-1', cdnLoop: undefined }, 'strangler-1')).toBe(true)
  expect(isLoop({ via: '1.1 strangler-2', cdnLoop: undefined }, 'strangler-1')).toBe(false)
  expect(isLoop({ via: undefined, cdnLoop: undefined }, 'strangler-1')).toBe(false)
})

describe('CDN-Loop (RFC 8586)', () => {
  test.each<[boolean, string]>([
    [true, 'strangler-1'],
    [true, 'fred, strangler-1'],
    [true, 'fred;abc=","; v=1 , Strangler-1 ; p="x"'],
    [true, 'cdn.example:8080,,strangler-1;'],
    // The quoted string never ends: what follows is read as plain text, so that the loop is found.
    [true, 'fred;a="b, strangler-1'],
    [false, 'strangler-2, strangler-11'],
    [false, 'fred;via=strangler-1'],
    [false, 'fred;a="x, strangler-1"'],
    [false, 'fred;a="\\", strangler-1"'],
    [false, ''],
  ])('is a loop (%s) for %j', (expected, cdnLoop) => {
    expect(isLoop({ via: undefined, cdnLoop }, 'strangler-1')).toBe(expected)
  })

  test('an upstream with `via: false` gets CDN-Loop with the name of the gateway and no Via', () => {
    const fields = { via: '1.1 fred', cdnLoop: 'fred;a=1' } as RequestHead['fields']
    const headers = sent({ via: false, head: { fields } })
    expect(headers).not.toHaveProperty('Via')
    expect(headers).toMatchObject({ 'CDN-Loop': 'fred;a=1, strangler-1' })
    expect(sent({ via: false })).toMatchObject({ 'CDN-Loop': 'strangler-1' })
  })

  test('an upstream that gets Via gets the CDN-Loop of the client unchanged', () => {
    const fields = { cdnLoop: 'fred;a=1' } as RequestHead['fields']
    expect(sent({ head: { fields } })).toMatchObject({ 'CDN-Loop': 'fred;a=1', Via: '1.1 strangler-1' })
    expect(sent()).not.toHaveProperty('CDN-Loop')
  })
})

describe('the response fields for the client', () => {
  test('are the fields of the upstream without hop-by-hop fields and fields listed in Connection', () => {
    const token = fc.constantFrom(
      'X-A',
      'x-b',
      'Set-Cookie',
      'ETag',
      'close',
      '',
      'Content-Length',
      'Transfer-Encoding',
    )
    const name = fc.constantFrom(
      'X-A',
      'X-B',
      'Set-Cookie',
      'ETag',
      'X-C',
      'Keep-Alive',
      'keep-alive',
      'KEEP-ALIVE',
      'Alt-Svc',
      'TE',
    )
    const oneHop = new Set(['keep-alive', 'alt-svc', 'te'])
    fc.assert(
      fc.property(fc.array(token), fc.array(name), (tokens, names) => {
        const fields = names.flatMap((field, i) => [field, String(i)])
        const raw = [...fields, 'Connection', tokens.join(' , '), 'Content-Length', '2']
        const listed = new Set(tokens.map((text) => text.toLowerCase()))
        const expected = names.flatMap((field, i) =>
          oneHop.has(field.toLowerCase()) || listed.has(field.toLowerCase()) ? [] : [field, String(i)],
        )
        expect(responseHeaders(raw, 200, true).list).toEqual([...expected, 'Content-Length', '2'])
      }),
    )
  })

  test.each([101, 103, 204])('contain no Content-Length in a %i', (status) => {
    expect(responseHeaders(['Content-Length', '5', 'X', 'y'], status, true).list).toEqual(['X', 'y'])
  })

  test('show whether the upstream has set X-Request-Id', () => {
    expect(responseHeaders(['x-REQUEST-id', '1'], 200, true).hasRequestId).toBe(true)
    expect(responseHeaders(['X-Other', '1'], 200, true).hasRequestId).toBe(false)
  })
})

test('trailers pass unless they change the message or name the user', () => {
  const names = [
    'X-Sum',
    'Authorization',
    'content-TYPE',
    'Set-Cookie',
    'Host',
    'X_Sum',
    'X-User-Id',
    'X-Account',
    'Digest',
  ]
  const raw = names.flatMap((name) => [name, '1'])
  expect(trailers(raw, 'x-account').map(([name]) => name)).toEqual(['X-Sum', 'Digest'])
  expect(trailers(raw, undefined, new Set(['x-account', 'x-sum'])).map(([name]) => name)).toEqual(['Digest'])
  expect(trailers(raw).map(([name]) => name)).toEqual(['X-Sum', 'X-Account', 'Digest'])
})

describe('the fields that name the user', () => {
  const verified = ['X-User-Id', 'J%C3%BCrgen', 'X-Tenant', 'a']
  test.each<[string, string | undefined, Partial<Identity>, string[]]>([
    ['a proxy in front says it', 'x-account', {}, ['x-account', 'Jürgen']],
    ['a token proves it', undefined, { verified }, verified],
    ['both, in headers of their own', 'x-account', { verified }, [...verified, 'x-account', 'J%C3%BCrgen']],
    ['both, in one header: the token', 'x-user-id', { verified }, verified],
  ])('%s', (_, header, identity, expected) => {
    expect(userFields({ ...IDENTITY, kind: 'user', key: 'Jürgen', ...identity }, header)).toEqual(expected)
  })
})

test('a header rule cannot change a response field that does not pass the gateway', () => {
  for (const name of hopByHopOf('Content-Length, X-Request-Id, Sec-WebSocket-Accept, transfer-encoding')) {
    expect(mayChangeResponseField(name), name).toBe(false)
  }
  for (const name of ['Content-Length', 'TRANSFER-ENCODING', 'X-Request-Id']) {
    expect(mayChangeResponseField(name), name).toBe(false)
  }
  expect(mayChangeResponseField('Set-Cookie')).toBe(true)
})
