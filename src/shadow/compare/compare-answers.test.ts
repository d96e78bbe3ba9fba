import { brotliCompressSync, deflateRawSync, deflateSync, gzipSync, zstdCompressSync } from 'node:zlib'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { Comparison } from '../../model/comparison.ts'
import { answer, compared, gzipped, rulesOf, summary } from './compare.test-kit.ts'
import { type ComparedResponse, compareAnswers } from './compare-answers.ts'
import { DEFAULT_LIMITS } from './compare-limits.ts'

const differ = (legacy: ComparedResponse, service: ComparedResponse, rules: unknown = {}) =>
  summary(compareAnswers(legacy, service, rulesOf(rules)))

const withHeaders = (...headers: string[]) => answer('', '', { headers })

describe('the comparison of statuses', () => {
  test('reports only the status if it differs, because other differences follow from it', () => {
    expect(differ(answer('{"a":1}'), answer('<p>no</p>', 'text/html', { status: 500 }))).toEqual(['status status'])
  })

  test('forgives equivalent statuses and compares the rest', () => {
    const rules = { equivalentStatuses: [[200, 201]] }
    const created = answer('{"a":2}', 'application/json', { status: 201 })
    expect(differ(answer('{"a":1}'), created, rules)).toEqual(['value $.a'])
    const same = compareAnswers(answer('{"a":2}'), created, rulesOf(rules))
    expect(same).toMatchObject({ kind: 'compared', differences: [], forgiven: 1 })
  })

  test('treats an ignored status like an equivalent one', () => {
    expect(
      differ(answer('{"a":1}'), answer('{"a":2}', 'application/json', { status: 201 }), { ignore: ['status'] }),
    ).toEqual(['value $.a'])
  })
})

describe('the comparison of conditional responses', () => {
  const current = answer('', '', { status: 304 })
  test('does not compare a 304 with a 200, because each side has its own validators', () => {
    const sent = answer('{"a":1}')
    for (const pair of [
      [current, sent],
      [sent, current],
    ] as const)
      expect(compareAnswers(...pair)).toEqual({ kind: 'uncomparable', reason: 'conditional' })
    expect(differ(current, current)).toEqual([])
  })

  test('compares a 304 with an error', () => {
    expect(differ(current, answer('no', 'text/plain', { status: 500 }))).toEqual(['status status'])
  })
})

describe('the comparison of header fields', () => {
  test.each<[string, string[], string[], string[]]>([
    ['names in any case, lines in any order', ['A', '1', 'B', '2'], ['b', '2', 'a', '1'], []],
    [
      'fields of the time, of the connection and of the server',
      ['Date', 'x', 'Server', 'a'],
      ['Keep-Alive', 'y', 'Via', '1.1 x'],
      [],
    ],
    ['another value', ['X-Total', '1'], ['X-Total', '2'], ['value header.x-total']],
    ['missing and extra', ['X-A', '1'], ['X-B', '1'], ['extra header.x-b', 'missing header.x-a']],
    ['lists without order', ['Vary', 'Accept, Origin'], ['Vary', 'origin', 'Vary', 'accept'], []],
    [
      'equivalent media types',
      ['Content-Type', 'text/HTML;charset=UTF-8'],
      ['Content-Type', 'text/html; charset="utf-8"'],
      [],
    ],
    ['ETags by presence only', ['ETag', '"1"'], ['ETag', '"2"'], []],
    ['a missing ETag', ['ETag', '"1"'], [], ['missing header.etag']],
    ['cookies by name, not by value', ['Set-Cookie', 'sid=1; Path=/'], ['Set-Cookie', 'sid=2; path=/'], []],
    [
      'attributes of cookies',
      ['Set-Cookie', 'sid=1; Path=/; HttpOnly'],
      ['Set-Cookie', 'sid=2; Path=/x'],
      ['missing cookie.sid.httponly', 'value cookie.sid.path'],
    ],
    [
      'a cookie that one side removes',
      ['Set-Cookie', 'sid=1'],
      ['Set-Cookie', 'sid=; Max-Age=0'],
      ['value cookie.sid'],
    ],
    [
      'a cookie that both sides remove in different ways',
      ['Set-Cookie', 'sid=; Expires=Thu, 01 Jan 1970 00:00:00 GMT'],
      ['Set-Cookie', 'sid=; Max-Age=0'],
      [],
    ],
    [
      'cookies with ids as names as one field',
      ['Set-Cookie', 'a4711=1', 'Set-Cookie', 'a4712=1'],
      [],
      ['missing cookie.*'],
    ],
  ])('handles %s', (_, legacy, service, expected) => {
    expect(differ(withHeaders(...legacy), withHeaders(...service))).toEqual(expected)
  })

  test('applies rules to header fields', () => {
    const rules = { ignore: ['header.x-debug-*'], normalise: [{ path: 'header.location', steps: ['strip-host'] }] }
    const legacy = withHeaders('X-Debug-A', '1', 'Location', 'http://legacy:3001/x')
    expect(differ(legacy, withHeaders('Location', 'https://shop.example/x'), rules)).toEqual([])
  })
})

