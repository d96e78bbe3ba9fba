// Request smuggling: two parties that disagree on where a request ends. Whatever could be read in two ways is refused
// before a byte of it is forwarded. The numbers are those of docs/security.md.
import { describe, expect, it } from 'vitest'
import { startGateway } from '../kit/gateway.ts'
import { sharedByFile } from '../kit/lifetime.ts'
import { type HttpOrigin, startHttpOrigin } from '../kit/origin.ts'
import { connectRaw, exchange } from '../kit/raw.ts'
import { until } from '../kit/until.ts'
import { expectRefused, knock, request, startTarget } from './attack.ts'

const target = sharedByFile(() => startTarget())

const SMUGGLED = 'GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n'

// The attack: the gateway uses one length and the origin another. The difference becomes a request that no one has checked.
describe('the gateway refuses a request whose length is ambiguous:', () => {
  it.each<[string, string[]]>([
    ['B5 Content-Length 5 and 6', ['Content-Length: 5', 'Content-Length: 6']],
    ['B5 Content-Length 5, 6', ['Content-Length: 5, 6']],
    ['B6 Content-Length +5', ['Content-Length: +5']],
    ['B6 Content-Length -1', ['Content-Length: -1']],
    ['B6 Content-Length 0x5', ['Content-Length: 0x5']],
    ['B6 Content-Length 5_0', ['Content-Length: 5_0']],
    ['B6 Content-Length 1e1', ['Content-Length: 1e1']],
    ['B6 Content-Length 5 5', ['Content-Length: 5 5']],
    ['B6 Content-Length ٥ (UTF-8)', ['Content-Length: \xd9\xa5']],
    ['B6 Content-Length empty', ['Content-Length:']],
    ['B6 Content-Length "5"', ['Content-Length: "5"']],
    ['B6 Content-Length 5;', ['Content-Length: 5;']],
    ['B6 Content-Length 5,', ['Content-Length: 5,']],
    ['B7 Content-Length 5 twice: refused, never merged', ['Content-Length: 5', 'Content-Length: 5']],
    ['B7 Content-Length 5, 5: refused, never merged', ['Content-Length: 5, 5']],
    ['B8 Content-Length above 2^64', ['Content-Length: 99999999999999999999']],
    ['B8 Content-Length 2^64 + 5', ['Content-Length: 18446744073709551621']],
    ['B8 Content-Length of 400 digits', [`Content-Length: ${'9'.repeat(400)}`]],
    ['B9 space before the colon', ['Content-Length : 5']],
    ['B9 byte 0x85 before the colon', ['Content-Length\x85: 5']],
    ['B9 tab before the colon', ['Content-Length\t: 5']],
    ['B10 length, then chunked', ['Content-Length: 5', 'Transfer-Encoding: chunked']],
    ['B10 chunked, then length', ['Transfer-Encoding: chunked', 'Content-Length: 5']],
    ['B10 length 0, then chunked', ['Content-Length: 0', 'Transfer-Encoding: chunked']],
    ['B10 chunked, then length in other case', ['TRANSFER-ENCODING: chunked', 'content-length: 5']],
  ])('%s', async (_, fields) => {
    await expectRefused(target(), request('POST /', fields, `hello${SMUGGLED}`))
  })

  it('B9 but drops Content_Length, which does not frame a body', async () => {
    const { heads, response } = await target().attack(
      request('POST /first', ['Content_Length: 5', 'Connection: close']),
    )
    expect(response.status).toBe(200)
    expect(heads).toHaveLength(1)
    expect(heads[0]).not.toMatch(/content.length: 5/i)
    expect(heads[0]).not.toContain('_')
  })
})

