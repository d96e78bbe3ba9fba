// The fields of a client must not be confused with the fields of the edge, and its fields for the edge must not
// travel on.
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { startGateway } from '../kit/gateway.ts'
import { sharedByFile } from '../kit/lifetime.ts'
import { startHttpOrigin, startRawOrigin } from '../kit/origin.ts'
import { connectRaw, exchange } from '../kit/raw.ts'
import { expectRefused, linesOf, request, startTarget, valuesOf } from './attack.ts'

const target = sharedByFile(() => startTarget())

/** A gateway behind a trusted load balancer: us, at 127.0.0.1. */
const behindProxy = sharedByFile(() =>
  startTarget({
    config: {
      trustedProxies: ['127.0.0.1/32', '10.0.0.0/8'],
      identity: { user: { header: 'X-Account', trust: ['127.0.0.1/32'] }, anonymous: 'ip' },
      services: { catalog: { url: 'http://127.0.0.1:9' } },
      contexts: { catalog: { owner: 'team', service: 'catalog', flag: 'catalog', routes: ['/catalog'] } },
    },
  }),
)

/** The one head that a request with these fields makes the origin see. */
async function forwarded(fields: readonly string[], server = target(), line = 'GET /'): Promise<string> {
  const { response, heads } = await server.attack(request(line, fields))
  expect(response.status, response.head).toBe(200)
  expect(heads).toHaveLength(1)
  return heads[0] as string
}

/** What the gateway itself says in every request, in lower case. */
const OURS = [
  'x-forwarded-for',
  'x-forwarded-host',
  'x-forwarded-proto',
  'forwarded',
  'via',
  'x-request-id',
  'traceparent',
]
/** Host and Connection are the sender's own. */
const OWN = new Set([...OURS, 'host', 'connection'])

function clientLines(head: string): string[] {
  return linesOf(head)
    .slice(1)
    .filter((line) => !OWN.has(line.slice(0, line.indexOf(':')).toLowerCase()))
}

describe('the fields that Connection lists (RFC 9110 section 7.6.1)', () => {
  it('B21 are removed, except for framing and Host', async () => {
    const fields = [
      'Connection: close, X-User, X-Custom, Host, Content-Length, Transfer-Encoding',
      'X-User: mallory',
      'X-Custom: 1',
      'X-Kept: 1',
      'Content-Length: 5',
    ]
    const { response, heads } = await target().attack(request('POST /', fields, 'hello'))
    expect(response.status).toBe(200)
    expect(heads).toHaveLength(1)
    expect(clientLines(heads[0] as string)).toEqual(['X-Kept: 1', 'Content-Length: 5'])
    expect(valuesOf(heads[0] as string, 'host')).toEqual(['a'])
  })

  it('B22 do not remove a field of the edge (CVE-2022-31813, CVE-2025-48865)', async () => {
    const listed = [...OURS, 'X-Real-IP', 'Authorization', 'X-Account'].join(', ')
    const head = await forwarded(
      [`Connection: close, ${listed}`, 'X-Account: 7', 'Authorization: Bearer x', 'X-Real-IP: 6.6.6.6'],
      behindProxy(),
      'GET /catalog',
    )
    for (const name of OURS) expect(valuesOf(head, name), name).toHaveLength(1)
    expect(valuesOf(head, 'x-account')).toEqual(['7'])
    expect(valuesOf(head, 'x-forwarded-for')).toEqual(['127.0.0.1'])
    expect(valuesOf(head, 'authorization')).toEqual([])
    expect(valuesOf(head, 'x-real-ip')).toEqual([])
  })

  it('are removed for any list in any spelling, over several lines', async () => {
    const name = fc.constantFrom('X-A', 'x-b', 'X-Long-Name-C', 'Cookie', 'Accept', 'Authorization', 'X-D', 'Range')
    const spelled = name.chain((text) => fc.constantFrom(text, text.toLowerCase(), text.toUpperCase()))
    const list = fc.array(fc.oneof(spelled, fc.constantFrom('close', 'keep-alive', '', 'Host')), { maxLength: 5 })
    const joined = fc.tuple(list, fc.constantFrom(',', ', ', ' ,\t', ',,')).map(([tokens, comma]) => tokens.join(comma))
    await fc.assert(
      fc.asyncProperty(fc.array(joined, { maxLength: 3 }), fc.array(name, { maxLength: 6 }), async (lists, names) => {
        const fields = names.map((text, i) => `${text}: ${i}`)
        const head = await forwarded([...fields, ...lists.map((text) => `Connection: ${text}`), 'Connection: close'])
        const listed = new Set(
          lists
            .join(',')
            .toLowerCase()
            .split(',')
            .map((token) => token.trim()),
        )
        expect(clientLines(head)).toEqual(
          fields.filter((line) => !listed.has(line.slice(0, line.indexOf(':')).toLowerCase())),
        )
      }),
      { numRuns: 60 },
    )
  })
})

