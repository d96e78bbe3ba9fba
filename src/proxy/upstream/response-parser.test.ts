import http from 'node:http'
import net, { type AddressInfo } from 'node:net'
import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { ResponseError, ResponseParser } from './response-parser.ts'

type Read = {
  readonly heads: { status: number; reason: string; fields: string[] }[]
  body: string
  trailers: readonly string[]
  keepsAlive: boolean
  hint: number | undefined
  /** `over` when the message has ended, or the message of the ResponseError. */
  end: 'over' | 'open' | string
  /** Bytes behind the message. */
  left: number
}

type How = {
  readonly isHead?: boolean
  /** Where the bytes are cut into pieces. */
  readonly cuts?: readonly number[]
  /** Whether the connection ends without an error behind them. */
  readonly closes?: boolean
}

const ROOM = 128 * 1024

/** Reads bytes as a connection does: every piece overwrites the same buffer. */
function read(text: string, { isHead = false, cuts = [], closes = false }: How = {}): Read {
  const bytes = Buffer.from(text, 'latin1')
  const buffer = Buffer.alloc(Math.max(ROOM, bytes.length), '7')
  const result: Read = { heads: [], body: '', trailers: [], keepsAlive: false, hint: undefined, end: 'open', left: 0 }
  const parser = new ResponseParser({
    onHead: (status, reason, fields) => void result.heads.push({ status, reason, fields }),
    onBody: (lent, start, end) => {
      result.body += lent.toString('latin1', start, end)
    },
  })
  parser.expect(isHead)
  try {
    for (let offset = 0, i = 0; offset < bytes.length; i++) {
      const to = cuts[i] ?? bytes.length
      bytes.copy(buffer, 0, offset, to)
      const taken = parser.isOver ? 0 : parser.read(buffer, to - offset)
      if (parser.isOver) result.left += to - offset - taken
      else expect(taken).toBe(to - offset)
      offset = to
    }
    if (closes) parser.endOfConnection()
  } catch (error) {
    if (!(error instanceof ResponseError)) throw error
    return { ...result, end: error.message }
  }
  if (parser.isOver) result.end = 'over'
  return { ...result, trailers: parser.trailers, keepsAlive: parser.keepsAlive, hint: parser.keepAliveHint }
}

const head = (...lines: string[]) => `HTTP/1.1 200 OK\r\n${lines.map((line) => `${line}\r\n`).join('')}\r\n`
const chunked = (body: string, trailers = '') => `${head('Transfer-Encoding: chunked')}${body}0\r\n${trailers}\r\n`

describe('a status line', () => {
  it.each<[string, number, string]>([
    ['HTTP/1.1 200 OK', 200, 'OK'],
    ['HTTP/1.0 200 OK', 200, 'OK'],
    ['HTTP/1.1 200 ', 200, ''],
    // Without the space before an empty reason: common, although RFC 9112 section 4 requires it.
    ['HTTP/1.1 200', 200, ''],
    ['HTTP/1.1 404 Not  Found ', 404, 'Not  Found '],
    ['HTTP/1.1 404 Pas trouv\xe9', 404, 'Pas trouv\xe9'],
    ['HTTP/1.1 999 x', 999, 'x'],
  ])('%j is accepted', (line, status, reason) => {
    const { heads, end } = read(`${line}\r\nContent-Length: 0\r\n\r\n`)
    expect(heads).toEqual([{ status, reason, fields: ['Content-Length', '0'] }])
    expect(end).toBe('over')
  })

  it.each([
    '',
    'HTTP/1.1',
    'HTTP/1.1 ',
    'HTTP/1.1 20',
    'HTTP/1.1 2000 OK',
    'HTTP/1.1 200OK',
    'HTTP/1.1  200 OK',
    'HTTP/1.1\t200 OK',
    'HTTP/1.1 200\tOK',
    'HTTP/1.1 099 OK',
    'HTTP/1.1 -20 OK',
    'HTTP/1.1 2e2 OK',
    'HTTP/1.1 \xb2\xb2\xb2 OK',
    'HTTP/1.2 200 OK',
    'HTTP/1.11 200 OK',
    'HTTP/1. 200 OK',
    'HTTP/2.0 200 OK',
    'HTTP/0.9 200 OK',
    'http/1.1 200 OK',
    ' HTTP/1.1 200 OK',
    '\r\nHTTP/1.1 200 OK',
    'ICY 200 OK',
    'GET / HTTP/1.1',
  ])('%j is rejected', (line) => {
    const { end, heads } = read(`${line}\r\nContent-Length: 0\r\n\r\n`)
    expect([end, heads]).toEqual(['no status line', []])
  })

  it('that is missing is rejected at the first bytes of another protocol, not after 64 KiB', () => {
    expect(read('SSH-2.0-').end).toBe('no status line')
    expect(read('HTTP/2').end).toBe('no status line')
    expect(read('HTT').end).toBe('open')
    expect(read('HTTP/1.').end).toBe('open')
  })
})