describe('the comparison of bodies', () => {
  test.each<[string, string, string, string, string[]]>([
    ['text by line', 'text/plain', 'a\nhost: x\nb', 'a\r\nhost: y\r\nb', ['value $.host']],
    ['an inserted line', 'text/plain', 'a\nb', 'a\nx\nb', ['extra $[*]', 'length $']],
    ['forms', 'application/x-www-form-urlencoded', 'a=1&b=2&b=3', 'b=2&b=3&a=%31', []],
    ['forms that differ', 'application/x-www-form-urlencoded', 'a=1&b=2', 'a=2', ['missing $.b', 'value $.a']],
    ['lines of JSON', 'application/x-ndjson', '{"a":1}\n{"a":2}\n', '{"a":1}\n{"a":3}\n', ['value $[*].a']],
    ['vendor’s JSON', 'application/vnd.x+json', '{"a":1,"b":2}', '{"b":2,"a":1}', []],
    ['bytes', 'image/png', 'aaa', 'aab', ['value $']],
    ['bytes of another length', 'image/png', 'aaa', 'aaaa', ['length $']],
    ['text without a media type', '', 'a\nb', 'a\nc', ['value $[*]']],
    ['bytes without a media type', '', 'a\0b', 'a\0c', ['value $']],
    ['a missing body', 'application/json', '{"a":1}', '', ['missing $']],
    [
      'HTML: white space and the order of attributes',
      'text/html',
      '<p class="b a" id=x>Hello\n  you</p>',
      '<p id="x" class="a b">Hello you </p>',
      [],
    ],
    [
      'HTML: text',
      'text/html',
      '<ul><li>a<li>b</ul>',
      '<ul><li>a</li><li>c</li></ul>',
      ['value $.html.body.ul.li.#text'],
    ],
    [
      'HTML: an inserted banner',
      'text/html',
      '<h1>a</h1><p>b</p>',
      '<div class=x>!</div><h1>a</h1><p>b</p>',
      ['extra $.html.body.div'],
    ],
    [
      'HTML: a form field by its name',
      'text/html',
      '<form><input name=token value=1><input name=q value=2></form>',
      '<form><input name=token value=9><input name=q value=2></form>',
      ['value $.html.body.form.input:token.@value'],
    ],
    ['HTML: order', 'text/html', '<p>a</p><p>b</p>', '<p>b</p><p>a</p>', ['order $.html.body']],
    [
      'HTML: omitted tags, as in a browser',
      'text/html',
      '<p>a<p>b',
      '<html><head></head><body><p>a</p><p>b</p></body></html>',
      [],
    ],
    [
      'XML',
      'application/xml',
      '<a x="1" y="2"><b>t</b></a>',
      '<?xml version="1.0"?>\n<a y="2"\n x="1">\n <b>t</b>\n</a>',
      [],
    ],
    [
      'XML: attribute, text, element',
      'text/xml',
      '<a x="1"><b>t</b><c/></a>',
      '<a x="2"><b>u</b></a>',
      ['missing $.a.c', 'value $.a.@x', 'value $.a.b.#text'],
    ],
    ['XML that is malformed on one side', 'text/xml', '<a/>', '<a>', ['malformed $']],
  ])('handles %s', (_, type, legacy, service, expected) => {
    expect(compared(legacy, service, type)).toEqual(expected)
  })

  test('reports HTML instead of JSON as another type', () => {
    expect(differ(answer('{"a":1}'), answer('<p>', 'text/html'))).toEqual(['type $', 'value header.content-type'])
  })

  test('decodes the charset', () => {
    const latin = answer(Buffer.from('caf\xe9', 'latin1'), 'text/plain; charset=iso-8859-1')
    expect(differ(latin, answer('café', 'text/plain; charset=utf-8'))).toEqual(['value header.content-type'])
    expect(differ(answer(Buffer.from([0x22, 0xff, 0x22])), answer('"a"'))).toEqual(['malformed $'])
  })

  test.each<[string, ComparedResponse, string]>([
    ['server-sent events', answer('data: 1', 'text/event-stream'), 'streaming'],
    ['a range', answer('{}', 'application/json', { status: 206 }), 'partial'],
    ['a truncated body', answer('{}', 'application/json', { isTruncated: true }), 'truncated'],
  ])('does not compare %s', (_, response, reason) => {
    expect(differ(response, { ...response, body: Buffer.from('[]') })).toEqual([`uncomparable ${reason}`])
  })

  test('reports differences in the header fields although the bodies cannot be compared', () => {
    const cut = answer('{}', 'application/json', { isTruncated: true })
    expect(differ(cut, { ...cut, headers: ['Content-Type', 'text/html'] })).toEqual(['value header.content-type'])
  })

  test('counts forgiven differences', () => {
    const comparison = compareAnswers(answer('{"a":1}'), answer('{"a":2}'), rulesOf({ ignore: ['$.a'] }))
    expect(comparison).toEqual({ kind: 'compared', differences: [], more: false, forgiven: 1 })
  })
})

