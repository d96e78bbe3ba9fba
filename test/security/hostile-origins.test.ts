// An upstream that would have the gateway read its answer in another way than it was meant, or pass on half of one as a
// whole. responses.test.ts has the responses that are refused at their head; these tests are about the middle of a response.
import type { Socket } from 'node:net'
import { describe, expect, it } from 'vitest'
import { startGateway } from '../kit/gateway.ts'
import { sharedByFile } from '../kit/lifetime.ts'
import { OK, type Script, startRawOrigin } from '../kit/origin.ts'
import { connectRaw, parse } from '../kit/raw.ts'
import { dechunk } from '../kit/scripted.ts'
import { until } from '../kit/until.ts'
import { knock, request, startTarget } from './attack.ts'

/** The origin answers with what the test put here. */
let answer: Script = () => {}
const target = sharedByFile(() =>
  startTarget({
    script: (socket, seen, count) => {
      if (seen.includes('/knock')) socket.end('HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok')
      else answer(socket, seen, count)
    },
    // Nothing that an origin does here is to keep the next test from it.
    config: { ejection: { consecutiveFailures: 1000 }, retries: { budgetPercent: 0, minimumPerSecond: 0 } },
  }),
)

const latin1 = (text: string) => Buffer.from(text, 'latin1')

/** All that a client gets until its connection is closed, and whether a reset closed it. */
async function receive(bytes: string): Promise<{ text: string; wasReset: boolean }> {
  const client = await connectRaw(target().gateway.port)
  let wasReset = false
  client.socket.on('error', ({ code }: NodeJS.ErrnoException) => {
    wasReset = code === 'ECONNRESET'
  })
  client.send(bytes)
  return { text: await client.closes(), wasReset }
}

const GET = request('GET /', ['Connection: close'])

