// Messages are forwarded as they were sent: fields in their order and spelling, bodies byte for byte. The framing is the gateway's.
import { gzipSync } from 'node:zlib'
import { describe, expect, it } from 'vitest'
import { startGateway } from '../kit/gateway.ts'
import { sharedByFile } from '../kit/lifetime.ts'
import { startHttpOrigin } from '../kit/origin.ts'
import { connectRaw, exchange } from '../kit/raw.ts'
import { type Answer, askUntilClose, dechunk, fieldLines, startScriptedOrigin } from '../kit/scripted.ts'
import { until } from '../kit/until.ts'

const DATE = 'Date: Tue, 01 Sep 2026 00:00:00 GMT'
const ALL_BYTES = Buffer.from(Array.from({ length: 256 }, (_, byte) => byte)).toString('latin1')
const GZIPPED = gzipSync('compressed '.repeat(1000)).toString('latin1')

const ANSWERS: Record<string, Answer> = {
  '/fields': [
    'HTTP/1.1 200 Fine By Me',
    'x-first: 1',
    'Set-Cookie: a=1; Path=/',
    'X-MiXeD-cAsE: kept',
    'Vary: Origin',
    'set-cookie: b=2, not=joined',
    'Vary: Accept',
    'WWW-Authenticate: Basic realm="a, b", Bearer',
    'Allow: GET, BREW',
    `X-Latin1: caf\xe9`,
    'X-Empty: ',
    DATE,
    'Content-Length: 2',
    '',
    'ok',
  ].join('\r\n'),
  '/no-date': 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok',
  '/no-reason': `HTTP/1.1 299 \r\n${DATE}\r\nContent-Length: 0\r\n\r\n`,
  '/hop': `HTTP/1.1 200 OK\r\nKeep-Alive: timeout=9\r\nX-Own: secret\r\nProxy-Connection: x\r\nAlt-Svc: h2=":1"\r\nConnection: keep-alive, X-Own\r\n${DATE}\r\nContent-Length: 0\r\n\r\n`,
  '/bytes': `HTTP/1.1 200 OK\r\n${DATE}\r\nContent-Type: application/octet-stream\r\nContent-Length: 256\r\n\r\n${ALL_BYTES}`,
  '/gzip': `HTTP/1.1 200 OK\r\n${DATE}\r\nContent-Encoding: gzip\r\nContent-Length: ${GZIPPED.length}\r\n\r\n${GZIPPED}`,
  '/chunks': 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3;x=y\r\none\r\n3\r\ntwo\r\n0\r\n\r\n',
  '/trailers':
    'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Checksum\r\n\r\n3\r\none\r\n0\r\nX-Checksum: abc\r\nAuthorization: Basic eA==\r\nSet-Cookie: a=1\r\nX-Forwarded-For: 192.0.2.66\r\n\r\n',
  '/trailer-announced': 'HTTP/1.1 200 OK\r\nTrailer: X-Checksum\r\nContent-Length: 2\r\n\r\nok',
  '/head': `HTTP/1.1 200 OK\r\n${DATE}\r\nETag: "1"\r\nContent-Length: 4711\r\n\r\n`,
  '/head-chunked': `HTTP/1.1 200 OK\r\n${DATE}\r\nTrailer: X-Checksum\r\nTransfer-Encoding: chunked\r\n\r\n`,
  '/204': `HTTP/1.1 204 No Content\r\n${DATE}\r\nX-A: b\r\n\r\n`,
  '/204-length': `HTTP/1.1 204 No Content\r\n${DATE}\r\nContent-Length: 0\r\n\r\n`,
  '/205': `HTTP/1.1 205 Reset Content\r\n${DATE}\r\nContent-Length: 0\r\n\r\n`,
  '/304': `HTTP/1.1 304 Not Modified\r\n${DATE}\r\nETag: W/"x"\r\nContent-Length: 12\r\n\r\n`,
  '/range': `HTTP/1.1 206 Partial Content\r\n${DATE}\r\nContent-Range: bytes 5-6/100\r\nContent-Length: 2\r\n\r\n67`,
  '/ranges': `HTTP/1.1 206 Partial Content\r\n${DATE}\r\nContent-Type: multipart/byteranges; boundary=b\r\nContent-Length: 15\r\n\r\n--b\r\n\r\n6\r\n--b--`,
  '/old': (socket) => socket.end('HTTP/1.0 200 OK\r\nContent-Type: text/plain\r\n\r\nuntil the end'),
  '/old-empty': (socket) => socket.end('HTTP/1.0 200 OK\r\n\r\n'),
  '/slow': (socket) => void setTimeout(() => socket.write('HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nslow'), 100),
  '/redirect': `HTTP/1.1 302 Found\r\n${DATE}\r\nLocation: https://shop.example/x?y#z\r\nContent-Length: 0\r\n\r\n`,
}