describe('the comparison of coded bodies', () => {
  const json = JSON.stringify({ a: Array.from({ length: 50 }, (_, i) => i) })
  const coded = (coding: string, body: Uint8Array) =>
    answer(body, 'application/json', { headers: ['Content-Type', 'application/json', 'Content-Encoding', coding] })

  test.each<[string, Uint8Array]>([
    ['gzip', gzipSync(json)],
    ['x-gzip', gzipSync(json)],
    ['deflate', deflateSync(json)],
    ['deflate', deflateRawSync(json)],
    ['br', brotliCompressSync(json)],
    ['zstd', zstdCompressSync(json)],
    ['identity', Buffer.from(json)],
    ['gzip, br', brotliCompressSync(gzipSync(json))],
  ])('decodes %s', (coding, body) => {
    expect(differ(answer(json), coded(coding, body))).toEqual([])
  })

  test('stops decoding a decompression bomb of a gigabyte in a megabyte', () => {
    const bomb = gzipSync(Buffer.alloc(64 * 1024 * 1024))
    const startedAt = performance.now()
    expect(differ(coded('gzip', bomb), answer(json))).toEqual(['uncomparable too-large'])
    expect(differ(coded('gzip', gzipSync(Buffer.alloc(4 * 1024 * 1024))), answer(json))).toEqual(['uncomparable bomb'])
    expect(differ(coded('br', brotliCompressSync(Buffer.alloc(4 * 1024 * 1024))), answer(json))).toEqual([
      'uncomparable bomb',
    ])
    expect(differ(coded('gzip, gzip', gzipSync(bomb)), answer(json))).toEqual(['uncomparable bomb'])
    expect(performance.now() - startedAt).toBeLessThan(3000)
  })

  test('does not compare unknown codings, and more than two codings', () => {
    expect(differ(coded('lzma', Buffer.from('x')), answer(json))).toEqual(['uncomparable unknown-coding'])
    expect(differ(coded('gzip, gzip, gzip', gzipSync('x')), answer(json))).toEqual(['uncomparable unknown-coding'])
    expect(differ(coded('constructor', Buffer.from('x')), answer(json))).toEqual(['uncomparable unknown-coding'])
  })

  test('reports a broken coding on one side, and compares the bytes if both are broken', () => {
    const broken = coded('gzip', gzipSync(json).subarray(0, 20))
    expect(differ(gzipped(json), broken)).toEqual(['malformed $'])
    expect(differ(broken, coded('gzip', Buffer.from('xx')))).toEqual(['length $'])
  })
})

describe('the comparison of hostile bodies', () => {
  const deep = 100_000
  const list = Array.from({ length: 5000 }, (_, i) => i)
  test.each<[string, string, string, string]>([
    ['JSON, deep', 'application/json', '['.repeat(deep), 'too-deep'],
    ['XML, deep', 'application/xml', '<a>'.repeat(deep) + '</a>'.repeat(deep), 'too-deep'],
    ['HTML, deep', 'text/html', '<div>'.repeat(deep), 'too-deep'],
    ['HTML that opens all that is open again', 'text/html', list.map((i) => `<font a=${i}><p>`).join(''), 'too-deep'],
    [
      'the same, not so deep',
      'text/html',
      `<p>${list
        .slice(0, 50)
        .map((i) => `<font a=${i}>`)
        .join('')}${'</p><p>x'.repeat(20_000)}`,
      'too-complex',
    ],
    [
      'HTML whose end tags each look at all that is open',
      'text/html',
      '<div>'.repeat(20_000) + '</x>'.repeat(20_000),
      'too-deep',
    ],
    ['JSON, wide', 'application/json', `[${'0,'.repeat(300_000)}0]`, 'too-complex'],
    ['XML, wide', 'application/xml', `<a>${'<b/>'.repeat(600_000)}</a>`, 'too-complex'],
    ['lines', 'text/plain', '\n'.repeat(300_000), 'too-complex'],
    ['a form', 'application/x-www-form-urlencoded', 'a&'.repeat(300_000), 'too-complex'],
  ])('stops soon at %s', (_, type, body, reason) => {
    const startedAt = performance.now()
    expect(compared(body, `${body} `, type)).toEqual([`uncomparable ${reason}`])
    expect(performance.now() - startedAt).toBeLessThan(3000)
  })

  test('treats XML with declared entities as malformed, without expanding them or reading files', () => {
    const bomb = '<!DOCTYPE a [<!ENTITY b "ha"><!ENTITY c "&b;&b;">]><a>&c;</a>'
    const file = '<!DOCTYPE a [<!ENTITY b SYSTEM "file:///etc/passwd">]><a>&b;</a>'
    expect(compared(bomb, '<a>haha</a>', 'text/xml')).toEqual(['malformed $'])
    expect(compared(file, '<a>x</a>', 'text/xml')).toEqual(['malformed $'])
  })

  test('compares texts of a mebibyte without a line end in bounded time', () => {
    const startedAt = performance.now()
    const long = 'x'.repeat(1 << 20)
    expect(compared(`"${long}a"`, `"${long}b"`)).toEqual(['value $'])
    expect(compared(`${long}a`, `${long}b`, 'text/plain')).toEqual(['value $[*]'])
    expect(compared(`<p>${long}a`, `<p>${long}b`, 'text/html')).toEqual(['value $.html.body.p.#text'])
    expect(performance.now() - startedAt).toBeLessThan(3000)
  })
})