describe('the gateway refuses a request whose transfer coding is ambiguous:', () => {
  it.each<[string, string[]]>([
    ['B11 TE: xchunked', ['Transfer-Encoding: xchunked']],
    ['B11 TE: chunked, chunked', ['Transfer-Encoding: chunked, chunked']],
    ['B11 TE: chunked, gzip', ['Transfer-Encoding: chunked, gzip']],
    ['B11 TE: gzip, chunked', ['Transfer-Encoding: gzip, chunked']],
    ['B11 TE: gzip', ['Transfer-Encoding: gzip']],
    ['B11 TE: identity', ['Transfer-Encoding: identity']],
    ['B11 TE: chunked, identity', ['Transfer-Encoding: chunked, identity']],
    ['B11 TE: ,chunked', ['Transfer-Encoding: ,chunked']],
    ['B11 TE: chunked,', ['Transfer-Encoding: chunked,']],
    ['B11 TE: chunked;a=b', ['Transfer-Encoding: chunked;a=b']],
    ['B11 TE: "chunked"', ['Transfer-Encoding: "chunked"']],
    ['B11 TE empty', ['Transfer-Encoding:']],
    ['B11 TE: \\x0bchunked', ['Transfer-Encoding: \x0bchunked']],
    ['B11 TE: chunked\\x00', ['Transfer-Encoding: chunked\x00']],
    ['B11 TE: chunked\\xa0', ['Transfer-Encoding: chunked\xa0']],
    ['B11 TE in a folded line', ['Transfer-Encoding:', ' chunked']],
    ['B11 TE: chunked with a folded line after it', ['Transfer-Encoding: chunked', ' , identity']],
    ['B11 two TE lines', ['Transfer-Encoding: chunked', 'Transfer-Encoding: chunked']],
    ['B11 two TE lines, the second unknown', ['Transfer-Encoding: chunked', 'Transfer-Encoding: x']],
    ['B11 two TE lines, the first unknown', ['Transfer-Encoding: x', 'Transfer-Encoding: chunked']],
    ['B11 TE with a space before the colon', ['Transfer-Encoding : chunked']],
    ['B11 TE with a tab before the colon', ['Transfer-Encoding\t: chunked']],
    ['B11 TE as a folded line of the field before it', ['X: y', ' Transfer-Encoding: chunked']],
  ])('%s', async (_, fields) => {
    await expectRefused(target(), request('POST /', fields, `0\r\n\r\n${SMUGGLED}`), [400, 501])
  })

  it('B12 TE: chunked in HTTP/1.0', async () => {
    const bytes = `POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n${SMUGGLED}`
    await expectRefused(target(), bytes)
  })

  it('but drops Transfer_Encoding, which does not frame a body', async () => {
    const { heads } = await target().attack(request('GET /first', ['Transfer_Encoding: chunked', 'Connection: close']))
    expect(heads).toHaveLength(1)
    expect(heads[0]).not.toMatch(/transfer.encoding/i)
  })
})

