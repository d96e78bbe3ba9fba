// An upstream that is broken, old or taken over: nothing of an answer that could be read in two ways reaches a client.
import http from 'node:http'
import { describe, expect, it } from 'vitest'
import { sharedByFile } from '../kit/lifetime.ts'
import type { Script } from '../kit/origin.ts'
import { connectRaw, exchange, parse, type RawResponse } from '../kit/raw.ts'
import { linesOf, request, startTarget, valuesOf } from './attack.ts'

/** The origin answers with what the test put here. */
let answer: Script | string = ''
const script: Script = (socket, seen, count) => {
  if (seen.includes('/knock')) socket.end('HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok')
  else if (typeof answer === 'string') socket.write(Buffer.from(answer, 'latin1'))
  else answer(socket, seen, count)
}
const target = sharedByFile(() => startTarget({ script, config: { ejection: { consecutiveFailures: 100 } } }))

async function answered(bytes: Script | string, ask = request('GET /')): Promise<RawResponse> {
  answer = bytes
  return (await target().attack(ask)).response
}

/** A body without a length is read to the end of the connection. */
const andClose =
  (bytes: string): Script =>
  (socket) =>
    void socket.end(Buffer.from(bytes, 'latin1'))

const CANARY = 'of-the-upstream'

describe('a malformed response is answered 502, and none of its bytes reaches the client:', () => {
  it.each<[string, string]>([
    ['length and chunks', `HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n`],
    ['chunks and length', `HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n`],
    ['two lengths that differ', 'HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello!'],
    ['two lengths in one line', 'HTTP/1.1 200 OK\r\nContent-Length: 5, 6\r\n\r\nhello!'],
    ['a length of +5', 'HTTP/1.1 200 OK\r\nContent-Length: +5\r\n\r\nhello'],
    ['a length of -5', 'HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\nhello'],
    ['a length of 0x5', 'HTTP/1.1 200 OK\r\nContent-Length: 0x5\r\n\r\nhello'],
    ['a length above 2^64', 'HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999\r\n\r\nhello'],
    ['a length with a space before the colon', 'HTTP/1.1 200 OK\r\nContent-Length : 5\r\n\r\nhello'],
    ['a status of four digits', 'HTTP/1.1 2000 OK\r\nContent-Length: 0\r\n\r\n'],
    ['a status of two digits', 'HTTP/1.1 20 OK\r\nContent-Length: 0\r\n\r\n'],
    ['a status of letters', 'HTTP/1.1 abc OK\r\nContent-Length: 0\r\n\r\n'],
    ['status 099', 'HTTP/1.1 099 OK\r\nContent-Length: 0\r\n\r\n'],
    ['another protocol', `SSH-2.0-OpenSSH_9.6 ${CANARY}\r\n\r\n`],
    ['HTTP/0.9', `<html>${CANARY}</html>`],
    ['HTTP/7.3', 'HTTP/7.3 200 OK\r\nContent-Length: 0\r\n\r\n'],
    ['a line without a colon', `HTTP/1.1 200 OK\r\n${CANARY}\r\nContent-Length: 0\r\n\r\n`],
    ['a name with a space', `HTTP/1.1 200 OK\r\nX ${CANARY}: y\r\nContent-Length: 0\r\n\r\n`],
    ['a name with a control character', `HTTP/1.1 200 OK\r\nX\x01: ${CANARY}\r\nContent-Length: 0\r\n\r\n`],
    ['a folded line', `HTTP/1.1 200 OK\r\nX: y\r\n ${CANARY}\r\nContent-Length: 0\r\n\r\n`],
    ['NUL in a value', `HTTP/1.1 200 OK\r\nX: ${CANARY}\x00\r\nContent-Length: 0\r\n\r\n`],
    ['NUL in the status line', `HTTP/1.1 200 O\x00K ${CANARY}\r\nContent-Length: 0\r\n\r\n`],
    ['a bare CR in a value', `HTTP/1.1 200 OK\r\nX: y\rSet-Cookie: ${CANARY}=1\r\nContent-Length: 0\r\n\r\n`],
    ['a control character in a value', `HTTP/1.1 200 OK\r\nX: ${CANARY}\x1b[2J\r\nContent-Length: 0\r\n\r\n`],
    [
      'a control character in a 103',
      `HTTP/1.1 103 Early\r\nX: \x01${CANARY}\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n`,
    ],
    [
      'a 101 without an upgrade',
      `HTTP/1.1 101 Switching\r\nUpgrade: ${CANARY}\r\nConnection: Upgrade\r\n\r\n${CANARY}`,
    ],
    ['a broken first chunk size', 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n'.replace('200 OK', 'x')],
  ])('%s', async (_, bytes) => {
    const response = await answered(andClose(bytes))
    expect(response.status, response.head).toBe(502)
    expect(response.head).toMatch(/\r\nContent-Type: application\/problem\+json\r\n/)
    expect(response.head + response.body).not.toContain(CANARY)
    expect(response.body).not.toMatch(/hello|127\.0\.0\.1|HPE_|Parse/)
  })

  it('its connection is not used again', async () => {
    const used = target().origin.connections.length
    await answered('HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello!HTTP/1.1 200 OK\r\n\r\n')
    const [connection] = target().origin.connections.slice(used)
    const next = await answered('HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nnext')
    expect(next.body).toBe('next')
    expect(connection === undefined || connection.bytes.toString().match(/HTTP\/1\.1/g)?.length === 1).toBe(true)
  })

  it('bytes after a complete response are not used as the next response', async () => {
    const first = await answered(
      'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nforged',
    )
    expect(first.body).toBe('ok')
    const next = await answered('HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nnext')
    expect([next.status, next.body]).toEqual([200, 'next'])
  })

  it('a malformed chunk in the middle of a body breaks off the response', async () => {
    answer = andClose('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\nzz\r\n')
    const client = await connectRaw(target().gateway.port)
    client.send(request('GET /'))
    const text = await client.closes()
    expect(text).not.toContain('\r\n0\r\n')
  })
})

describe('a response with', () => {
  it.each<[string, string]>([
    ['10,000 header lines', `HTTP/1.1 200 OK\r\n${'X: y\r\n'.repeat(10_000)}Content-Length: 0\r\n\r\n`.repeat(1)],
    ['10,000 long header lines', `HTTP/1.1 200 OK\r\n${`X-${CANARY}: y\r\n`.repeat(10_000)}Content-Length: 0\r\n\r\n`],
    ['a header of 1 MiB', `HTTP/1.1 200 OK\r\nX: ${CANARY.repeat(70_000)}\r\nContent-Length: 0\r\n\r\n`],
  ])('%s is refused or forwarded completely', async (_, bytes) => {
    const response = await answered(andClose(bytes))
    expect([200, 502]).toContain(response.status)
    if (response.status === 200) expect(valuesOf(response.head, 'x')).toHaveLength(10_000)
    else expect(response.head + response.body).not.toContain(CANARY)
  })

  it('an endless header is cut off', async () => {
    let sent = 0
    const response = await answered((socket) => {
      socket.write('HTTP/1.1 200 OK\r\nX: ')
      const more = () => {
        sent += 65_536
        if (!socket.destroyed) socket.write('a'.repeat(65_536), more)
      }
      more()
    })
    expect(response.status).toBe(502)
    expect(sent).toBeLessThan(64 * 1024 * 1024)
  })

  it('endless informational responses before it is cut off', async () => {
    answer = 'HTTP/1.1 103 Early\r\nX: y\r\n\r\n'.repeat(1000)
    const client = await connectRaw(target().gateway.port)
    client.send(request('GET /'))
    const text = await client.receives('HTTP/1.1 502 ')
    client.destroy()
    expect(text.match(/ 103 /g)?.length).toBeLessThan(100)
  })
})

describe('the fields of a response', () => {
  const fieldsOf = async (fields: string[], ask?: string) =>
    (
      await answered(
        `HTTP/1.1 200 OK\r\n${fields.map((line) => `${line}\r\n`).join('')}Content-Length: 2\r\n\r\nok`,
        ask,
      )
    ).head

  it('are removed if they are hop-by-hop or listed in Connection', async () => {
    const head = await fieldsOf([
      'Connection: X-Foo, x-BAR, Content-Length',
      'X-Foo: 1',
      'X-Bar: 2',
      'X-Kept: 3',
      'Keep-Alive: timeout=99',
      'Proxy-Authenticate: Basic realm="inside"',
      'Proxy-Connection: keep-alive',
      'Alt-Svc: h3=":443"',
      'Upgrade: h2c',
      'TE: trailers',
    ])
    for (const name of ['x-foo', 'x-bar', 'proxy-authenticate', 'proxy-connection', 'alt-svc', 'upgrade', 'te'])
      expect(valuesOf(head, name), name).toEqual([])
    expect(valuesOf(head, 'x-kept')).toEqual(['3'])
    expect(valuesOf(head, 'content-length')).toEqual(['2'])
    expect(valuesOf(head, 'keep-alive')).not.toContain('timeout=99')
  })

  it('keep bytes, order, spelling and repeats if they are end-to-end; Set-Cookie lines are never merged', async () => {
    const fields = [
      'date: Mon, 01 Jan 2024 00:00:00 GMT',
      'Set-Cookie: a=1; Expires=Mon, 01 Jan 2029 00:00:00 GMT; Path=/',
      'X-MiXeD: Value,  spaced',
      'set-cookie: b=2',
      'Vary: Accept',
      'Set-Cookie: a=3; Path=/x',
      'Vary: Cookie',
      'WWW-Authenticate: Basic realm="a", Bearer',
      'WWW-Authenticate: Negotiate',
      'Allow: GET, get, BREW',
      'ETag: W/"x"',
      'Content-Encoding: gzip',
      'Server: Apache/1.3',
      'X_Under_Score: 1',
      '__proto__: 1',
      'X-Latin: caf\xe9',
      'X-Request-Id: of-the-origin',
      'Content-Length: 2',
    ]
    const head = (await answered(`HTTP/1.1 200 OK\r\n${fields.join('\r\n')}\r\n\r\nok`)).head
    const own = /^(?:connection|keep-alive):/i
    expect(
      linesOf(head)
        .slice(1)
        .filter((line) => !own.test(line)),
    ).toEqual(fields)
  })

  it('include the anonymous cookie on a line of its own', async () => {
    const shop = await startTarget({
      script: 'HTTP/1.1 200 OK\r\nSet-Cookie: a=1\r\nSet-Cookie: b=2\r\nContent-Length: 2\r\n\r\nok',
      config: {
        services: { catalog: { url: 'http://127.0.0.1:9' } },
        contexts: { catalog: { owner: 'team', service: 'catalog', flag: 'catalog', routes: ['/catalog'] } },
      },
    })
    const { head } = await exchange(shop.gateway.port, request('GET /catalog'))
    expect(valuesOf(head, 'set-cookie')).toEqual(['a=1', 'b=2', expect.stringMatching(/^strangler_id=/)])
  })

  it.each([
    ['HTTP/1.1 200 Fine By Me', 'HTTP/1.1 200 Fine By Me'],
    ['HTTP/1.1 200 ', 'HTTP/1.1 200 '],
    ['HTTP/1.1 200', 'HTTP/1.1 200 '],
    // obs-text in a reason means nothing (RFC 9112 section 4), and passes as it is.
    ['HTTP/1.1 404 Pas trouv\xe9', 'HTTP/1.1 404 Pas trouv\xe9'],
    ['HTTP/1.1 404 \xd0\x9d\xd0\xb5\xd1\x82', 'HTTP/1.1 404 \xd0\x9d\xd0\xb5\xd1\x82'],
    ['HTTP/1.0 200 OK', 'HTTP/1.1 200 OK'],
    ['HTTP/1.1 599 Odd', 'HTTP/1.1 599 Odd'],
  ])('follow the status line %j, which is forwarded as %j', async (line, expected) => {
    const { head } = await answered(andClose(`${line}\r\nContent-Length: 2\r\n\r\nok`))
    expect(head.split('\r\n')[0]).toBe(expected)
  })

  it('include a Date if the origin has sent none', async () => {
    expect(valuesOf(await fieldsOf([]), 'date')).toHaveLength(1)
    expect(valuesOf(await fieldsOf(['Date: Mon, 01 Jan 2024 00:00:00 GMT']), 'date')).toEqual([
      'Mon, 01 Jan 2024 00:00:00 GMT',
    ])
  })

  it('of status 103 are forwarded before the response, without hop-by-hop fields', async () => {
    answer =
      'HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\nConnection: X-A\r\nX-A: 1\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok'
    const client = await connectRaw(target().gateway.port)
    client.send(request('GET /'))
    const text = await client.receives(/\r\n\r\nok$/)
    client.destroy()
    expect(text).toMatch(/^HTTP\/1\.1 103 Early Hints\r\nLink: <\/a\.css>; rel=preload\r\n\r\nHTTP\/1\.1 200 OK\r\n/)
  })

  it('in trailers are forwarded, except for those that would change the response', async () => {
    const response = await answered(
      'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n2\r\nok\r\n0\r\nX-Sum: 1\r\nSet-Cookie: a=1\r\nContent-Type: text/html\r\n\r\n',
    )
    expect(response.body).toBe('2\r\nok\r\n0\r\nX-Sum: 1\r\n\r\n')
    expect(response.head).not.toMatch(/x-sum: 1|set-cookie/i)
  })

  it.each([
    ['HEAD', 'HTTP/1.1 200 OK\r\nContent-Length: 999\r\n\r\n', '999'],
    ['GET', 'HTTP/1.1 304 Not Modified\r\nETag: "x"\r\n\r\n', undefined],
    ['GET', 'HTTP/1.1 204 No Content\r\n\r\n', undefined],
  ])(
    'for %s with %j keep their length without a body, and the connection stays open',
    async (method, bytes, length) => {
      answer = bytes
      const client = await connectRaw(target().gateway.port)
      client.send(request(`${method} /`))
      await client.receives('\r\n\r\n')
      const first = parse(client.received(), false)
      expect(first.body).toBe('')
      expect(valuesOf(first.head, 'content-length')).toEqual(length === undefined ? [] : [length])
      answer = 'HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nafter'
      client.send(request('GET /'))
      await client.receives(/\r\n\r\nafter$/)
      client.destroy()
    },
  )
})

describe('a large structured body', () => {
  it('such as a gzip bomb is forwarded unchanged in both directions (B33, CVE-2026-22036)', async () => {
    const chain = `Content-Encoding: ${Array.from({ length: 500 }, () => 'gzip').join(', ')}`
    const { head, body } = await answered(`HTTP/1.1 200 OK\r\n${chain}\r\nContent-Length: 4\r\n\r\n\x1f\x8b\x08\x00`)
    expect(linesOf(head)).toContain(chain)
    expect(body).toBe('\x1f\x8b\x08\x00')
    answer = 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok'
    const earlier = target().origin.connections.length
    const upload = request('POST /bomb', ['Content-Encoding: gzip', 'Content-Length: 4'], '\x1f\x8b\x08\x00')
    expect((await exchange(target().gateway.port, upload)).status).toBe(200)
    const seen = target().origin.connections.slice(Math.max(0, earlier - 1))
    expect(seen.some(({ bytes }) => bytes.toString('latin1').includes('\r\n\r\n\x1f\x8b\x08\x00'))).toBe(true)
  })

  it('B33 such as JSON with a million levels is refused by the admin API without being parsed', async () => {
    const deep = '['.repeat(1_000_000)
    const startedAt = performance.now()
    const status = await new Promise<number>((resolve, reject) => {
      const post = http.request(
        {
          port: target().gateway.adminPort,
          host: '127.0.0.1',
          method: 'POST',
          path: '/metrics',
          headers: { 'content-type': 'application/json' },
        },
        (response) => resolve(response.resume().statusCode ?? 0),
      )
      post.on('error', reject)
      post.end(deep)
    })
    expect(status).toBe(405)
    expect(performance.now() - startedAt).toBeLessThan(1000)
  })
})