describe('the gateway breaks off a response with an ambiguous chunk, and never sends its end:', () => {
  const BEGUN = 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nfirst\r\n'

  it.each<[string, string]>([
    ['size 0x5', '0x5\r\nhello\r\n0\r\n\r\n'],
    ['size +5', '+5\r\nhello\r\n0\r\n\r\n'],
    ['size -0', '-0\r\n\r\n'],
    ['size 5_0', '5_0\r\nhello\r\n0\r\n\r\n'],
    ['size with a space before it', ' 5\r\nhello\r\n0\r\n\r\n'],
    ['size with a space after it', '5 \r\nhello\r\n0\r\n\r\n'],
    ['size with a tab after it', '5\t\r\nhello\r\n0\r\n\r\n'],
    ['size with a NUL after it', '5\0\r\nhello\r\n0\r\n\r\n'],
    ['size empty', '\r\n0\r\n\r\n'],
    ['size ;', ';a\r\nhello\r\n0\r\n\r\n'],
    ['size above 2^64', '10000000000000005\r\nhello\r\n0\r\n\r\n'],
    ['size above 2^53', '20000000000005\r\nhello\r\n0\r\n\r\n'],
    ['size in digits of another script', '\xd9\xa5\r\nhello\r\n0\r\n\r\n'],
    ['two sizes', '5,5\r\nhello\r\n0\r\n\r\n'],
    ['bare LF behind the size', '5\nhello\r\n0\r\n\r\n'],
    ['bare CR behind the size', '5\rhello\r\n0\r\n\r\n'],
    ['bare LF in the extension', '5;a\nhello\r\n0\r\n\r\n'],
    ['bare CR in the extension', '5;a\r0\r\n\r\n'],
    ['NUL in the extension', '5;a=\0\r\nhello\r\n0\r\n\r\n'],
    ['an extension of 1 MiB', `5;a=${'x'.repeat(1_048_576)}\r\nhello\r\n0\r\n\r\n`],
    ['data longer than the size', '5\r\nhello!\r\n0\r\n\r\n'],
    ['no line end behind the data', '5\r\nhello0\r\n\r\n'],
    ['bare LF behind the data', '5\r\nhello\n0\r\n\r\n'],
    ['bare CR behind the data', '5\r\nhello\r0\r\n\r\n'],
    ['bare LF behind the last chunk', '0\r\n\n'],
    ['a trailer without a colon', '0\r\nX-Sum\r\n\r\n'],
    ['a trailer with a folded line', '0\r\nX-Sum: 1\r\n 2\r\n\r\n'],
    ['a trailer with a space before the colon', '0\r\nX-Sum : 1\r\n\r\n'],
    ['a trailer with a bare CR', '0\r\nX-Sum: 1\rSet-Cookie: a=1\r\n\r\n'],
    ['a trailer with a bare LF', '0\r\nX-Sum: 1\nSet-Cookie: a=1\r\n\r\n'],
    ['a trailer with a NUL', '0\r\nX-Sum: \0\r\n\r\n'],
    ['a trailer without a name', '0\r\n: 1\r\n\r\n'],
    ['trailers of 1 MiB', `0\r\n${`X-Sum: ${'x'.repeat(1000)}\r\n`.repeat(1000)}\r\n`],
  ])('%s', async (_, trick) => {
    answer = (socket) => void socket.end(latin1(BEGUN + trick))
    const { text } = await receive(GET)
    const { status, head, body } = parse(text, true)
    expect(status, head).toBe(200)
    expect(dechunk(body)).toMatchObject({ body: expect.stringMatching(/^first/), isWhole: false })
    expect(text).not.toMatch(/set-cookie|x-sum/i)
    // For HTTP/1.0 the end of the connection is the end of the body, so only a reset can tell.
    const old = await receive('GET / HTTP/1.0\r\nHost: a\r\n\r\n')
    expect(old.wasReset).toBe(true)
    await knock(target().gateway)
  })

  it.each([
    'Content-Length: 99',
    'Transfer-Encoding: chunked',
    'Connection: X-Y',
    'Host: evil',
    'Set-Cookie: a=1',
    'Trailer: X-Z',
    'Content-Encoding: gzip',
    'Content-Type: text/html',
    'Keep-Alive: timeout=9',
    'Proxy-Authenticate: Basic',
    'Upgrade: h2c',
  ])('a trailer %s is removed from a response that is otherwise complete', async (field) => {
    answer = (socket) => void socket.write(`${BEGUN}0\r\n${field}\r\nX-Sum: 1\r\n\r\n`)
    const { text } = await receive(GET)
    expect(dechunk(parse(text, true).body)).toEqual({ body: 'first', trailers: ['X-Sum: 1'], isWhole: true })
  })
})