describe('the gateway refuses a chunk whose size or end is ambiguous:', () => {
  const chunked = (body: string) => request('POST /chunked', ['Transfer-Encoding: chunked'], body)

  it.each<[string, string]>([
    ['B13 size 0x5', '0x5\r\nhello\r\n0\r\n\r\n'],
    ['B13 size -0', '-0\r\n\r\n'],
    ['B13 size +5', '+5\r\nhello\r\n0\r\n\r\n'],
    ['B13 size 5_0', '5_0\r\nhello\r\n0\r\n\r\n'],
    ['B13 size with a space before it', ' 5\r\nhello\r\n0\r\n\r\n'],
    ['B13 size with a space after it', '5 \r\nhello\r\n0\r\n\r\n'],
    ['B13 size with a tab after it', '5\t\r\nhello\r\n0\r\n\r\n'],
    ['B13 size ;', ';\r\nhello\r\n0\r\n\r\n'],
    ['B13 size FFFFFFFFFFFFFFFFF', 'FFFFFFFFFFFFFFFFF\r\nhello\r\n0\r\n\r\n'],
    ['B13 size 10000000000000005', '10000000000000005\r\nhello\r\n0\r\n\r\n'],
    ['B13 size empty', '\r\nhello\r\n0\r\n\r\n'],
    ['B13 size g', 'g\r\nhello\r\n0\r\n\r\n'],
    ['B14 extension: bare ;', '5;\r\nhello\r\n0\r\n\r\n'],
    ['B14 extension: NUL', '5;a=\x00\r\nhello\r\n0\r\n\r\n'],
    ['B14 extension: bare LF ends it', '5;a\nhello\r\n0\r\n\r\n'],
    ['B14 bare LF ends the size', '5\nhello\r\n0\r\n\r\n'],
    ['B14 bare CR in the extension', '5\r\r;a\r\nhello\r\n0\r\n\r\n'],
    ['B14 bare CR ends the extension', '5;a\rhello\r\n0\r\n\r\n'],
    ['B14 quotes unbalanced', '5;a="b\r\nhello\r\n0\r\n\r\n'],
    ['B15 an extra CRLF before the last chunk size', '\r\n0\r\n\r\n'],
  ])('%s', async (_, body) => {
    await expectRefused(target(), chunked(`${body}${SMUGGLED}`))
  })

  it.each<[string, string]>([
    ['B15 a length in a trailer', '5\r\nhello\r\n0\r\nContent-Length: 5\r\n\r\n'],
    ['B15 chunks in a trailer', '5\r\nhello\r\n0\r\nTransfer-Encoding: chunked\r\n\r\n'],
    ['B15 data longer than the size', '5\r\nhelloworld\r\n0\r\n\r\n'],
    ['B15 no CRLF after the data', '5\r\nhello0\r\n\r\n'],
    ['B15 LF after the data', '5\r\nhello\n0\r\n\r\n'],
    ['B15 CR after the data', '5\r\nhello\r0\r\n\r\n'],
    ['B15 terminator with a field that has no colon', '5\r\nhello\r\n0\r\nX\r\n\r\n'],
    ['B15 an extra CRLF between chunks', '5\r\nhello\r\n\r\n0\r\n\r\n'],
  ])('%s: the origin gets neither a complete request nor a second one', async (_, body) => {
    const client = await connectRaw(target().gateway.port)
    const earlier = target().origin.connections.length
    client.send(chunked(`${body}${SMUGGLED}`))
    const answer = await client.closes()
    expect(answer).toMatch(/^HTTP\/1\.1 400 /)
    await knock(target().gateway)
    const seen = target()
      .origin.connections.slice(earlier)
      .map(({ bytes }) => bytes.toString('latin1'))
      .join('')
    expect(seen).not.toContain('/smuggled')
    expect(seen).not.toContain('\r\n0\r\n')
  })

  it('B15 bytes after the terminator 0 CRLF become a trailer and never a request', async () => {
    const { response, heads } = await target().attack(chunked(`5\r\nhello\r\n0\r\nX:${SMUGGLED}`))
    expect(response.status).toBe(200)
    expect(heads).toHaveLength(1)
    expect(heads[0]).toContain('/chunked')
  })

  it('B14 a chunk extension of 64 KB', async () => {
    await expectRefused(target(), chunked(`5;${'a'.repeat(65_536)}\r\nhello\r\n0\r\n\r\n`), [400, 413])
  })

  it('but accepts a chunk extension of a few bytes, and does not forward it', async () => {
    const { response, heads } = await target().attack(chunked('5;a=b;c="d e"\r\nhello\r\n0\r\n\r\n'))
    expect(response.status).toBe(200)
    expect(heads).toHaveLength(1)
    expect(target().origin.connections.every(({ bytes }) => !bytes.includes('c="d e"'))).toBe(true)
  })
})