describe('field lines', () => {
  it('are reported with order, spelling and duplicates unchanged, without the blanks around a value', () => {
    const { heads } = read(head('b: 1', 'A:2', 'b:  \t3 \t', 'C:', 'D: a : b', 'Content-Length: 0', 'e_\xe9: \xff'))
    expect(heads[0]?.fields).toEqual([
      ...['b', '1', 'A', '2', 'b', '3', 'C', '', 'D', 'a : b', 'Content-Length', '0', 'e_\xe9', '\xff'],
    ])
  })

  it.each([['no colon at all'], [' folded'], ['\tfolded']])('%j is rejected because it has no colon', (line) => {
    expect(read(head('X: y', line, 'Content-Length: 0')).end).toBe('a field without a colon')
  })

  // Node refuses to write invalid names and values. The parser only keeps them from changing the end of the head and the
  // length of the body.
  it.each([
    'X: a\nContent-Length: 5',
    'X: a\rContent-Length: 5',
    'X: a\n\nContent-Length: 5',
    'X: \0Content-Length: 5',
    'Content-Length : 5',
    ' Content-Length: 5',
    'Content-Length\0: 5',
    'Content_Length: 5',
    'Xontent-Length: 5',
    'Transfer-Encodinh: chunked',
    'Transfer-Encoding : chunked',
  ])('%j does not change the framing', (line) => {
    expect(read(`${head(line, 'Content-Length: 2')}okmore`)).toMatchObject({ body: 'ok', end: 'over', left: 4 })
  })
})

describe('a Content-Length', () => {
  it.each<[string, string]>([
    ['Content-Length: 2', 'ok'],
    ['content-length:2', 'ok'],
    ['CONTENT-LENGTH: \t2\t ', 'ok'],
    ['Content-Length: 0002', 'ok'],
    ['Content-Length: 0', ''],
  ])('%j is accepted', (line, body) => {
    expect(read(`${head(line)}ok`.slice(0, head(line).length + body.length))).toMatchObject({ body, end: 'over' })
  })

  it.each(['', '+2', '-2', '2.0', '2e0', '0x2', '2,2', '2, 2', '2,3', '2;', '2 2', '1_0', '\xb2', 'two', '2\n', '\v2'])(
    '%j is rejected',
    (value) => {
      expect(read(`${head(`Content-Length: ${value}`)}ok`)).toMatchObject({ end: 'no length', heads: [] })
    },
  )

  it('beyond the safe integers is rejected', () => {
    expect(read(head('Content-Length: 999999999999999')).end).toBe('open')
    expect(read(head('Content-Length: 9999999999999999')).end).toBe('no length')
    expect(read(head(`Content-Length: ${'0'.repeat(40)}2`)).end).toBe('no length')
    expect(read(head(`Content-Length: ${2n ** 64n + 2n}`)).end).toBe('no length')
  })

  it.each(['2', '3'])('that occurs twice is rejected: 2 and %s', (second) => {
    expect(read(`${head('Content-Length: 2', `content-length: ${second}`)}ok`).end).toBe('two lengths')
  })
})