describe('a response that breaks off', () => {
  const BODY = 'the quick brown fox'
  const CHUNKED = `HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n9;a="b c"\r\nthe quick\r\nA\r\n brown fox\r\n0\r\nX-Sum: 1\r\n\r\n`
  const COUNTED = `HTTP/1.1 200 OK\r\nContent-Length: ${BODY.length}\r\n\r\n${BODY}`
  const DEATHS = {
    end: (socket: Socket, bytes: string) => void socket.end(bytes),
    reset: (socket: Socket, bytes: string) => void socket.write(bytes, () => socket.resetAndDestroy()),
    // Before anything of it can have been read.
    'reset at once': (socket: Socket, bytes: string) => {
      socket.write(bytes)
      socket.resetAndDestroy()
    },
  }
  const deaths = Object.keys(DEATHS) as (keyof typeof DEATHS)[]

  /** What a client takes an answer for. */
  function taken({ text, wasReset }: { text: string; wasReset: boolean }): string {
    const { status, head, body } = parse(text, true)
    if (status !== 200) return String(status)
    if (/\r\ntransfer-encoding: chunked\r\n/i.test(head)) {
      const read = dechunk(body)
      return read.isWhole ? `whole: ${read.body}` : 'broken'
    }
    const length = /\r\ncontent-length: (\d+)\r\n/i.exec(head)?.[1]
    if (length !== undefined) return body.length === Number(length) ? `whole: ${body}` : 'broken'
    return wasReset ? 'broken' : `whole: ${body}`
  }

  it.each(
    [CHUNKED, COUNTED].flatMap((bytes) => ['HTTP/1.1', 'HTTP/1.0'].flatMap((version) => [[bytes, version] as const])),
  )('after any of its bytes never looks complete: %j to %s', async (bytes, version) => {
    answer = (socket, seen) => {
      const [, how, length] = /GET \/(\d)\/(\d+) /.exec(seen.toString()) ?? []
      DEATHS[deaths[Number(how)] ?? 'end'](socket, bytes.slice(0, Number(length)))
    }
    const ask = async (how: number, length: number) =>
      taken(await receive(`GET /${how}/${length} ${version}\r\nHost: a\r\nConnection: close\r\n\r\n`))
    const looked = new Set<string>()
    const lengths = Array.from({ length: bytes.length }, (_, length) => length)
    while (lengths.length > 0) {
      const tried = lengths.splice(0, 8).flatMap((length) => deaths.map((_, how) => [how, length] as const))
      const seen = await Promise.all(tried.map(([how, length]) => ask(how, length)))
      for (const [i, what] of seen.entries()) {
        expect(['502', 'broken'], `${deaths[tried[i]?.[0] ?? 0]} after ${tried[i]?.[1]} bytes`).toContain(what)
        looked.add(what)
      }
    }
    expect([...looked].sort()).toEqual(['502', 'broken'])
    expect(await ask(deaths.indexOf('end'), bytes.length)).toBe(`whole: ${BODY}`)
    await knock(target().gateway)
  })

  it('in its head after a 103 is answered 502', async () => {
    const early = 'HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n'
    answer = (socket) => void socket.end(`${early}HTTP/1.1 200 OK\r\nContent-`)
    const { text } = await receive(GET)
    expect(text.replaceAll(early, '')).toMatch(/^HTTP\/1\.1 502 /)
  })
})

describe('a body that a response must not have,', () => {
  const FORGED = 'HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nforged'

  it.each([
    ['HEAD', `HTTP/1.1 200 OK\r\nContent-Length: ${FORGED.length}\r\n\r\n${FORGED}`],
    [
      'HEAD',
      `HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n${FORGED.length.toString(16)}\r\n${FORGED}\r\n0\r\n\r\n`,
    ],
    ['GET', `HTTP/1.1 204 No Content\r\nContent-Length: ${FORGED.length}\r\n\r\n${FORGED}`],
    [
      'GET',
      `HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\n\r\n${FORGED.length.toString(16)}\r\n${FORGED}\r\n`,
    ],
    ['GET', `HTTP/1.1 304 Not Modified\r\nContent-Length: ${FORGED.length}\r\n\r\n${FORGED}`],
    ['GET', `HTTP/1.1 304 Not Modified\r\nTransfer-Encoding: chunked\r\n\r\n${FORGED}`],
  ])('for %s with %j, is neither forwarded nor used as another response', async (method, bytes) => {
    let spoilt: Socket | undefined
    answer = (socket) => {
      spoilt = socket
      socket.write(bytes)
    }
    const client = await connectRaw(target().gateway.port)
    client.send(request(`${method} /`))
    await client.receives('\r\n\r\n')
    answer = (socket) => void socket.write('HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nafter')
    client.send(request('GET /'))
    const text = await client.receives(/after$/)
    client.destroy()
    expect(text).not.toContain('forged')
    expect(text.match(/HTTP\/1\.1 /g)).toHaveLength(2)
    await until(() => spoilt?.destroyed === true)
  })

  it.each([
    ['a 103', `HTTP/1.1 103 Early Hints\r\nContent-Length: ${FORGED.length}\r\n\r\n${FORGED}`],
    ['a 100', `HTTP/1.1 100 Continue\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n${OK}`],
  ])('after %s, is read as the next response or refused', async (_, bytes) => {
    answer = (socket) => void socket.end(bytes)
    const { text } = await receive(GET)
    const final = text.replace(/^HTTP\/1\.1 103 [^\r]*\r\n(?:[^\r]+\r\n)*\r\n/, '')
    // A 1xx has no body, so what follows it is read as the next head (RFC 9112 section 6.3).
    expect(final).toMatch(bytes.includes('103') ? /^HTTP\/1\.1 200 .*forged$/s : /^HTTP\/1\.1 502 /)
  })
})