const pair = sharedByFile(async () => {
  const origin = await startScriptedOrigin(ANSWERS)
  const gateway = await startGateway({ legacy: { url: origin.url } })
  return { origin, gateway, port: gateway.port }
})

function ask(path: string, method = 'GET', more = '', version = '1.1') {
  return askUntilClose(
    pair().port,
    `${method} ${path} HTTP/${version}\r\nHost: shop.example\r\nConnection: close\r\n${more}\r\n`,
  )
}

/** The last head that the origin received for a path. */
function lastHead(path: string): string {
  return (
    pair()
      .origin.heads()
      .findLast((head) => head.split(' ')[1]?.startsWith(path)) ?? ''
  )
}

describe('a response', () => {
  it('keeps its reason phrase, and its fields in their order, spelling and number', async () => {
    const { head } = await ask('/fields')
    const sent = (ANSWERS['/fields'] as string).split('\r\n').slice(0, -2)
    expect(head.split('\r\n').slice(0, sent.length)).toEqual(sent)
    expect(fieldLines(head).slice(sent.length - 1)).toEqual([
      expect.stringMatching(/^X-Request-Id: [0-9a-f]{32}$/),
      'Connection: close',
    ])
  })

  it('gets a Date only if it has none', async () => {
    expect(fieldLines((await ask('/no-date')).head).filter((line) => /^date:/i.test(line))).toHaveLength(1)
    expect(fieldLines((await ask('/fields')).head).filter((line) => /^date:/i.test(line))).toEqual([DATE])
  })

  it('keeps an empty reason phrase', async () => {
    expect((await ask('/no-reason')).head).toMatch(/^HTTP\/1\.1 299 \r\n/)
  })

  it('loses the hop-by-hop fields', async () => {
    const { head } = await ask('/hop')
    expect(head).not.toMatch(/timeout=9|X-Own|Proxy-Connection|Alt-Svc/i)
  })

  it.each(['/bytes', '/gzip', '/range', '/ranges', '/redirect'])('passes byte for byte: %s', async (path) => {
    const { head, body } = await ask(path)
    const [sentHead, ...sentBody] = (ANSWERS[path] as string).split('\r\n\r\n')
    expect(head.startsWith(`${sentHead}\r\n`)).toBe(true)
    expect(body).toBe(sentBody.join('\r\n\r\n'))
  })

  it('with chunks is forwarded with chunks', async () => {
    const { head, body } = await ask('/chunks')
    expect(head).toMatch(/\r\nTransfer-Encoding: chunked\r\n/)
    expect(dechunk(body)).toEqual({ body: 'onetwo', trailers: [], isWhole: true })
  })

  it('keeps allowed trailers after the body', async () => {
    const { head, body } = await ask('/trailers')
    expect(head).toContain('Trailer: X-Checksum')
    expect(head).not.toMatch(/X-Checksum: abc|Authorization|Set-Cookie|X-Forwarded/)
    expect(dechunk(body)).toEqual({ body: 'one', trailers: ['X-Checksum: abc'], isWhole: true })
  })

  it.each([
    ['/trailer-announced', 'GET', '1.1', 'ok'],
    ['/trailers', 'GET', '1.0', 'one'],
    ['/head-chunked', 'HEAD', '1.1', ''],
  ])(
    'that announces trailers which cannot follow is forwarded without Trailer: %s %s HTTP/%s',
    async (path, method, version, body) => {
      const answer = await ask(path, method, '', version)
      expect(answer).toMatchObject({ status: 200, body })
      expect(answer.head).not.toMatch(/\r\nTrailer:/i)
    },
  )

  it('to HEAD keeps the length of the GET response, and has no body', async () => {
    const { head, body } = await ask('/head', 'HEAD')
    expect(head).toContain('\r\nContent-Length: 4711\r\n')
    expect(body).toBe('')
  })

  it.each([
    ['/204', 'HTTP/1.1 204 No Content'],
    ['/204-length', 'HTTP/1.1 204 No Content'],
    ['/205', 'HTTP/1.1 205 Reset Content'],
    ['/304', 'HTTP/1.1 304 Not Modified'],
  ])('without content has no body: %s', async (path, line) => {
    const { head, body } = await ask(path)
    expect(head.startsWith(`${line}\r\n`)).toBe(true)
    expect(head).not.toMatch(/Transfer-Encoding/i)
    expect(body).toBe('')
    if (path === '/304') expect(head).toContain('\r\nETag: W/"x"\r\nContent-Length: 12\r\n')
    if (path.startsWith('/204')) expect(head).not.toMatch(/Content-Length/i)
  })

  it('without content is followed by the next response on the connection', async () => {
    const client = await connectRaw(pair().port)
    for (const [method, path] of [
      ['HEAD', '/head'],
      ['GET', '/204'],
      ['GET', '/304'],
      ['GET', '/204-length'],
    ]) {
      client.send(`${method} ${path} HTTP/1.1\r\nHost: a\r\n\r\n`)
    }
    client.send('GET /bytes HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n')
    const text = await client.closes()
    expect(text.match(/HTTP\/1\.1 \d+/g)).toEqual(
      ['200', '204', '304', '204', '200'].map((status) => `HTTP/1.1 ${status}`),
    )
    expect(text.endsWith(`\r\n\r\n${ALL_BYTES}`)).toBe(true)
  })

  it('of an HTTP/1.0 origin that ends with its connection is complete, and is sent as HTTP/1.1', async () => {
    const { head, body } = await ask('/old')
    expect(head).toMatch(/^HTTP\/1\.1 200 OK\r\n/)
    expect(dechunk(body)).toEqual({ body: 'until the end', trailers: [], isWhole: true })
    expect(dechunk((await ask('/old-empty')).body)).toEqual({ body: '', trailers: [], isWhole: true })
  })
})