describe('a transfer coding', () => {
  it.each(['chunked', 'Chunked', 'CHUNKED', ' \tchunked '])('%j is accepted', (value) => {
    expect(read(`${head(`transfer-encoding:${value}`)}2\r\nok\r\n0\r\n\r\n`)).toMatchObject({ body: 'ok', end: 'over' })
  })

  it.each([
    '',
    'identity',
    'gzip',
    'gzip, chunked',
    'chunked, gzip',
    'chunked, chunked',
    'chunked,',
    ',chunked',
    'chunked;q=1',
    '"chunked"',
    'xchunked',
    'chunked\v',
    '\fchunked',
    'chun\xadked',
    'chunked\n',
    'chunked\r X',
  ])('%j is rejected', (value) => {
    const { end, heads } = read(`${head(`Transfer-Encoding: ${value}`)}2\r\nok\r\n0\r\n\r\n`)
    expect([end, heads]).toEqual(['unknown transfer coding', []])
  })

  it.each<[string, string[]]>([
    ['twice', ['Transfer-Encoding: chunked', 'Transfer-Encoding: chunked']],
    ['and another', ['Transfer-Encoding: chunked', 'Transfer-Encoding: identity']],
  ])('%s is rejected', (_, lines) => {
    expect(read(`${head(...lines)}0\r\n\r\n`).end).toBe('unknown transfer coding')
  })

  it.each<[string, string]>([
    ['before a length', head('Transfer-Encoding: chunked', 'Content-Length: 5')],
    ['behind a length', head('Content-Length: 5', 'Transfer-Encoding: chunked')],
    ['in HTTP/1.0', 'HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n'],
    ['beside a length, to HEAD', head('Content-Length: 5', 'Transfer-Encoding: chunked')],
    ['beside a length, in a 304', 'HTTP/1.1 304 x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n'],
  ])('%s is rejected', (name, bytes) => {
    expect(read(`${bytes}0\r\n\r\n`, { isHead: name.endsWith('HEAD') })).toMatchObject({
      end: 'two framings',
      heads: [],
    })
  })
})

describe('chunks', () => {
  it.each<[string, string, string]>([
    ['one', '2\r\nok\r\n', 'ok'],
    ['many', '1\r\no\r\n1\r\nk\r\n', 'ok'],
    ['in capitals and with zeros in front', '00000A\r\n0123456789\r\n0a\r\n0123456789\r\n', '01234567890123456789'],
    ['that hold line ends', '4\r\n\r\n\r\n\r\n', '\r\n\r\n'],
    ['that hold what looks like the last one', '5\r\n0\r\n\r\n\r\n', '0\r\n\r\n'],
    ['with extensions', '2;a\r\nok\r\n2;a=b;c="d;e"\r\nok\r\n2 \t;\r\nok\r\n', 'okokok'],
    ['none', '', ''],
  ])('%s', (_, chunks, body) => {
    expect(read(`${chunked(chunks)}more`)).toMatchObject({ body, end: 'over', left: 4, keepsAlive: true })
  })

  it.each<[string, string, string]>([
    ['without a size', '\r\nok\r\n', 'no chunk size'],
    ['without a valid size', 'g\r\nok\r\n', 'no chunk size'],
    ['of a size with a sign', '+2\r\nok\r\n', 'no chunk size'],
    ['of a size below nothing', '-2\r\nok\r\n', 'no chunk size'],
    ['of a size with a prefix', '0x2\r\nok\r\n', 'no chunk size'],
    ['of a size with a blank before it', ' 2\r\nok\r\n', 'no chunk size'],
    ['of a size with a blank behind it', '2 \r\nok\r\n', 'no chunk size'],
    ['of a size with a dot', '2.0\r\nok\r\n', 'no chunk size'],
    ['of two sizes', '2 2\r\nok\r\n', 'no chunk size'],
    ['of a size that a number cannot hold', '20000000000002\r\nok\r\n', 'no chunk size'],
    ['of a size that 64 bits cannot hold', '10000000000000002\r\nok\r\n', 'no chunk size'],
    ['whose size ends in a bare LF', '2\nok\r\n', 'no chunk size'],
    ['whose size ends in a bare CR', '2\rok\r\n', 'no chunk size'],
    ['whose size ends in CR CR LF', '2\r\r\nok\r\n', 'no chunk size'],
    ['whose extension ends in a bare LF', '2;a\nok\r\n', 'no chunk size'],
    ['whose extension holds a bare CR', '2;\ra\r\nok\r\n', 'no chunk size'],
    ['whose extension holds NUL', '2;\0\r\nok\r\n', 'no chunk size'],
    ['longer than its size', '2\r\nokay\r\n', 'a chunk longer than its size'],
    ['longer than its size by a CR', '2\r\nok\r\r\n', 'a chunk longer than its size'],
    ['that a bare LF ends', '2\r\nok\n', 'a chunk longer than its size'],
    ['that a bare CR ends', '2\r\nok\r2\r\n', 'a chunk longer than its size'],
    ['that nothing ends', '2\r\nok2\r\nok', 'a chunk longer than its size'],
  ])('%s is rejected', (_, chunk, message) => {
    expect(read(chunked(chunk)).end).toBe(message)
  })

  it('of more than 4 GiB are counted correctly', () => {
    expect(read(chunked('fffffffffffff\r\nok\r\n')).end).toBe('open')
  })

  it('may have extensions of at most 4 KiB, in pieces of any size', () => {
    const line = (length: number) => `2;${'x'.repeat(length - 4)}\r\n`
    expect(read(chunked(`${line(4096)}ok\r\n`)).end).toBe('over')
    expect(read(chunked(`${line(4097)}ok\r\n`)).end).toBe('a chunk extension without end')
    // Without an end, it is rejected at the limit.
    const endless = `${head('Transfer-Encoding: chunked')}2;${'x'.repeat(5000)}`
    expect(read(endless, { cuts: everyByte(endless) }).end).toBe('a chunk extension without end')
  })
})