describe('an early response', () => {
  it('before the end of a large upload reaches the client, and the connection closes after it', async () => {
    answer = (socket) => void socket.end('HTTP/1.1 413 Too Large\r\nContent-Length: 3\r\nConnection: close\r\n\r\nbig')
    const upload = Buffer.alloc(8 * 1_048_576, 'x')
    for (let i = 0; i < 10; i++) {
      const client = await connectRaw(target().gateway.port)
      client.send(request('POST /', [`Content-Length: ${upload.length}`]))
      client.send(upload)
      expect(await client.receives(/^HTTP\/1\.1 .*big$/s)).toMatch(/^HTTP\/1\.1 413 /)
      client.destroy()
    }
    await knock(target().gateway)
  })

  it('on an idle connection, before any request, is never used', async () => {
    const forged = 'HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nforged'
    const origin = await startRawOrigin((socket) => void socket.setNoDelay().write(OK))
    const gateway = await startGateway({ legacy: { url: origin.url } })
    for (let i = 0; i < 20; i++) {
      const client = await connectRaw(gateway.port)
      client.send(request('GET /'))
      await client.receives(/ok$/)
      origin.connections.at(-1)?.socket.write(forged)
      client.send(request('GET /', ['Connection: close']))
      expect(await client.closes()).not.toContain('forged')
    }
    expect(await gateway.metric('strangler_bugs_total')).toBe(0)
  })

  it('before the body of its request is forwarded, and the body is not sent to another connection', async () => {
    const origin = await startRawOrigin(OK)
    const gateway = await startGateway({ legacy: { url: origin.url } })
    const client = await connectRaw(gateway.port)
    client.send(request('GET /'))
    await client.receives(/ok$/)
    client.send(request('POST /', ['Content-Length: 5', 'X-Late: 1']))
    await until(() => origin.connections[0]?.bytes.includes('X-Late') === true)
    await client.receives(/ok.*ok$/s)
    client.send('hello')
    expect((await client.closes()).match(/HTTP\/1\.1 \d+/g)).toEqual(['HTTP/1.1 200', 'HTTP/1.1 200'])
    expect(origin.connections.map(({ bytes }) => /hello/.test(bytes.toString()))).toEqual([false])
    expect(await gateway.accessLine(({ method }) => method === 'POST')).toMatchObject({ status: 200, attempts: 1 })
  })
})

describe('a response of a million chunks of one byte', () => {
  it('is forwarded completely while other requests are served', async () => {
    const pieces = 200_000
    answer = (socket, seen) => {
      if (!seen.includes('GET /pieces')) return void socket.write(OK)
      socket.write('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n')
      socket.end(`${'1\r\nx\r\n'.repeat(pieces)}0\r\n\r\n`)
    }
    const whole = receive(request('GET /pieces', ['Connection: close']))
    let isOver = false
    void whole.finally(() => {
      isOver = true
    })
    let served = 0
    while (!isOver) {
      await knock(target().gateway)
      served++
    }
    expect(served).toBeGreaterThan(1)
    expect(dechunk(parse((await whole).text, true).body)).toMatchObject({ body: 'x'.repeat(pieces), isWhole: true })
  })
})