describe('an HTTP/1.0 client', () => {
  it.each(['/chunks', '/old', '/no-date'])('gets no chunks and a connection that ends: %s', async (path) => {
    const { head, body, isClosed } = await askUntilClose(pair().port, `GET ${path} HTTP/1.0\r\n\r\n`)
    expect(head).toMatch(/^HTTP\/1\.1 200 OK\r\n/)
    expect(head).not.toMatch(/transfer-encoding/i)
    expect(['onetwo', 'until the end', 'ok']).toContain(body)
    expect(isClosed).toBe(true)
  })

  it('gets its connection closed, even with keep-alive', async () => {
    const { head } = await askUntilClose(pair().port, 'GET /no-date HTTP/1.0\r\nConnection: keep-alive\r\n\r\n')
    expect(head).toMatch(/\r\nConnection: close\r\n/)
  })

  it('gets no interim response', async () => {
    const { head } = await askUntilClose(
      pair().port,
      'POST /no-date HTTP/1.0\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\nh\n',
    )
    expect(head).toMatch(/^HTTP\/1\.1 200/)
  })
})

describe('a request', () => {
  it('keeps its fields in their order, spelling and number', async () => {
    await ask(
      '/fields',
      'GET',
      'X-MiXeD: 1\r\naccept: a\r\nX-Two: b\r\nAccept: c\r\nIf-None-Match: W/"1", "2"\r\nIf-Range: "3"\r\nRange: bytes=5-\r\nAuthorization: Digest a="b, c"\r\nCookie: a=1\r\nCookie: b=2\r\nX-Empty:\r\nX-Latin1: caf\xe9\r\n',
    )
    const lines = fieldLines(lastHead('/fields'))
    const from = lines.indexOf('X-MiXeD: 1')
    expect(lines.slice(from, from + 12)).toEqual([
      'X-MiXeD: 1',
      'accept: a',
      'X-Two: b',
      'Accept: c',
      'If-None-Match: W/"1", "2"',
      'If-Range: "3"',
      'Range: bytes=5-',
      'Authorization: Digest a="b, c"',
      'Cookie: a=1',
      'Cookie: b=2',
      'X-Empty: ',
      'X-Latin1: caf\xe9',
    ])
  })

  it('keeps its query byte for byte, and the names of unusual methods', async () => {
    await ask('/fields?a=%2f&a=[]&b=%&c=+%20&&', 'PROPFIND')
    expect(lastHead('/fields')).toMatch(/^PROPFIND \/fields\?a=%2f&a=\[\]&b=%&c=\+%20&& HTTP\/1\.1\r\n/)
  })

  it('with chunks, with a length or empty reaches the origin with the same body', async () => {
    const bodies: string[] = []
    const origin = await startHttpOrigin((request, response) => {
      const chunks: Buffer[] = []
      request.on('data', (chunk) => chunks.push(chunk))
      request.on('end', () => {
        bodies.push(
          `${request.headers['content-length'] ?? request.headers['transfer-encoding']} ${Buffer.concat(chunks).toString('latin1')}`,
        )
        response.end()
      })
    })
    const { port } = await startGateway({ legacy: { url: origin.url } })
    const post = (fields: string, body: string) =>
      exchange(port, `POST / HTTP/1.1\r\nHost: a\r\n${fields}\r\n\r\n${body}`)
    await post('Transfer-Encoding: chunked', '3;ext="x"\r\none\r\n3\r\ntwo\r\n0\r\n\r\n')
    await post('Content-Length: 256', ALL_BYTES)
    await post('Content-Length: 0', '')
    await post('Transfer-Encoding: chunked', '0\r\n\r\n')
    await post(`Content-Encoding: gzip\r\nContent-Length: ${GZIPPED.length}`, GZIPPED)
    expect(bodies).toEqual(['chunked onetwo', `256 ${ALL_BYTES}`, '0 ', 'chunked ', `${GZIPPED.length} ${GZIPPED}`])
  })

  it('with trailers reaches the origin with the allowed ones, and none becomes a header field', async () => {
    const seen: { headers: unknown; trailers: unknown }[] = []
    const origin = await startHttpOrigin((request, response) => {
      request.resume()
      request.on('end', () => {
        seen.push({ headers: request.headers, trailers: request.trailers })
        response.end()
      })
    })
    const { port } = await startGateway({ legacy: { url: origin.url } })
    const trailers =
      'X-Checksum: abc\r\nAuthorization: Basic eA==\r\nX-User-Id: 1\r\nX_User_Id: 1\r\nHost: b\r\nX-Forwarded-For: 192.0.2.1\r\n'
    const post = (announced: string) =>
      exchange(
        port,
        `POST / HTTP/1.1\r\nHost: a\r\n${announced}Transfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n${trailers}\r\n`,
      )
    expect((await post('Trailer: X-Checksum, Authorization\r\n')).status).toBe(200)
    expect((await post('')).status).toBe(200)
    await until(() => seen.length === 2)
    expect(seen[0]?.trailers).toEqual({ 'x-checksum': 'abc' })
    for (const { headers, trailers } of seen) {
      expect(headers).not.toHaveProperty('authorization')
      expect(headers).not.toHaveProperty('x-checksum')
      expect(headers).not.toHaveProperty('x-user-id')
      expect(headers).toMatchObject({ host: 'a', 'x-forwarded-for': '127.0.0.1' })
      expect(trailers).not.toHaveProperty('authorization')
    }
  })
})