describe('the gateway refuses a malformed head:', () => {
  it.each<[string, string]>([
    ['B16 bare LF after the request line', 'GET / HTTP/1.1\nHost: a\r\n\r\n'],
    ['B16 bare LF after a field', 'GET / HTTP/1.1\r\nHost: a\nX: y\r\n\r\n'],
    ['B16 bare LF everywhere', 'GET / HTTP/1.1\nHost: a\n\n'],
    ['B16 bare LF ends the head', 'GET / HTTP/1.1\r\nHost: a\r\nX: y\n\n'],
    ['B16 CRLF LF ends the head', 'GET / HTTP/1.1\r\nHost: a\r\n\n'],
    ['B16 bare CR in a value', 'GET / HTTP/1.1\r\nHost: a\r\nX: y\rz\r\n\r\n'],
    ['B16 bare CR before a field', 'GET / HTTP/1.1\r\nHost: a\r\n\rX: y\r\n\r\n'],
    ['B16 NUL in a value', 'GET / HTTP/1.1\r\nHost: a\r\nX: y\x00z\r\n\r\n'],
    ['B16 NUL in a name', 'GET / HTTP/1.1\r\nHost: a\r\nX\x00Y: z\r\n\r\n'],
    ['B16 NUL in the URL', 'GET /a\x00b HTTP/1.1\r\nHost: a\r\n\r\n'],
    ['B16 NUL in the method', 'GE\x00T / HTTP/1.1\r\nHost: a\r\n\r\n'],
    ['B16 DEL in a value', 'GET / HTTP/1.1\r\nHost: a\r\nX: y\x7fz\r\n\r\n'],
    ['B16 ESC in a value', 'GET / HTTP/1.1\r\nHost: a\r\nX: y\x1bz\r\n\r\n'],
    ['B16 CR LF CR and a byte', 'GET / HTTP/1.1\r\nHost: a\r\n\rZ'],
    ['B16 a folded line', 'GET / HTTP/1.1\r\nHost: a\r\nX: y\r\n z\r\n\r\n'],
    ['B16 a folded first line', 'GET / HTTP/1.1\r\n X: y\r\nHost: a\r\n\r\n'],
    ['B16 a field without a colon', 'GET / HTTP/1.1\r\nHost: a\r\nX\r\n\r\n'],
    ['B16 a field without a name', 'GET / HTTP/1.1\r\nHost: a\r\n: y\r\n\r\n'],
    ['B16 a name with a space', 'GET / HTTP/1.1\r\nHost: a\r\nX Y: z\r\n\r\n'],
    ['B16 HTTP/0.9', 'GET /\r\n\r\n'],
    ['B16 HTTP/2.0', 'GET / HTTP/2.0\r\nHost: a\r\n\r\n'],
    ['B16 HTTP/1.2', 'GET / HTTP/1.2\r\nHost: a\r\n\r\n'],
    ['B16 http/1.1 in lower case', 'GET / http/1.1\r\nHost: a\r\n\r\n'],
    ['B16 a method in lower case', 'get / HTTP/1.1\r\nHost: a\r\n\r\n'],
    ['B16 an unknown method', 'GEX / HTTP/1.1\r\nHost: a\r\n\r\n'],
    ['B16 TLS instead of HTTP', '\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03'],
  ])('%s', async (_, bytes) => {
    await expectRefused(target(), bytes)
  })
})

describe('a request with the transfer coding', () => {
  it.each(['gzip', 'gzip, chunked', 'identity', 'foo', 'x-a, x-b, chunked'])(
    '%s, which the gateway does not know, is answered 501',
    async (coding) => {
      const bytes = request('POST /', [`Transfer-Encoding: ${coding}`], `0\r\n\r\n${SMUGGLED}`)
      await expectRefused(target(), bytes, 501)
    },
  )

  it.each(['chunked, gzip', 'xchunked', 'chunked, chunked', 'gzip, chunked, chunked', 'gzip;q=1, chunked'])(
    '%s, which is malformed, is answered 400',
    async (coding) => {
      await expectRefused(target(), request('POST /', [`Transfer-Encoding: ${coding}`], '0\r\n\r\n'), 400)
    },
  )
})