describe('trailers', () => {
  it('are reported when the message has ended', () => {
    expect(read(chunked('2\r\nok\r\n', 'X-Sum: 1\r\nx-sum:\t2 \r\n'))).toMatchObject({
      body: 'ok',
      trailers: ['X-Sum', '1', 'x-sum', '2'],
      end: 'over',
    })
  })

  it('do not change the framing', () => {
    const { end, left, keepsAlive } = read(
      `${chunked('', 'Content-Length: 9\r\nTransfer-Encoding: x\r\nConnection: close\r\n')}next`,
    )
    expect([end, left, keepsAlive]).toEqual(['over', 4, true])
  })

  it('of one message do not leak into the next', () => {
    const parser = new ResponseParser({ onHead: () => {}, onBody: () => {} })
    for (const [text, expected] of [
      [chunked('', 'A: 1\r\n'), ['A', '1']],
      [chunked(''), []],
    ] as const) {
      parser.expect(false)
      parser.read(Buffer.from(text), text.length)
      expect(parser.trailers).toEqual(expected)
    }
  })

  it.each(['no colon\r\n', 'A: 1\r\n folded\r\n'])('%j is rejected', (lines) => {
    expect(read(chunked('', lines)).end).toBe('a trailer without a colon')
  })

  it('may have at most 64 KiB, in pieces of any size', () => {
    const lines = (length: number) => `X: ${'y'.repeat(length - 3)}\r\n`
    const start = chunked('').length - 2
    for (const [length, end] of [
      [65_536, 'over'],
      [65_537, 'trailers without end'],
    ] as const) {
      const text = chunked('', lines(length))
      expect(read(text).end).toBe(end)
      expect(read(text, { cuts: [start, start + length + 3, text.length] }).end).toBe(end)
    }
  })
})

describe('informational responses', () => {
  const early = (status: number, fields = '') => `HTTP/1.1 ${status} x\r\n${fields}\r\n`

  it('are reported in order and have no body, whatever their fields announce', () => {
    const { heads, body, end } = read(
      early(100) +
        early(103, 'Link: </a>\r\nContent-Length: 5\r\n') +
        early(199, 'Transfer-Encoding: chunked\r\nConnection: close\r\nKeep-Alive: timeout=1\r\n') +
        `${head('Content-Length: 2')}ok`,
    )
    expect(heads.map(({ status }) => status)).toEqual([100, 103, 199, 200])
    expect([body, end]).toEqual(['ok', 'over'])
  })

  it('do not determine whether the connection is kept', () => {
    expect(
      read(early(103, 'Connection: close\r\nKeep-Alive: timeout=1\r\n') + head('Content-Length: 0')),
    ).toMatchObject({
      keepsAlive: true,
      hint: undefined,
    })
  })

  it('do not end the message', () => {
    expect(read(early(100)).end).toBe('open')
    expect(read(early(100), { closes: true }).end).toBe('open')
  })
})

describe('a response that has no body', () => {
  it.each<[string, string, How]>([
    ['to HEAD, with a length', head('Content-Length: 4'), { isHead: true }],
    ['to HEAD, in chunks', head('Transfer-Encoding: chunked'), { isHead: true }],
    ['to HEAD, without either', head(), { isHead: true }],
    ['204', 'HTTP/1.1 204 x\r\nContent-Length: 4\r\n\r\n', {}],
    ['204 in chunks', 'HTTP/1.1 204 x\r\nTransfer-Encoding: chunked\r\n\r\n', {}],
    ['304', 'HTTP/1.1 304 x\r\nContent-Length: 4\r\n\r\n', {}],
    ['304 without', 'HTTP/1.1 304 x\r\n\r\n', {}],
  ])('%s ends with its head, and its connection is kept', (_, bytes, how) => {
    expect(read(`${bytes}more`, how)).toMatchObject({ body: '', end: 'over', left: 4, keepsAlive: true })
  })

  it('does not include 205 and similar statuses, which are framed as others are', () => {
    expect(read('HTTP/1.1 205 x\r\nContent-Length: 2\r\n\r\nok')).toMatchObject({ body: 'ok', end: 'over' })
  })
})