describe('pipelined requests', () => {
  it('are answered in order, whatever the order of the upstream responses', async () => {
    const client = await connectRaw(pair().port)
    client.send(
      'GET /slow HTTP/1.1\r\nHost: a\r\n\r\nGET /no-date HTTP/1.1\r\nHost: a\r\n\r\nGET /chunks HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n',
    )
    const text = await client.closes()
    expect(text).toMatch(/\r\n\r\nslowHTTP\/1\.1 200 OK\r\n.*\r\n\r\nokHTTP\/1\.1 200 OK\r\n.*one.*two/s)
  })

  it('with a body that looks like a request are parsed correctly', async () => {
    const requestsBefore = pair().origin.requests()
    const client = await connectRaw(pair().port)
    client.send(
      'POST /no-date HTTP/1.1\r\nHost: a\r\nContent-Length: 30\r\n\r\nGET /secret HTTP/1.1\r\nHost: a\r\nGET /fields HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n',
    )
    const text = await client.closes()
    expect(text.match(/HTTP\/1\.1 \d+/g)).toEqual(['HTTP/1.1 200', 'HTTP/1.1 200'])
    expect(lastHead('/secret')).toBe('')
    expect(pair().origin.requests() - requestsBefore).toBeGreaterThanOrEqual(2)
  })
})
