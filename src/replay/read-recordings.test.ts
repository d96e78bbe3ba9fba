// The parsers of recordings: which entries are requests, which are skipped, and which are unreadable.
import { Readable } from 'node:stream'
import { describe, expect, it } from 'vitest'
import { detectFormat } from './detect-format.ts'
import { readAccessLine } from './read-access-line.ts'
import { readHar } from './read-har.ts'
import { type Line, readLines } from './read-lines.ts'
import { readNginxLine } from './read-nginx-line.ts'
import type { ParsedEntry } from './recording.ts'

/** A parsed entry in one word: the request, or the reason. */
function gist(read: ParsedEntry): string {
  if (read.kind === 'skipped') return read.reason
  return read.kind === 'unreadable' ? 'unreadable' : `${read.request.method} ${read.request.target}`
}

describe('a line of this gateway’s access log', () => {
  const line = (fields: object) => JSON.stringify({ level: 'info', time: 1, client: '203.0.113.9', ...fields })

  it.each([
    [line({ method: 'GET', path: '/a?b=c', status: 200 }), 'GET /a?b=c'],
    [line({ method: 'HEAD', path: '/a', status: 200, requestBytes: 0 }), 'HEAD /a'],
    [line({ method: 'POST', path: '/a', status: 200 }), 'unsafe-method'],
    [line({ method: 'get', path: '/a' }), 'unsafe-method'],
    [line({ method: 'TRACE', path: '/a', failure: 'method-refused' }), 'unsafe-method'],
    [line({ method: 'GET', path: '/a?token=***' }), 'masked'],
    [line({ method: 'GET', path: `/${'a'.repeat(2047)}` }), 'cut'],
    [line({ method: 'GET', path: '/a', status: 101 }), 'upgrade'],
    [line({ method: 'GET', path: '/a', requestBytes: 12 }), 'with-body'],
    [line({ method: 'GET', path: '/a', answeredBy: 'middleware' }), 'not-forwarded'],
    [line({ status: 400, failure: 'malformed' }), 'refused'],
    [line({ msg: 'listening' }), 'unreadable'],
    ['{"method":"GET","pa', 'unreadable'],
    ['null', 'unreadable'],
    ['[1]', 'unreadable'],
    ['', 'unreadable'],
  ])('%s is %s', (text, expected) => {
    expect(gist(readAccessLine(text))).toBe(expected)
  })

  it('leaves out an invalid user agent', () => {
    const read = readAccessLine(line({ method: 'GET', path: '/a', userAgent: 'a\u001b\u2603' }))
    expect(read.kind === 'request' && read.request.fields).toEqual([])
  })

  it('has the client and the user agent, but no host', () => {
    expect(readAccessLine(line({ method: 'GET', path: '/a', userAgent: 'curl/8' }))).toEqual({
      kind: 'request',
      request: {
        ...{ method: 'GET', target: '/a', host: undefined, secure: undefined, client: '203.0.113.9' },
        fields: ['User-Agent', 'curl/8'],
      },
    })
  })
})

describe('a line of an nginx log', () => {
  const line = (request: string, more = '200 12 "-" "-"') =>
    `192.0.2.1 - ada [10/Oct/2026:13:55:36 +0000] "${request}" ${more}`

  it.each([
    [line('GET /a?b=c HTTP/1.1'), 'GET /a?b=c'],
    [line('OPTIONS * HTTP/1.1'), 'OPTIONS *'],
    [line('GET /a HTTP/2.0', '304 0 "https://shop.example/?x=\\x22" "a \\x22b\\x22" "1.2.3.4" 0.012'), 'GET /a'],
    [line('POST /a HTTP/1.1'), 'unsafe-method'],
    [line('GET /chat HTTP/1.1', '101 0 "-" "-"'), 'upgrade'],
    [line('\\x16\\x03\\x01\\x02', '400 150 "-" "-"'), 'unreadable'],
    [line('-', '408 0 "-" "-"'), 'unreadable'],
    [line('GET /a'), 'unreadable'],
    [line('GET /a b HTTP/1.1'), 'unreadable'],
    ['192.0.2.1 - - [10/Oct/2026:13:55:36 +0000] "GET /a HTTP/1.1" 200', 'unreadable'],
    ['GET /a HTTP/1.1', 'unreadable'],
  ])('%s is %s', (text, expected) => {
    expect(gist(readNginxLine(text))).toBe(expected)
  })

  it('is unescaped, and invalid field values are left out', () => {
    const agent = (more: string) => {
      const read = readNginxLine(line('GET /a\\x22b HTTP/1.1', `200 1 "-" "${more}"`))
      return read.kind === 'request' ? [read.request.target, ...read.request.fields] : []
    }
    expect(agent('a \\x22b\\x22')).toEqual(['/a"b', 'User-Agent', 'a "b"'])
    expect(agent('a \\"b\\" \\\\')).toEqual(['/a"b', 'User-Agent', 'a "b" \\'])
    expect(agent('a\\x0D\\x0AX-Evil: 1')).toEqual(['/a"b'])
  })

  it('is parsed in linear time', () => {
    const startedAt = performance.now()
    for (const text of ['1 - '.repeat(250_000), `1 - - ${'['.repeat(1_000_000)}`, line(`${'\\'.repeat(1_000_000)}`)]) {
      expect(readNginxLine(text).kind).toBe('unreadable')
    }
    expect(performance.now() - startedAt).toBeLessThan(2000)
  })
})