describe('a body without length or chunks', () => {
  it('ends with the connection, which is not kept', () => {
    const bytes = `${head('Connection: keep-alive')}all of it`
    expect(read(bytes)).toMatchObject({ end: 'open' })
    expect(read(bytes, { closes: true })).toMatchObject({ body: 'all of it', end: 'over', keepsAlive: false })
    expect(read(head(), { closes: true })).toMatchObject({ body: '', end: 'over', keepsAlive: false })
  })

  it.each([
    `${head('Content-Length: 5')}hell`,
    `${head('Transfer-Encoding: chunked')}5\r\nhello\r\n`,
    `${head('Transfer-Encoding: chunked')}5\r\nhello\r\n0\r\n`,
    `${head('Transfer-Encoding: chunked')}5\r\nhell`,
    'HTTP/1.1 200 OK\r\nX: y',
    'HTTP/1.1 200 OK\r\nX: y\r\n',
  ])('is the only one that may end so: %j is incomplete when the connection ends', (bytes) => {
    expect(read(bytes, { closes: true }).end).toBe('open')
  })
})

describe('the connection', () => {
  it.each<[string, string[], boolean]>([
    ['1', [], true],
    ['1', ['Connection: keep-alive'], true],
    ['1', ['Connection: close'], false],
    ['1', ['connection: CLOSE'], false],
    ['1', ['Connection: x, close'], false],
    ['1', ['Connection: close, keep-alive'], false],
    ['1', ['Connection: keep-alive,close'], false],
    ['1', ['Connection: close', 'Connection: keep-alive'], false],
    ['1', ['Connection: keep-alive', 'Connection: close'], false],
    ['1', ['Connection: close', 'Connection: x'], false],
    ['1', ['Connection: closed'], true],
    ['1', ['Connection: "close"'], true],
    ['1', ['Xonnection: close'], true],
    ['1', ['Connection:'], true],
    ['0', [], false],
    ['0', ['Connection: keep-alive'], true],
    ['0', ['Connection: Keep-Alive, x'], true],
    ['0', ['Connection: x', 'Connection: Keep-Alive'], true],
    ['0', ['Connection: keep-alive', 'Connection: close'], false],
    ['0', ['Connection: close', 'Connection: keep-alive'], false],
  ])('of an HTTP/1.%s response with %j is kept: %s', (minor, lines, stays) => {
    const bytes = head(...lines, 'Content-Length: 0').replace('HTTP/1.1', `HTTP/1.${minor}`)
    expect(read(bytes).keepsAlive).toBe(stays)
  })

  it.each<[string, number | undefined]>([
    ['timeout=5', 5],
    ['timeout=5, max=100', 5],
    ['max=100,timeout=5', 5],
    ['max=100; timeout=5', 5],
    ['Timeout=5', 5],
    ['timeout=0', 0],
    ['xtimeout=5', undefined],
    ['timeout=', undefined],
    ['timeout=-5', undefined],
    ['timeout="5"', undefined],
    ['5', undefined],
    ['', undefined],
  ])('of a response with Keep-Alive: %j may stay idle for %s s', (value, seconds) => {
    expect(read(head(`Keep-Alive: ${value}`, 'Content-Length: 0')).hint).toBe(seconds)
  })
})

describe('the head of a response', () => {
  const ofLength = (length: number) => {
    const around = head('X: ', 'Content-Length: 0').length - 4
    return head(`X: ${'y'.repeat(length - around)}`, 'Content-Length: 0')
  }

  it('may have at most 64 KiB, in pieces of any size', () => {
    for (const [length, end] of [
      [65_536, 'over'],
      [65_537, 'a head without end'],
    ] as const) {
      const text = ofLength(length)
      expect(text).toHaveLength(length + 4)
      expect(read(text).end).toBe(end)
      for (const missing of [1, 2, 3, 4, 5]) expect(read(text, { cuts: [text.length - missing] }).end).toBe(end)
    }
  })

  it('without an end is rejected at the limit, and its cost grows only linearly', () => {
    const text = `HTTP/1.1 200 OK\r\nX: ${'y'.repeat(70_000)}`
    const startedAt = performance.now()
    expect(read(text, { cuts: everyByte(text) }).end).toBe('a head without end')
    expect(performance.now() - startedAt).toBeLessThan(3000)
  })

  it('of usual size does not convert the body behind it to text', () => {
    const body = 'x'.repeat(60_000)
    expect(read(`${head('Content-Length: 60000')}${body}`)).toMatchObject({ body, end: 'over' })
  })
})