describe('the gateway', () => {
  it('B23 does not forward hop-by-hop fields', async () => {
    const head = await forwarded([
      'Keep-Alive: timeout=5',
      'Proxy-Connection: keep-alive',
      'Proxy-Authorization: Basic Zm9v',
      'Proxy-Authenticate: Basic',
      'TE: gzip, trailers',
      'Trailer: X-Sum',
      'Alt-Svc: h3=":443"',
      'Upgrade: foo/2',
      'Connection: Upgrade',
    ])
    expect(clientLines(head)).toEqual([])
  })

  it('forwards end-to-end fields with the same bytes, order, spelling and repeats', async () => {
    const fields = [
      'accept: text/html, */*;q=0.8',
      'X-MiXeD-CaSe: Value  with   spaces',
      'Authorization: Bearer abc.def',
      'If-None-Match: "x"',
      'Range: bytes=0-1',
      'X-Repeat: 1',
      'Cookie: a=1',
      'X-Repeat: 2, 3',
      'Cookie: b=2; c="3"',
      'X-Repeat: 1',
      'X-Empty:',
      'X-Latin: caf\xe9',
      'X-Utf8: caf\xc3\xa9',
      'Cache-Control: no-cache',
      'Origin: null',
    ]
    expect(clientLines(await forwarded(fields)).map((line) => line.trimEnd())).toEqual(fields)
  })

  it('forwards any valid list of end-to-end fields unchanged', async () => {
    const token = fc.stringMatching(/^[A-Za-z0-9!#$%&'*+.^`|~-]{1,12}$/).map((name) => `Y-${name}`)
    const value = fc.stringMatching(/^[!-~\xa1-\xff]([!-~\xa1-\xff \t]{0,20}[!-~\xa1-\xff])?$/)
    await fc.assert(
      fc.asyncProperty(fc.array(fc.tuple(token, value), { maxLength: 20 }), async (pairs) => {
        const fields = pairs.map(([name, text]) => `${name}: ${text}`)
        expect(clientLines(await forwarded(fields))).toEqual(fields)
      }),
      { numRuns: 50 },
    )
  })
})

/** Every way to write a name that some server takes for the same name. */
function spellings(name: string): string[] {
  const lower = name.toLowerCase()
  const mixed = [...lower].map((char, i) => (i % 2 ? char.toUpperCase() : char)).join('')
  return [name, lower, lower.toUpperCase(), mixed, lower.replaceAll('-', '_'), name.replace('-', '_')]
}

describe('an identity or routing field that a client forges,', () => {
  it.each([
    ...['X-User-Id', 'X-User', 'X-User-Name', 'X-User-Email', 'X-User-Roles', 'X-User-Scopes', 'X-User-Anything'],
    ...['X-Forwarded-For', 'X-Forwarded-Host', 'X-Forwarded-Proto', 'X-Forwarded-Port', 'X-Forwarded-Prefix'],
    ...['X-Forwarded-User', 'X-Forwarded-Email', 'X-Forwarded-Groups', 'X-Forwarded-Access-Token', 'X-Forwarded-Uri'],
    ...[
      'X-Forwarded-Client-Cert',
      'X-Forwarded-Tls-Client-Cert',
      'X-Forwarded-Method',
      'X-Forwarded-Server',
      'X-Forwarded',
    ],
    ...[
      'Forwarded',
      'X-Real-IP',
      'X-Client-IP',
      'X-Cluster-Client-IP',
      'True-Client-IP',
      'X-Remote-IP',
      'X-Remote-Addr',
    ],
    ...['X-Original-URL', 'X-Original-URI', 'X-Original-Host', 'X-Original-Method', 'X-Rewrite-URL'],
    ...['X-HTTP-Method-Override', 'X-HTTP-Method', 'X-Method-Override'],
    ...[
      'X-Auth-Request-User',
      'X-Auth-Request-Email',
      'X-Authenticated-User',
      'X-Remote-User',
      'Remote-User',
      'X-WebAuth-User',
    ],
    ...['X-Middleware-Subrequest', 'X-Strangler-Side', 'X-Shadow', 'X-Shadow-Of', 'X-Request-Id'],
  ])('B38 %s, is dropped in every spelling, twice, and listed in Connection', async (name) => {
    const forged = spellings(name).map((spelling) => `${spelling}: forged`)
    for (const extra of [[], [`Connection: ${name}`]]) {
      const head = await forwarded([...forged, ...forged, ...extra, 'X-Kept: 1'])
      expect(head).not.toContain('forged')
      expect(clientLines(head)).toEqual(['X-Kept: 1'])
    }
  })

  it('B38 with a name that ends in byte 0xa0, is refused', async () => {
    await expectRefused(target(), request('GET /', ['X-User-Id\xa0: forged']))
  })

  it('with an underscore in its name, is dropped (CVE-2025-64484)', async () => {
    expect(clientLines(await forwarded(['X_Anything: 1', '_: 2', 'X-Kept_Not: 3', 'X-Kept: 4']))).toEqual(['X-Kept: 4'])
  })

  it('sent as a trailer, is dropped, and other trailers are forwarded', async () => {
    const seen: { headers: Record<string, unknown>; trailers: Record<string, unknown> }[] = []
    const origin = await startHttpOrigin((incoming, response) => {
      incoming.resume()
      incoming.on('end', () => {
        seen.push({ headers: incoming.headers, trailers: incoming.trailers })
        response.end('ok')
      })
    })
    const gateway = await startGateway({
      legacy: { url: origin.url },
      identity: { user: { header: 'X-Account', trust: ['10.0.0.0/8'] } },
    })
    const forged = [
      ...['Authorization', 'Cookie', 'Host', 'X-User-Id', 'X_User_Id', 'X-Account'],
      ...['X-Forwarded-For', 'X-Forwarded-User', 'True-Client-IP', 'X-Client-IP', 'X-Request-Id', 'Forwarded', 'TE'],
    ]
    const trailers = [...forged.map((name) => `${name}: forged`), 'X-Checksum: honest'].join('\r\n')
    const announced = ['Transfer-Encoding: chunked', `Trailer: X-Checksum, ${forged.join(', ')}`]
    for (const fields of [announced, ['Transfer-Encoding: chunked']]) {
      const { status } = await exchange(gateway.port, request('POST /', fields, `2\r\nhi\r\n0\r\n${trailers}\r\n\r\n`))
      expect(status).toBe(200)
    }
    expect(seen[0]?.trailers).toEqual({ 'x-checksum': 'honest' })
    for (const { headers, trailers: arrived } of seen) {
      expect(JSON.stringify([{ ...headers, trailer: undefined }, arrived])).not.toContain('forged')
      expect(headers).not.toHaveProperty('x-checksum')
      expect(headers).not.toHaveProperty('authorization')
    }
  })

  it.each([
    ['B39 __proto__ ten times', Array.from({ length: 10 }, (_, i) => `__proto__: ${i}`)],
    ['B39 constructor, hasOwnProperty, toString', ['constructor: 1', 'hasOwnProperty: 2', 'toString: 3', 'valueOf: 4']],
    ['B39 these names on an upgrade', ['__proto__: 1', '__proto__: 2', 'constructor: 3', 'Upgrade: websocket']],
  ])('%s, does not pollute a prototype', async (_, fields) => {
    const head = await forwarded(fields, target(), 'GET /x?__proto__[polluted]=1&constructor[prototype][polluted]=1')
    expect(head).toContain('GET /x?__proto__[polluted]=1&constructor[prototype][polluted]=1 HTTP/1.1')
    expect(head).not.toContain('\r\n__proto__')
    expect(({} as Record<string, unknown>).polluted).toBeUndefined()
    expect({}.constructor).toBe(Object)
  })
})

describe('the fields that the gateway adds', () => {
  it('describe the peer of an untrusted connection', async () => {
    const head = await forwarded([
      'X-Forwarded-For: 6.6.6.6',
      'X-Forwarded-Host: evil',
      'X-Forwarded-Proto: https',
      'Forwarded: for=6.6.6.6;host=evil;proto=https',
      'X-Request-Id: chosen-by-the-client',
      'Via: 1.0 fred',
    ])
    expect(valuesOf(head, 'x-forwarded-for')).toEqual(['127.0.0.1'])
    expect(valuesOf(head, 'x-forwarded-host')).toEqual(['a'])
    expect(valuesOf(head, 'x-forwarded-proto')).toEqual(['http'])
    expect(valuesOf(head, 'forwarded')).toEqual(['for=127.0.0.1;host="a";proto=http'])
    expect(valuesOf(head, 'x-request-id')).toEqual([expect.stringMatching(/^[0-9a-f]{32}$/)])
    expect(valuesOf(head, 'via')).toEqual([expect.stringMatching(/^1\.0 fred, 1\.1 strangler-[0-9a-f]{8}$/)])
    const line = await target().gateway.accessLine(({ requestId }) => requestId === valuesOf(head, 'x-request-id')[0])
    expect(line.client).toBe('127.0.0.1')
  })

  it('describe the client that a trusted proxy names', async () => {
    const head = await forwarded(
      [
        'X-Forwarded-For: 6.6.6.6, 203.0.113.9, 10.1.2.3',
        'X-Forwarded-Host: shop.example',
        'X-Forwarded-Proto: https',
        'Forwarded: for=203.0.113.9',
        'X-Request-Id: lb-4711',
      ],
      behindProxy(),
    )
    expect(valuesOf(head, 'x-forwarded-for')).toEqual(['6.6.6.6, 203.0.113.9, 10.1.2.3, 127.0.0.1'])
    expect(valuesOf(head, 'x-forwarded-host')).toEqual(['shop.example'])
    expect(valuesOf(head, 'x-forwarded-proto')).toEqual(['https'])
    expect(valuesOf(head, 'forwarded')).toEqual(['for=203.0.113.9, for=127.0.0.1;host="a";proto=https'])
    expect(valuesOf(head, 'x-request-id')).toEqual(['lb-4711'])
    // 10.1.2.3 is a proxy of ours, 203.0.113.9 is whom it saw; 6.6.6.6 is what that one claims.
    const line = await behindProxy().gateway.accessLine(({ requestId }) => requestId === 'lb-4711')
    expect(line.client).toBe('203.0.113.9')
  })

  it.each(['a b', 'x'.repeat(129), 'a"b', 'a,b', '\xe9', '<script>'])(
    'replace a request id such as %j, even from a trusted proxy',
    async (id) => {
      const head = await forwarded([`X-Request-Id: ${id}`], behindProxy())
      expect(valuesOf(head, 'x-request-id')).toEqual([expect.stringMatching(/^[0-9a-f]{32}$/)])
    },
  )

  it('name HTTP/1.0 in Via', async () => {
    const { heads } = await target().attack('GET / HTTP/1.0\r\nHost: a\r\n\r\n')
    expect(heads.flatMap((head) => valuesOf(head, 'via'))).toEqual([expect.stringMatching(/^1\.0 strangler-/)])
    expect(heads[0]).toMatch(/^GET \/ HTTP\/1\.1\r\n/)
  })

  const TRACE = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00'

  it('continue a trace with its state', async () => {
    const head = await forwarded([`traceparent: ${TRACE}`, 'tracestate: vendor=1'])
    expect(valuesOf(head, 'traceparent')).toEqual([TRACE])
    expect(valuesOf(head, 'tracestate')).toEqual(['vendor=1'])
  })

  it.each([
    [[]],
    [['traceparent: garbage']],
    [['traceparent: 00-00000000000000000000000000000000-b7ad6b7169203331-00']],
    [[`traceparent: ${TRACE}`, `traceparent: ${TRACE}`]],
    [[`traceparent: ${TRACE.toUpperCase()}`]],
  ])('begin a trace for %j', async (fields) => {
    const values = valuesOf(await forwarded(fields), 'traceparent')
    expect(values).toEqual([expect.stringMatching(/^00-[0-9a-f]{32}-[0-9a-f]{16}-01$/)])
    expect(values[0]).not.toContain('0af7651916cd43dd')
  })

  it('make the gateway refuse a request that returns to it', async () => {
    const [via] = valuesOf(await forwarded([]), 'via')
    const { response, heads } = await target().attack(request('GET /', [`Via: ${via}`, 'Connection: close']))
    expect(response.status).toBe(508)
    expect(heads).toEqual([])
  })
})

describe('the identity of a client', () => {
  it('is the user that a trusted peer names in a single field', async () => {
    const once = await forwarded(['x-account: 7'], behindProxy())
    expect(valuesOf(once, 'x-account')).toEqual(['7'])
    for (const forged of [['X-Account: 7', 'X-Account: 8'], ['X-Account: 7', 'x-ACCOUNT: 7'], ['X_Account: 7']])
      expect(valuesOf(await forwarded(forged, behindProxy()), 'x-account')).toEqual([])
  })

  it('is not the user that an untrusted peer names', async () => {
    const stranger = await startTarget({
      config: { identity: { user: { header: 'X-Account', trust: ['10.0.0.0/8'] } } },
    })
    const forged = spellings('X-Account').map((spelling) => `${spelling}: 7`)
    for (const fields of [...forged.map((line) => [line]), forged]) {
      expect(clientLines(await forwarded(fields, stranger))).toEqual([])
    }
  })

  describe('with an anonymous id', () => {
    const COOKIE =
      /\r\nSet-Cookie: strangler_id=([0-9a-f]{32})\.([\w-]{43}); Path=\/; Max-Age=\d+; HttpOnly; SameSite=Lax(; Secure)?\r\n/

    const shop = sharedByFile(async () => {
      const origin = await startRawOrigin()
      const gateway = await startGateway({
        legacy: { url: origin.url },
        services: { catalog: { url: origin.url } },
        contexts: { catalog: { owner: 'team', service: 'catalog', flag: 'catalog', routes: ['/catalog'] } },
        trustedProxies: ['127.0.0.1/32'],
      })
      return (fields: string[]) => exchange(gateway.port, request('GET /catalog', fields))
    })

    it('is the id of a cookie that the gateway has signed', async () => {
      const made = COOKIE.exec((await shop()([])).head)
      expect(made).not.toBeNull()
      const value = `${made?.[1]}.${made?.[2]}`
      expect((await shop()([`Cookie: strangler_id=${value}`])).head).not.toMatch(/set-cookie/i)
      expect((await shop()([`Cookie: a=b; strangler_id=${value}; c=d`])).head).not.toMatch(/set-cookie/i)
    })

    it('is a new id if the cookie is forged, so that a client cannot choose its bucket', async () => {
      const [, id = '', signature = ''] = COOKIE.exec((await shop()([])).head) ?? []
      const other = id.replace(/^./, (digit) => (digit === '0' ? '1' : '0'))
      const [, , foreign = ''] = COOKIE.exec((await shop()([])).head) ?? []
      const forgeries = [
        ...[
          id,
          `${id}.`,
          `.${signature}`,
          `${other}.${signature}`,
          `${id}.${foreign}`,
          `${id.toUpperCase()}.${signature}`,
        ],
        ...[
          `${id}.${signature}x`,
          `${id}.${signature.slice(0, -1)}`,
          `${id}.${signature.toLowerCase()}`,
          `${id}${signature}`,
        ],
        ...[
          `${id}.${'A'.repeat(43)}`,
          `${id}.${'\xe9'.repeat(43)}`,
          '',
          '__proto__',
          'x'.repeat(4000),
          `${id}.${signature}.${signature}`,
        ],
      ]
      for (const forged of forgeries) {
        const answer = COOKIE.exec((await shop()([`Cookie: strangler_id=${forged}`])).head)
        expect(answer, forged).not.toBeNull()
        expect([id, other]).not.toContain(answer?.[1])
      }
    })

    it('gets a Secure cookie only if the client used TLS, to the gateway or to a trusted proxy', async () => {
      const secure = async (fields: string[]) => COOKIE.exec((await shop()(fields)).head)?.[3] === '; Secure'
      expect(await secure([])).toBe(false)
      expect(await secure(['X-Forwarded-Proto: https'])).toBe(true)
      expect(await secure(['X-Forwarded-Proto: http'])).toBe(false)
      const stranger = await startTarget({
        config: {
          services: { catalog: { url: target().origin.url } },
          contexts: { catalog: { owner: 'team', service: 'catalog', flag: 'catalog', routes: ['/catalog'] } },
        },
      })
      const { response } = await stranger.attack(request('GET /catalog', ['X-Forwarded-Proto: https']))
      expect(COOKIE.exec(response.head)?.[3]).toBeUndefined()
    })
  })
})

describe('B24 a request with Expect', () => {
  const origin413 = sharedByFile(async () => {
    const target = await startTarget({
      script: (socket, seen) => {
        const refused = seen.includes('/refused')
        socket.write(`HTTP/1.1 ${refused ? '413 No' : '200 OK'}\r\nContent-Length: 2\r\n\r\nok`)
      },
      config: { limits: { bodyBytes: 0 } },
    })
    return target
  })

  it('does not send a body that the origin refuses, and the next request is served', async () => {
    const { gateway, origin } = origin413()
    const client = await connectRaw(gateway.port)
    client.send(request('POST /refused', ['Expect: 100-continue', 'Content-Length: 5']))
    const answer = await client.receives('\r\n\r\nok')
    expect(answer).toMatch(/^HTTP\/1\.1 413 No\r\n/)
    expect(answer).not.toContain('100 Continue')
    client.destroy()
    expect((await exchange(gateway.port, request('GET /next'))).status).toBe(200)
    expect(origin.heads().filter((head) => head.includes('/refused'))).toHaveLength(1)
    expect(origin.connections.some(({ bytes }) => bytes.includes('hello'))).toBe(false)
  })

  it('sends the body after the origin has answered 100, and not before', async () => {
    const target = await startTarget({
      script: (socket) => {
        socket.write('HTTP/1.1 100 Continue\r\n\r\n')
        socket.once('data', () => socket.write('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok'))
      },
    })
    const client = await connectRaw(target.gateway.port)
    client.send(request('POST /', ['Expect: 100-continue', 'Content-Length: 5']))
    await client.receives('HTTP/1.1 100 Continue\r\n\r\n')
    client.send('hello')
    await client.receives('200 OK')
    client.destroy()
    expect(target.origin.connections.some(({ bytes }) => bytes.toString().endsWith('\r\n\r\nhello'))).toBe(true)
  })

  it.each<[string, string[]]>([
    ['x', ['Expect: x']],
    ['100-continue twice', ['Expect: 100-continue', 'Expect: 100-continue']],
    ['100-continue, x', ['Expect: 100-continue, x']],
    ['an empty value', ['Expect:']],
  ])('of %s is answered 417', async (_, fields) => {
    await expectRefused(target(), request('GET /', fields), 417)
    await expectRefused(target(), request('POST /', [...fields, 'Content-Length: 5'], 'hello'), 417)
  })

  it('in a folded line is answered 400', async () => {
    await expectRefused(target(), request('POST /', [' Expect: 100-continue', 'Content-Length: 5'], 'hello'))
  })

  it('in HTTP/1.0 gets no 100, and Expect is ignored (RFC 9110 section 10.1.1)', async () => {
    const bytes = 'POST / HTTP/1.0\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\nhello'
    const { response, heads } = await target().attack(bytes)
    expect(response.status).toBe(200)
    expect(heads.flatMap((head) => valuesOf(head, 'expect'))).toEqual([])
  })
})