test('bodies with the same bytes are not parsed', () => {
  const body = Buffer.from('['.repeat(100_000))
  expect(differ(answer(body), answer(Buffer.from(body)))).toEqual([])
})

test('equal bodies match, whatever the limits', () => {
  const comparison: Comparison = compareAnswers(answer('{"a":1}'), answer('{"a":2}'), undefined, {
    ...DEFAULT_LIMITS,
    maxDecodedBytes: 3,
  })
  expect(summary(comparison)).toEqual(['uncomparable too-large'])
})

describe('the comparison of random bodies', () => {
  const types = ['application/json', 'text/html', 'application/xml', 'text/plain; charset=utf-16le', '']
  const type = fc.constantFrom(
    ...types,
    'application/x-ndjson',
    'application/x-www-form-urlencoded',
    'text/html; charset=nonsense',
  )
  const pieces = fc.constantFrom(
    ...[
      '<',
      '>',
      '</',
      '/>',
      '<a',
      ' b="',
      '&',
      '&amp;',
      '&x;',
      '<!--',
      '-->',
      '<![CDATA[',
      ']]>',
      '<?',
      '<!DOCTYPE',
      '<table>',
    ],
    ...[
      '{',
      '}',
      '[',
      ']',
      '"',
      ':',
      ',',
      '1e9',
      '\\u',
      '=',
      '\n',
      '\r\n',
      '\0',
      'a',
      '<svg>',
      '<template>',
      '<p>',
      '\ud800',
    ],
  )
  const body = fc.oneof(
    fc.array(pieces, { maxLength: 25 }).map((parts) => Buffer.from(parts.join(''))),
    fc.uint8Array({ maxLength: 60 }).map((bytes) => Buffer.from(bytes)),
  )
  const coding = fc.constantFrom('', '', 'gzip', 'br', 'deflate', 'zstd', 'x', 'gzip, gzip', ',,')

  test('never throws, is deterministic, and finds no difference between a body and itself', () => {
    fc.assert(
      fc.property(body, body, type, coding, (legacy, service, mediaType, contentCoding) => {
        const of = (bytes: Uint8Array) =>
          answer(bytes, mediaType, { headers: ['Content-Type', mediaType, 'Content-Encoding', contentCoding] })
        const first = compareAnswers(of(legacy), of(service))
        expect(compareAnswers(of(legacy), of(service))).toEqual(first)
        expect(differ(of(legacy), of(Buffer.from(legacy)))).toEqual([])
      }),
      { numRuns: 3000 },
    )
  })

  test('never throws for random header fields', () => {
    const line = fc.array(
      fc.constantFrom('set-cookie', 'Vary', 'content-type', 'a', '=', ';', ',', ' ', 'Path', 'Max-Age=0', '"'),
      { maxLength: 8 },
    )
    const headers = fc
      .array(fc.tuple(line, line).map((pair) => pair.map((parts) => parts.join(''))))
      .map((pairs) => pairs.flat())
    fc.assert(
      fc.property(headers, headers, (legacy, service) => {
        compareAnswers(withHeaders(...legacy), withHeaders(...service))
        expect(differ(withHeaders(...legacy), withHeaders(...legacy))).toEqual([])
      }),
      { numRuns: 1000 },
    )
  })
})