describe('a parser that was stopped', () => {
  it('reports nothing more of the message', () => {
    const calls: string[] = []
    const parser: ResponseParser = new ResponseParser({
      onHead: () => {
        calls.push('head')
        parser.stop()
      },
      onBody: () => void calls.push('body'),
    })
    parser.expect(false)
    const bytes = Buffer.from(`${head('Content-Length: 2')}ok`)
    expect(parser.read(bytes, bytes.length)).toBe(bytes.length - 2)
    parser.read(bytes, bytes.length)
    expect([calls, parser.isOver]).toEqual([['head'], false])
  })
})

// ---- cuts ----

const MESSAGES: readonly [string, string, How][] = [
  ['of a length', `${head('Content-Length: 5', 'X: y')}hello`, {}],
  ['in chunks', chunked('5\r\nhello\r\n3;a="b"\r\n\r\n0\r\n', 'A: 1\r\nB: 2\r\n'), {}],
  ['in chunks without trailers', chunked('1\r\n0\r\n'), {}],
  ['behind others', `HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 x\r\nA: b\r\n\r\n${head('Content-Length: 1')}x`, {}],
  ['to HEAD', head('Content-Length: 5'), { isHead: true }],
  ['to the end', `${head('X: y')}\r\n\r\nHTTP/1.1 200 OK\r\n\r\n`, { closes: true }],
  ['with more behind it', `${head('Content-Length: 1')}xHTTP/1.1 200 OK\r\n\r\n`, {}],
  ['with two lengths', `${head('Content-Length: 1', 'Content-Length: 1')}x`, {}],
  ['with a chunk too long', chunked('1\r\nxx\r\n'), {}],
  ['with an invalid trailer', chunked('1\r\nx\r\n', 'nothing\r\n'), {}],
]

/** The offset behind every byte. */
const everyByte = (text: string) => Array.from({ length: text.length }, (_, i) => i + 1)

describe.each(MESSAGES)('the parse of a message %s', (_, text, how) => {
  const whole = read(text, how)

  it('is the same for each cut into two pieces', () => {
    for (let cut = 1; cut < text.length; cut++) expect(read(text, { ...how, cuts: [cut] }), `at ${cut}`).toEqual(whole)
  })

  it('is the same byte by byte', () => {
    expect(read(text, { ...how, cuts: everyByte(text) })).toEqual(whole)
  })

  it('is the same for any pieces', () => {
    const cuts = fc.uniqueArray(fc.integer({ min: 1, max: text.length - 1 }), { maxLength: 12 })
    fc.assert(
      fc.property(cuts, (offsets) => {
        expect(read(text, { ...how, cuts: offsets.sort((a, b) => a - b) })).toEqual(whole)
      }),
      { numRuns: 300 },
    )
  })
})

// ---- against Node's own parser ----