// After a refusal the start of the next request on the connection is uncertain.
describe('the gateway does not serve a request that follows a refused one on the connection:', () => {
  it.each<[string, string]>([
    ['two Hosts', 'GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n'],
    ['TE: gzip, chunked', request('POST /', ['Transfer-Encoding: gzip, chunked'], '0\r\n\r\n')],
    ['an encoded slash', request('GET /a%2fb')],
    ['an unknown expectation', request('GET /', ['Expect: x'])],
    ['TRACE', request('TRACE /')],
  ])('%s', async (_, bytes) => {
    const { response, heads } = await target().attack(bytes + SMUGGLED + SMUGGLED)
    expect(response.status).toBeGreaterThanOrEqual(400)
    expect(response.isClosed).toBe(true)
    expect(response.body.match(/HTTP\/1\.1/g)).toBeNull()
    expect(heads).toEqual([])
  })
})

describe('on one connection', () => {
  it('B40 a valid request is answered even if garbage follows it', async () => {
    const { response, heads } = await target().attack(`${request('GET /good')}garbage\r\n\r\n`)
    expect(response.status).toBe(200)
    expect(heads).toHaveLength(1)
  })

  it('B40 two valid requests are answered even if garbage follows them', async () => {
    const client = await connectRaw(target().gateway.port)
    const earlier = target().origin.requests()
    client.send(`${request('GET /1')}${request('GET /2')}\x00garbage\r\n\r\n`)
    const statuses = (await client.closes()).match(/HTTP\/1\.1 \d+/g)
    expect(statuses).toEqual(['HTTP/1.1 200', 'HTTP/1.1 200', 'HTTP/1.1 400'])
    expect(target().origin.requests() - earlier).toBe(2)
  })

  it('a valid request is answered even if a refused request and garbage arrive before the answer', async () => {
    let respond = () => {}
    const slow = await startTarget({
      script: (socket, seen) => {
        const say = () => void socket.write('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok')
        if (seen.includes('/slow')) respond = say
        else say()
      },
    })
    const client = await connectRaw(slow.gateway.port)
    client.send(`${request('GET /slow')}${request('POST /', ['Host: b', 'Transfer-Encoding: chunked'])}5\r\nhel`)
    await until(() => slow.origin.requests() === 1)
    client.send('\x00\x00\x00garbage\r\n\r\n')
    await knock(slow.gateway)
    respond()
    const text = await client.closes()
    expect(text.match(/HTTP\/1\.1 \d+/g)).toEqual(['HTTP/1.1 200', 'HTTP/1.1 400'])
    expect(text).toContain('\r\n\r\nokHTTP/1.1 400')
    expect(slow.origin.heads().filter((head) => !head.includes('/knock'))).toHaveLength(1)
  })

  it('pipelined requests are forwarded one after another and answered in their order', async () => {
    const order: string[] = []
    let first = () => {}
    const origin = await startHttpOrigin((incoming, response) => {
      order.push(incoming.url ?? '')
      if (incoming.url === '/1') first = () => response.end('one')
      else response.end('two')
    })
    const gateway = await startGateway({ legacy: { url: origin.url } })
    const client = await connectRaw(gateway.port)
    client.send(request('GET /1') + request('GET /2'))
    await until(() => order.length > 0)
    // Time in which the second would have been asked for, were it not its turn that it waits for.
    await exchange(gateway.port, request('GET /knock'))
    expect(order).toEqual(['/1', '/knock'])
    first()
    const text = await client.receives('two')
    expect(text.indexOf('one')).toBeLessThan(text.indexOf('two'))
    expect(order).toEqual(['/1', '/knock', '/2'])
  })

  const honest = sharedByFile(async () => {
    const bodies: { line: string; body: string; connection: string | undefined }[] = []
    const origin: HttpOrigin = await startHttpOrigin((incoming, response) => {
      let body = ''
      incoming.on('data', (chunk: Buffer) => {
        body += chunk.toString('latin1')
      })
      incoming.on('end', () => {
        bodies.push({ line: `${incoming.method} ${incoming.url}`, body, connection: incoming.headers.connection })
        response.end('ok')
      })
    })
    const gateway = await startGateway({ legacy: { url: origin.url } })
    return { gateway, bodies }
  })

  const HIDDEN = 'GET /secret HTTP/1.1\r\nHost: a\r\n\r\n'
  const asChunks = (text: string) => `${text.length.toString(16)}\r\n${text}\r\n0\r\n\r\n`

  it.each<[string, string, string]>([
    ['B40 GET with a body that begins with G', 'GET', 'G'],
    ['B40 GET whose body is a request', 'GET', HIDDEN],
    ['B40 HEAD with a body', 'HEAD', HIDDEN],
    ['B40 DELETE whose body is a request (CVE-2026-29057)', 'DELETE', HIDDEN],
    ['B40 OPTIONS whose body is a request (CVE-2026-29057)', 'OPTIONS', HIDDEN],
    ['B40 POST whose body is a request', 'POST', HIDDEN],
  ])(
    '%s reaches the origin as one request, by length and by chunks, and the next request is served',
    async (_, method, body) => {
      const { gateway, bodies } = honest()
      bodies.length = 0
      const byLength = request(`${method} /length`, [`Content-Length: ${body.length}`, 'Connection: close'], body)
      const byChunks = request(`${method} /chunks`, ['Transfer-Encoding: chunked', 'Connection: close'], asChunks(body))
      const closing = request('GET /after', ['Connection: close'])
      for (const bytes of [byLength, byChunks, closing]) {
        const client = await connectRaw(gateway.port)
        client.send(bytes)
        expect(await client.closes()).toMatch(/^HTTP\/1\.1 200 /)
      }
      expect(bodies.map(({ line }) => line)).toEqual([`${method} /length`, `${method} /chunks`, 'GET /after'])
      expect(bodies.map((seen) => seen.body)).toEqual([body, body, ''])
      // A connection that carried a body where none is expected carries nothing else.
      if (method !== 'POST') expect(bodies.slice(0, 2).map(({ connection }) => connection)).toEqual(['close', 'close'])
    },
  )

  it('a response to HEAD has no body, and the next request is served', async () => {
    const { gateway } = honest()
    const client = await connectRaw(gateway.port)
    client.send(request('HEAD /'))
    await client.receives('\r\n\r\n')
    client.send(request('GET /', ['Connection: close']))
    const text = await client.closes()
    expect(text.match(/HTTP\/1\.1 200/g)).toHaveLength(2)
    expect(text.match(/ok/gi)?.filter((word) => word === 'ok')).toHaveLength(1)
  })

  it.each<[string, string]>([
    ['HTTP/1.0', 'GET /last HTTP/1.0\r\nHost: a\r\nConnection: keep-alive\r\n\r\n'],
    ['an upgrade that is ignored', 'GET /last HTTP/1.1\r\nHost: a\r\nUpgrade: h2c\r\n\r\n'],
  ])('a request after a response that closes the connection is not forwarded: %s', async (_what, last) => {
    const seen: string[] = []
    const origin = await startHttpOrigin((incoming, response) => {
      seen.push(incoming.url ?? '')
      response.end('ok')
    })
    const gateway = await startGateway({ legacy: { url: origin.url } })
    const client = await connectRaw(gateway.port)
    client.send(last + request('GET /behind'))
    expect(await client.closes()).toMatch(/\r\nconnection: close\r\n/i)
    await exchange(gateway.port, request('GET /knock'))
    expect(seen).toEqual(['/last', '/knock'])
  })

  it('an HTTP/1.0 request is answered and the connection is closed', async () => {
    const { response } = await target().attack('GET / HTTP/1.0\r\n\r\n')
    expect(response.status).toBe(200)
    const answer = await exchange(target().gateway.port, 'GET / HTTP/1.0\r\nHost: a\r\n\r\n')
    expect(answer.head).toMatch(/\r\nconnection: close\r\n/i)
    expect(answer.isClosed).toBe(true)
  })
})