describe('a HAR recording', () => {
  const entry = (request: object) => ({
    request: { method: 'GET', url: 'https://shop.example/a', headers: [], ...request },
  })
  const read = (...entries: unknown[]) => readHar(`\ufeff${JSON.stringify({ log: { entries } })}`)

  it.each([
    [{}, 'GET /a'],
    [{ url: 'http://shop.example?x=1#top' }, 'GET /?x=1'],
    [{ url: 'https://ada:secret@shop.example/a%20b' }, 'GET /a%20b'],
    [{ method: 'POST' }, 'unsafe-method'],
    [{ method: 'DELETE', url: 7 }, 'unreadable'],
    [{ url: 'wss://shop.example/live' }, 'upgrade'],
    [{ headers: [{ name: 'Upgrade', value: 'websocket' }] }, 'upgrade'],
    [{ url: 'data:image/png;base64,AAAA' }, 'not-http'],
    [{ url: 'chrome-extension://abc/x.js' }, 'not-http'],
    [{ postData: { text: '{}' } }, 'with-body'],
    [{ bodySize: 3 }, 'with-body'],
    [{ bodySize: -1, postData: null }, 'GET /a'],
    [{ headers: [{ name: 'X-A', value: 'a\r\nX-Evil: 1' }] }, 'unreadable'],
    [{ headers: [{ name: 'X A', value: 'a' }] }, 'unreadable'],
    [{ headers: [{ name: 'X-A', value: '\u2603' }] }, 'unreadable'],
    [{ headers: [{ name: 'X-A' }] }, 'unreadable'],
    [{ headers: {} }, 'unreadable'],
  ])('entry %j is %s', (request, expected) => {
    expect(read(entry(request)).map(gist)).toEqual([expected])
  })

  it('has the end-to-end fields and the host of the URL', () => {
    const headers = [
      ...['Host', 'other.example', ':path', '/a', 'accept', 'text/html ', 'Cookie', 'a=1', 'cookie', 'b=2'],
      ...['Connection', 'keep-alive, X-Hop', 'x-hop', '1', 'TE', 'trailers', 'Content-Length', '0', 'traceparent', 'x'],
    ].flatMap((name, i, names) => (i % 2 === 0 ? [{ name, value: names[i + 1] }] : []))
    expect(read(entry({ url: 'http://ada:x@Shop.example:8080/a', headers }))).toEqual([
      {
        kind: 'request',
        request: {
          ...{ method: 'GET', target: '/a', host: 'shop.example:8080', secure: false, client: undefined },
          fields: ['accept', 'text/html', 'Cookie', 'a=1', 'cookie', 'b=2'],
        },
      },
    ])
  })

  it('keeps its valid entries, and is rejected without a list of entries', () => {
    expect(read(null, 7, {}, { request: null }, entry({})).map(gist)).toEqual([
      ...['unreadable', 'unreadable', 'unreadable', 'unreadable', 'GET /a'],
    ])
    for (const text of ['{}', '[]', 'null', '{"log":{"entries":{}}}', '{"log":null}']) {
      expect(() => readHar(text)).toThrow(/not a HAR/)
    }
    // The message of the parser would quote the document.
    expect(() => readHar('{"log": s3cret')).toThrow(/^it is not a JSON document; check that the file is complete$/)
  })
})

describe('the lines of a stream', () => {
  async function linesOf(pieces: readonly string[], skip?: number, longest?: number): Promise<Line[]> {
    const lines: Line[] = []
    const chunks = Readable.from(pieces.map((piece) => Buffer.from(piece))) as AsyncIterable<Buffer>
    for await (const line of readLines(chunks, skip, longest)) lines.push(line)
    return lines
  }

  it.each([[['a\nb\n']], [['a', '\n', 'b']], [['a\r', '\nb\r\n']], [['', 'a\nb', '']]])(
    'are a and b for the chunks %j',
    async (pieces) => {
      expect((await linesOf(pieces)).map(({ number, text }) => [number, text])).toEqual([
        [1, 'a'],
        [2, 'b'],
      ])
    },
  )

  it('are numbered including empty ones, have their end position, and can be skipped', async () => {
    expect(await linesOf(['a\n\n', 'ü\n'])).toEqual([
      { number: 1, text: 'a', end: 2 },
      { number: 3, text: 'ü', end: 6 },
    ])
    expect((await linesOf(['a\n\nc\nd'], 3)).map(({ text }) => text)).toEqual(['d'])
    expect(await linesOf(['a\nb'], 2)).toEqual([])
    expect(await linesOf([])).toEqual([])
  })

  it('are dropped if they are too long, without damage to the next line', async () => {
    const pieces = ['a\n', 'x'.repeat(60), 'x'.repeat(60), `${'x'.repeat(60)}\nb\n`]
    expect((await linesOf(pieces, 0, 100)).map(({ text }) => text)).toEqual(['a', undefined, 'b'])
    // It is skipped like any other line.
    expect((await linesOf(pieces, 2, 100)).map(({ text }) => text)).toEqual(['b'])
  })
})

describe('the format of a recording', () => {
  const json = '{"level":"info","method":"GET","path":"/a"}\n'
  const combined = '192.0.2.1 - - [10/Oct/2026:13:55:36 +0000] "GET /a HTTP/1.1" 200 1 "-" "-"\n'

  it.each([
    ['{"log":{"version":"1.2"', 'har'],
    ['\ufeff\n{\n  "log": {\n', 'har'],
    [json, 'access-log'],
    [`h":"/a"}\n${json}`, 'access-log'],
    [combined, 'nginx'],
    [`half a line\n\n${combined}`, 'nginx'],
    ['hello\n', undefined],
    ['{"version":"1.2"}', undefined],
    ['', undefined],
  ])('of %j is %s', (text, expected) => {
    expect(detectFormat(text)).toBe(expected)
  })
})