describe('Node’s own parser', () => {
  let bytes = Buffer.alloc(0)
  let server: net.Server
  beforeAll(async () => {
    server = net.createServer((socket) => void socket.on('error', () => {}).once('data', () => socket.end(bytes)))
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  })
  afterAll(() => void server.close())

  function ask(method: string): Promise<Omit<Read, 'end' | 'left' | 'keepsAlive' | 'hint'>> {
    const heads: Read['heads'] = []
    return new Promise((resolve, reject) => {
      const { port } = server.address() as AddressInfo
      const request = http.request({ port, host: '127.0.0.1', method, agent: false, maxHeaderSize: 100_000 })
      request.on('information', ({ statusCode, statusMessage, rawHeaders }) => {
        heads.push({ status: statusCode, reason: statusMessage, fields: rawHeaders })
      })
      request.on('error', reject)
      request.on('response', (response) => {
        heads.push({
          status: response.statusCode ?? 0,
          reason: response.statusMessage ?? '',
          fields: response.rawHeaders,
        })
        let body = ''
        response.setEncoding('latin1').on('data', (text: string) => {
          body += text
        })
        response.on('error', reject)
        response.on('end', () => resolve({ heads, body, trailers: response.rawTrailers }))
      })
      request.end()
    })
  }

  const token = fc.stringMatching(/^[A-Za-z0-9!#$%&'*+.^_`|~-]{1,20}$/).filter((name) => !FRAMING.test(name))
  const value = fc.stringMatching(/^(?:[!-~\x80-\xff](?:[\t -~\x80-\xff]{0,30}[!-~\x80-\xff])?)?$/)
  const lines = fc.array(fc.tuple(token, value), { maxLength: 8 })
  const text = fc.uint8Array({ maxLength: 200 }).map((array) => Buffer.from(array).toString('latin1'))
  const written = (fields: readonly [string, string][]) => fields.map(([name, of]) => `${name}: ${of}\r\n`).join('')
  const chunk = fc.tuple(text, fc.constantFrom('', ';a', ';a=b', ';a="b"', ';a;b'), fc.boolean())
  const body = fc.oneof(
    text.map((content) => [`Content-Length: ${content.length}\r\n`, content] as const),
    text.map((content) => ['', content] as const),
    fc.tuple(fc.array(chunk, { maxLength: 5 }), lines).map(([chunks, trailers]) => {
      const each = chunks
        .filter(([content]) => content !== '')
        .map(([content, extension, isUpper]) => {
          const size = content.length.toString(16)
          return `${isUpper ? size.toUpperCase() : size}${extension}\r\n${content}\r\n`
        })
      return ['Transfer-Encoding: chunked\r\n', `${each.join('')}0\r\n${written(trailers)}\r\n`] as const
    }),
  )
  const reason = fc.stringMatching(/^[\t -~\x80-\xff]{0,20}$/).filter((words) => words === words.trim())
  const message = fc.record({
    early: fc.array(fc.tuple(fc.constantFrom(100, 102, 103, 150), lines), { maxLength: 2 }),
    status: fc.oneof(fc.integer({ min: 200, max: 599 }), fc.constantFrom(204, 304)),
    reason,
    fields: lines,
    body,
    isHead: fc.boolean(),
  })

  it('parses every valid message as this parser does', async () => {
    await fc.assert(
      fc.asyncProperty(message, async ({ early, status, reason, fields, body: [framing, content], isHead }) => {
        const interim = early.map(([code, fieldLines]) => `HTTP/1.1 ${code} x\r\n${written(fieldLines)}\r\n`).join('')
        const hasBody = !isHead && status !== 204 && status !== 304
        const text = `${interim}HTTP/1.1 ${status} ${reason}\r\n${written(fields)}${framing}\r\n${hasBody ? content : ''}`
        bytes = Buffer.from(text, 'latin1')
        const theirs = await ask(isHead ? 'HEAD' : 'GET')
        const ours = read(text, { isHead, closes: true })
        expect({ heads: ours.heads, body: ours.body, trailers: ours.trailers }).toEqual(theirs)
        expect([ours.end, ours.left]).toEqual(['over', 0])
      }),
      { numRuns: 400 },
    )
  })
})

/** Fields that would change the framing of a random message. */
const FRAMING = /^(?:content-length|transfer-encoding|connection|proxy-connection|upgrade|trailer)$/i

describe('an empty line behind an interim response', () => {
  const parse = (text: string, step: number) => {
    const statuses: number[] = []
    const parser = new ResponseParser({ onHead: (status) => void statuses.push(status), onBody: () => {} })
    parser.expect(false)
    const bytes = Buffer.from(text, 'latin1')
    for (let offset = 0; offset < bytes.length; offset += step) {
      const piece = bytes.subarray(offset, offset + step)
      parser.read(piece, piece.length)
    }
    return { statuses, isOver: parser.isOver }
  }
  const FINAL = 'HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n'

  it.each([1, 2, 3, 1000])('is accepted once, read in pieces of %i bytes', (step) => {
    expect(parse(`HTTP/1.1 103 Early Hints\r\n\r\n\r\n${FINAL}`, step)).toEqual({ statuses: [103, 200], isOver: true })
    expect(parse(`HTTP/1.1 103 Early Hints\r\n\r\n${FINAL}`, step)).toEqual({ statuses: [103, 200], isOver: true })
  })

  it.each(['\r\n\r\n', '\n', '\r\r\n'])('is rejected in any other form: %j', (line) => {
    expect(() => parse(`HTTP/1.1 103 Early Hints\r\n\r\n${line}${FINAL}`, 1000)).toThrow(/no status line/)
  })

  it('is rejected without an interim response before it', () => {
    expect(() => parse(`\r\n${FINAL}`, 1000)).toThrow(/no status line/)
  })
})

describe('a head with bare line feeds from an upstream with bareLineFeeds', () => {
  const parse = (text: string, step: number, takesBareLf = true) => {
    const heads: unknown[] = []
    let body = ''
    const sink = {
      onHead: (status: number, reason: string, fields: string[]) => void heads.push([status, reason, ...fields]),
      onBody: (bytes: Buffer, start: number, end: number) => {
        body += bytes.toString('latin1', start, end)
      },
    }
    const parser = new ResponseParser(sink, takesBareLf)
    parser.expect(false)
    const bytes = Buffer.from(text, 'latin1')
    let left = 0
    for (let offset = 0; offset < bytes.length; offset += step) {
      const piece = bytes.subarray(offset, offset + step)
      left += piece.length - (parser.isOver ? 0 : parser.read(piece, piece.length))
    }
    return { heads, body, isOver: parser.isOver, left }
  }
  const STEPS = [1, 2, 3, 5, 7, 1000]
  const HEAD = [200, 'OK', 'X', 'a', 'Content-Length', '5']

  it.each([
    'HTTP/1.1 200 OK\nX: a\nContent-Length: 5\n\n',
    'HTTP/1.1 200 OK\r\nX: a\nContent-Length: 5\r\n\n',
    'HTTP/1.1 200 OK\nX: a\r\nContent-Length: 5\n\r\n',
    'HTTP/1.1 200 OK\nX: a\nContent-Length: 5\r\n\r\n',
    'HTTP/1.1 200 OK\r\nX: a\r\nContent-Length: 5\r\n\r\n',
  ])('is parsed in any pieces: %j', (head) => {
    for (const step of STEPS) {
      expect(parse(`${head}\n\r\n\nHTTP`, step)).toEqual({ heads: [HEAD], body: '\n\r\n\nH', isOver: true, left: 3 })
    }
  })

  it('is parsed at any length, with and without fields', () => {
    const value = 'v'.repeat(60_000)
    const [long] = parse(`HTTP/1.1 200 OK\nX: ${value}\nContent-Length: 0\n\n`, 1000).heads
    expect(long).toEqual([200, 'OK', 'X', value, 'Content-Length', '0'])
    expect(parse('HTTP/1.1 204\n\n', 1)).toEqual({ heads: [[204, '']], body: '', isOver: true, left: 0 })
    expect(() => parse(`HTTP/1.1 200 OK\nX: ${'v'.repeat(70_000)}`, 1000)).toThrow(/head without end/)
  })

  it('is parsed behind an interim response with one superfluous empty line', () => {
    const interim = 'HTTP/1.1 103 Early Hints\n\n'
    const final = 'HTTP/1.1 200 OK\nContent-Length: 0\n\n'
    const heads = [
      [103, 'Early Hints'],
      [200, 'OK', 'Content-Length', '0'],
    ]
    for (const step of STEPS) {
      for (const line of ['', '\n', '\r\n']) expect(parse(interim + line + final, step).heads).toEqual(heads)
    }
    expect(() => parse(`${interim}\n\n${final}`, 1000)).toThrow(/no status line/)
  })

  it('has framing as strict as any other response', () => {
    const start = 'HTTP/1.1 200 OK\nTransfer-Encoding: chunked\n\n'
    expect(parse(`${start}1\r\na\r\n0\r\n\r\n`, 1)).toMatchObject({ body: 'a', isOver: true })
    expect(() => parse(`${start}1\na\r\n0\r\n\r\n`, 1)).toThrow(/no chunk size/)
    expect(() => parse(`${start}1\r\na\n0\r\n\r\n`, 1)).toThrow(/longer than its size/)
    expect(() => parse(`${start}0\n\n`, 1)).toThrow(/no chunk size/)
    expect(parse(`${start}0\r\n\n`, 1).isOver).toBe(false)
    expect(parse(`${start}0\r\nX: a\n\n`, 1).isOver).toBe(false)
    expect(() => parse('HTTP/1.1 200 OK\nContent-Length: 1\nContent-Length: 1\n\n', 1)).toThrow(/two lengths/)
    expect(() => parse('HTTP/1.1 200 OK\nContent-Length: 1\nTransfer-Encoding: chunked\n\n', 1)).toThrow(/two framings/)
    expect(() => parse('HTTP/1.1 200 OK\nX: a\n folded\n\n', 1)).toThrow(/without a colon/)
    expect(() => parse('SSH-2.0-x\n', 1)).toThrow(/no status line/)
    expect(parse('HTTP/1.1 200 OK\rContent-Length: 0\r\r', 1)).toMatchObject({ heads: [], isOver: false })
  })

  it('is rejected from any other upstream', () => {
    for (const step of STEPS) {
      const bare = () => parse('HTTP/1.1 200 OK\nContent-Length: 0\n\n', step, false)
      expect(bare).toThrow(/a head with bare line feeds/)
    }
  })
})
