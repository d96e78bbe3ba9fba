// Paths and hosts that mean one thing at the edge and another at an origin. The gateway decides on the normal form
// and sends that same form, or refuses; and it never connects to anything but what its configuration names.
import net, { type AddressInfo } from 'node:net'
import express from 'express'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { startGateway } from '../kit/gateway.ts'
import { sharedByFile, whenOver } from '../kit/lifetime.ts'
import { startHttpOrigin, startRawOrigin } from '../kit/origin.ts'
import { exchange } from '../kit/raw.ts'
import { until } from '../kit/until.ts'
import { expectRefused, knock, request, startTarget, targetOf, valuesOf } from './attack.ts'

const target = sharedByFile(() => startTarget())

/** Where an attacker would like the gateway to connect to: it counts who does. */
const canary = sharedByFile(async () => {
  let connections = 0
  const server = net.createServer((socket) => {
    connections++
    socket.destroy()
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.2', resolve))
  whenOver(() => server.close())
  return { at: `127.0.0.2:${(server.address() as AddressInfo).port}`, connections: () => connections }
})

describe('the gateway refuses an ambiguous Host:', () => {
  it.each<[string, string]>([
    ['B1 no Host', 'GET / HTTP/1.1\r\n\r\n'],
    ['B2 two Hosts, equal', 'GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n'],
    ['B2 two Hosts, different', 'GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n'],
    ['B2 two Hosts, the second in other case', 'GET / HTTP/1.1\r\nHost: a\r\nX: y\r\nhOST: b\r\n\r\n'],
    ['B2 two Hosts in HTTP/1.0', 'GET / HTTP/1.0\r\nHost: a\r\nHost: b\r\n\r\n'],
    ...[
      '',
      'a,b',
      'u@a',
      'a/x',
      'a b',
      'a:99999',
      'a:b',
      'a:80:80',
      ':80',
      'a?b',
      'a#b',
      'a\\b',
      'http://a',
      '"a"',
      '<a>',
      'a;b',
      '[::1',
      '::1',
      '[g]',
      '[::1]x',
      'a%00',
      '\xe9',
    ].map((host): [string, string] => [`B3 Host: ${host}`, `GET / HTTP/1.1\r\nHost: ${host}\r\n\r\n`]),
  ])('%s', async (_, bytes) => {
    await expectRefused(target(), bytes)
  })

  it.each(['a', 'A.example', 'a:80', '[::1]:8080', '127.0.0.1', 'a_b', 'xn--bcher-kva.example.'])(
    'but forwards the valid Host %s',
    async (host) => {
      const { response, heads } = await target().attack(`GET / HTTP/1.1\r\nHost: ${host}\r\n\r\n`)
      expect(response.status).toBe(200)
      expect(heads.flatMap((head) => valuesOf(head, 'host'))).toEqual([host.toLowerCase()])
    },
  )

  it.each([
    ['GET / HTTP/1.1\r\nHost: a:\r\n\r\n', 'a'],
    ['GET http://a:80/ HTTP/1.1\r\nHost: a\r\n\r\n', 'a'],
    ['GET http://a/ HTTP/1.1\r\nHost: a:80\r\n\r\n', 'a:80'],
  ])('but accepts %j with an empty or default port, and sends the Host %s', async (bytes, host) => {
    const { response, heads } = await target().attack(bytes)
    expect(response.status).toBe(200)
    expect(heads.flatMap((head) => valuesOf(head, 'host'))).toEqual([host])
    expect(heads.map(targetOf)).toEqual(['/'])
  })

  it('but accepts HTTP/1.0 without a Host, and sends the Host of the origin', async () => {
    const { response, heads } = await target().attack('GET / HTTP/1.0\r\n\r\n')
    expect(response.status).toBe(200)
    expect(heads.flatMap((head) => valuesOf(head, 'host'))).toEqual([`127.0.0.1:${target().origin.port}`])
  })
})

// The attack: a gateway that connects to an authority in the target is an open proxy.
describe('the gateway connects to no server that a target names:', () => {
  it.each<[string, (evil: string) => string, number]>([
    ['B4 absolute-form of another host', (evil) => request(`GET http://${evil}/`), 400],
    ['B4 absolute-form with the host as its user', (evil) => request(`GET http://a@${evil}/`), 400],
    ['B4 absolute-form with the host before a backslash', (evil) => request(`GET http://a\\@${evil}/`), 400],
    ['B4 absolute-form with a fragment', (evil) => request(`GET http://${evil}#@a/`), 400],
    ['B4 absolute-form in HTTP/1.0 without Host', (evil) => `GET http://${evil}/ HTTP/1.0\r\n\r\n`, 400],
    ['B4 ftp', (evil) => request(`GET ftp://${evil}/`), 400],
    ['B4 file', () => request('GET file:///etc/passwd'), 400],
    ['B18 @host', (evil) => request(`GET @${evil}`), 400],
    ['B18 host:port', (evil) => request(`GET ${evil}`), 400],
    ['B18 :port', () => request('GET :80/'), 400],
    ['B18 slash, backslash, host', (evil) => request(`GET /\\${evil}`), 400],
    ['B18 *', () => request('GET *'), 400],
    ['B18 admin', () => request('GET admin'), 400],
    ['B26 CONNECT', (evil) => `CONNECT ${evil} HTTP/1.1\r\nHost: ${evil}\r\n\r\n`, 405],
    ['B26 CONNECT to a path', () => request('CONNECT /'), 405],
    [
      'absolute-form WebSocket upgrade of another host',
      (evil) =>
        request(`GET http://${evil}/ws`, [
          'Connection: Upgrade',
          'Upgrade: websocket',
          'Sec-WebSocket-Version: 13',
          'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==',
        ]),
      400,
    ],
  ])('%s', async (_, bytes, status) => {
    await expectRefused(target(), bytes(canary().at), status)
    expect(canary().connections()).toBe(0)
  })

  it.each<[string, (evil: string) => string, (evil: string) => string]>([
    ['B18 //host/x', (evil) => request(`GET //${evil}/x`), (evil) => `/${evil}/x`],
    ['B18 ///', () => request('GET ///'), () => '/'],
    ['B18 /@host', (evil) => request(`GET /@${evil}`), (evil) => `/@${evil}`],
    ['B18 /http://host', (evil) => request(`GET /http://${evil}/`), (evil) => `/http:/${evil}/`],
    ['B4 absolute-form of the Host', () => request('GET http://a/x?y=1'), () => '/x?y=1'],
    ['B4 absolute-form of the Host in other case', () => request('GET HTTP://A/x'), () => '/x'],
    ['B4 absolute-form without a path', () => request('GET http://a'), () => '/'],
  ])('%s is a path of the origin', async (_, bytes, expected) => {
    const { response, heads } = await target().attack(bytes(canary().at))
    expect(response.status).toBe(200)
    expect(heads.map(targetOf)).toEqual([expected(canary().at)])
    expect(canary().connections()).toBe(0)
  })

  it('a Host of another server is forwarded to the configured origin', async () => {
    const { heads } = await target().attack(`GET / HTTP/1.1\r\nHost: ${canary().at}\r\n\r\n`)
    expect(heads).toHaveLength(1)
    expect(canary().connections()).toBe(0)
  })

  it('fields that name another server are ignored', async () => {
    const evil = canary().at
    const fields = [`X-Forwarded-Host: ${evil}`, `X-Original-URL: http://${evil}/`, `Forwarded: host=${evil}`]
    const { heads } = await target().attack(request('GET /', fields))
    expect(heads).toHaveLength(1)
    expect(heads.join()).not.toContain(evil)
    expect(canary().connections()).toBe(0)
  })
})

describe('a request for the gateway itself,', () => {
  it.each<[string, string]>([
    ['B19 OPTIONS *', request('OPTIONS *')],
    ['B19 OPTIONS of the bare authority', request('OPTIONS http://a')],
    ['B20 OPTIONS with Max-Forwards: 0', request('OPTIONS /x', ['Max-Forwards: 0'])],
  ])('%s, is answered by the gateway', async (_, bytes) => {
    const { response, heads } = await target().attack(bytes)
    expect(response.status).toBe(200)
    expect(response.head).toMatch(/\r\nallow: /i)
    expect(response.body).toBe('')
    expect(heads).toEqual([])
  })

  it.each<[string, string, number]>([
    ['B19 OPTIONS */x', request('OPTIONS */x'), 400],
    ['B20 Max-Forwards: x', request('OPTIONS /', ['Max-Forwards: x']), 400],
    ['B20 Max-Forwards: -1', request('OPTIONS /', ['Max-Forwards: -1']), 400],
    ['B20 Max-Forwards: 1.5', request('OPTIONS /', ['Max-Forwards: 1.5']), 400],
    ['B20 Max-Forwards empty', request('OPTIONS /', ['Max-Forwards:']), 400],
    ['B20 Max-Forwards twice', request('OPTIONS /', ['Max-Forwards: 1', 'Max-Forwards: 0']), 400],
    ['B20 TRACE', request('TRACE /'), 405],
    ['B20 TRACE with a body', request('TRACE /', ['Content-Length: 5'], 'hello'), 405],
    ['B20 TRACE with Max-Forwards: 0', request('TRACE /', ['Max-Forwards: 0']), 405],
  ])('%s, is refused', async (_, bytes, status) => {
    const response = await expectRefused(target(), bytes, status)
    if (status === 405) expect(response.head).toMatch(/\r\nallow: /i)
  })

  it.each([
    ['1', ['0']],
    ['7', ['6']],
    ['007', ['6']],
    [undefined, []],
  ])('B20 OPTIONS with Max-Forwards %s, is forwarded with %j', async (value, expected) => {
    const fields = value === undefined ? [] : [`Max-Forwards: ${value}`]
    const { heads } = await target().attack(request('OPTIONS /', fields))
    expect(heads.map((head) => valuesOf(head, 'max-forwards'))).toEqual([expected])
  })
})

describe('a target with invalid bytes is refused or encoded:', () => {
  it.each<[string, string]>(
    [
      '/\x80',
      '/\xc0\xaf',
      '/\xef\xbc\x8f',
      '/a?\xff',
      '/a\x01b',
      '/a\tb',
      '/a\x7fb',
      '/a b',
      '/a\\b',
      '/%C0%AF',
      '/%c0%ae%c0%ae/',
      '/%e0%80%af',
      '/%u002f',
      '/%%32e%%32e/',
      '/|/..;/a',
    ].map((path): [string, string] => [`B17 ${JSON.stringify(path)}`, path]),
  )('%s', async (_, path) => {
    await expectRefused(target(), request(`GET ${path}`))
  })

  it.each([
    ['/%7B%7D', '/%7B%7D'],
    ['/{a}|b^c"d<e>`', '/%7Ba%7D%7Cb%5Ec%22d%3Ce%3E%60'],
    ['/100%?q=100%', '/100%25?q=100%'],
    ['/%ef%bc%8f', '/%EF%BC%8F'],
    ['/a%20b', '/a%20b'],
    ['/%e9t%C3%A9', '/%E9t%C3%A9'],
  ])('B17 %s is forwarded as %s', async (path, expected) => {
    const { heads } = await target().attack(request(`GET ${path}`))
    expect(heads.map(targetOf)).toEqual([expected])
  })
})

/** A monolith in front of which `/admin` has moved to a service: what is decided as one must arrive as one. */
async function startSplit() {
  const [legacy, service] = [await startRawOrigin(), await startRawOrigin()]
  const gateway = await startGateway(
    {
      legacy: { url: legacy.url },
      services: { admin: { url: service.url } },
      contexts: {
        admin: { owner: 'team', service: 'admin', flag: 'admin', routes: ['/admin', '/admin/*'], fallback: false },
      },
      matching: { caseSensitive: false },
      identity: { anonymous: 'ip' },
    },
    { percentages: { admin: 100 } },
  )
  const where = async (path: string): Promise<string> => {
    const earlier = { legacy: legacy.heads().length, service: service.heads().length }
    const response = await exchange(gateway.port, request(`GET ${path}`))
    await knock(gateway)
    const seen = [
      ...legacy
        .heads()
        .slice(earlier.legacy)
        .map((head) => `legacy ${targetOf(head)}`),
      ...service
        .heads()
        .slice(earlier.service)
        .map((head) => `service ${targetOf(head)}`),
    ].filter((line) => !line.includes('/knock'))
    if (response.status === 400) {
      expect(response.isClosed).toBe(true)
      expect(seen).toEqual([])
      return '400'
    }
    expect(seen).toHaveLength(1)
    return seen[0] as string
  }
  return { gateway, legacy, service, where }
}

// The attack: a path that is public at the edge names another resource at the origin.
describe('the gateway decides on the path that the origin receives:', () => {
  const split = sharedByFile(startSplit)

  it.each<[string, string, string]>([
    ['B27', '/public/../admin', 'service /admin'],
    ['B27', '/public/%2e%2e/admin', 'service /admin'],
    ['B27', '/public/%2E./admin', 'service /admin'],
    ['B27', '/public/..;/admin', '400'],
    ['B27', '/public/..;x=1/admin', '400'],
    ['B27', '/%2e/admin', 'service /admin'],
    ['B27', '/.//admin', 'service /admin'],
    ['B27', '/admin/..', 'legacy /'],
    ['B27', '/admin/../public', 'legacy /public'],
    ['B28', '/admin%2fx', '400'],
    ['B28', '/admin%2Fx', '400'],
    ['B28', '/admin%5cx', '400'],
    ['B28', '/admin%252fx', '400'],
    ['B28', '/admin%25%32%66x', '400'],
    ['B28', '/admin%00', '400'],
    ['B28', '/admin%0d%0aX:1', '400'],
    ['B28', '/admin%0a', '400'],
    ['B28', '/public%2f..%2fadmin', '400'],
    ['B29', '/ADMIN', 'service /ADMIN'],
    ['B29', '/admin/', 'service /admin/'],
    ['B29', '/adm%69n', 'service /admin'],
    ['B29', '//admin', 'service /admin'],
    ['B29', '/admin;x=1', 'legacy /admin;x=1'],
    ['B29', '/admin.json', 'legacy /admin.json'],
    ['B29', '/admin%20', 'legacy /admin%20'],
    ['B30', '/x?a=1#/../admin', '400'],
    ['B30', '/#/../admin', '400'],
    ['B30', '/admin#', '400'],
    ['B30', '/x%23/../admin', 'service /admin'],
    ['CVE-2019-9901 (Envoy: no normalisation)', '/public/../../admin', 'service /admin'],
    ['CVE-2021-29492 (Envoy: escaped slashes)', '/public%2F..%2Fadmin', '400'],
    ['CVE-2021-29492 (Envoy: escaped backslashes)', '/public%5C..%5Cadmin', '400'],
    ['GHSA-fvhj-4qfh-q2hm (Traefik: raw fragment)', '/#/../admin', '400'],
    ['CVE-2025-47952 (Traefik: encoded dots)', '/public/%2e%2e/admin', 'service /admin'],
    ['CVE-2025-47952 (Traefik: dots encoded twice)', '/public/%252e%252e/admin', '400'],
    ['caddy #4407 (two slashes)', '//admin', 'service /admin'],
    ['caddy #4407 (three slashes)', '///admin//', 'service /admin/'],
    ['CVE-2021-41773 (Apache: half-encoded dots)', '/public/.%2e/admin', 'service /admin'],
    ['CVE-2021-42013 (Apache: dots encoded twice)', '/public/.%%32%65/admin', '400'],
    ['CVE-2020-11984-like (Tomcat: path parameters)', '/public/..;a=b/admin', '400'],
    ['CVE-2007-0450 (Tomcat behind a proxy: backslash)', '/public/\\../admin', '400'],
  ])('%s: %s → %s', async (_, path, expected) => {
    expect(await split().where(path)).toBe(expected)
  })

  it('an encoded slash is forwarded only to an upstream that is configured for it', async () => {
    const [legacy, service] = [await startRawOrigin(), await startRawOrigin()]
    const gateway = await startGateway(
      {
        legacy: { url: legacy.url },
        services: { files: { url: service.url, allowEncodedSlashes: true } },
        contexts: { files: { owner: 'team', service: 'files', flag: 'files', routes: ['/files/*'] } },
        identity: { anonymous: 'ip' },
      },
      { percentages: { files: 100 } },
    )
    expect((await exchange(gateway.port, request('GET /files/a%2fb'))).status).toBe(200)
    expect(service.heads().map(targetOf)).toEqual(['/files/a%2Fb'])
    expect((await exchange(gateway.port, request('GET /files/..%2fb'))).status).toBe(400)
    expect((await exchange(gateway.port, request('GET /files/a%00'))).status).toBe(400)
    expect((await exchange(gateway.port, request('GET /other/a%2fb'))).status).toBe(400)
    await gateway.setFlags({ files: 0 })
    expect((await exchange(gateway.port, request('GET /files/a%2fb'))).status).toBe(400)
    expect(service.requests()).toBe(1)
    expect(legacy.requests()).toBe(0)
  })

  it('a fallback does not send an encoded slash to a monolith that is not configured for it', async () => {
    const legacy = await startRawOrigin()
    const service = await startRawOrigin((socket) => void socket.destroy())
    const gateway = await startGateway(
      {
        legacy: { url: legacy.url },
        services: { files: { url: service.url, allowEncodedSlashes: true } },
        contexts: { files: { owner: 'team', service: 'files', flag: 'files', routes: ['/files/*'] } },
        identity: { anonymous: 'ip' },
      },
      { percentages: { files: 100 } },
    )
    expect((await exchange(gateway.port, request('GET /files/ab'))).status).toBe(200)
    expect(legacy.heads().map(targetOf)).toEqual(['/files/ab'])
    expect((await exchange(gateway.port, request('GET /files/a%2fb'))).status).toBe(502)
    expect(legacy.requests()).toBe(1)
  })
})

/** For every one, twelve at a time. */
async function inTwelves<Item>(items: readonly Item[], run: (item: Item) => Promise<unknown>): Promise<void> {
  for (let i = 0; i < items.length; i += 12) await Promise.all(items.slice(i, i + 12).map(run))
}

/** Paths of what attackers build them of. */
const nastyPaths = fc
  .array(
    fc.constantFrom(
      ...[
        '/',
        '/',
        '/',
        '.',
        '..',
        ';',
        ';x=1',
        '%2e',
        '%2E',
        '%2f',
        '%252f',
        '%5c',
        '%25',
        '%61',
        '%20',
        '%3f',
        '%23',
      ],
      ...['|', '{', '"', '%', 'adm%%69n'],
      ...['admin', 'Admin', 'adm%69n', 'public', 'a', '%c3%a9', '%00', '*', ':', '@', '~', '!', "'", '(', ',', '='],
    ),
    { minLength: 1, maxLength: 8 },
  )
  .map((parts) => `/${parts.join('')}`)

describe('a character that browsers and curl send raw', () => {
  it('is decided on in the encoded form that the origin receives', async () => {
    const [legacy, service] = [await startRawOrigin(), await startRawOrigin()]
    const gateway = await startGateway(
      {
        legacy: { url: legacy.url },
        services: { tags: { url: service.url } },
        contexts: { tags: { owner: 'team', service: 'tags', flag: 'tags', routes: ['/tags/a%7Cb', '/100%25/:id'] } },
        identity: { anonymous: 'ip' },
      },
      { percentages: { tags: 100 } },
    )
    for (const path of ['/tags/a|b', '/tags/a%7cb', '/100%/{x}', '/100%25/%7bx%7d', '/tags/a^b']) {
      expect((await exchange(gateway.port, request(`GET ${path}`))).status).toBe(200)
    }
    const [encoded, percent] = ['/tags/a%7Cb', '/100%25/%7Bx%7D']
    expect(service.heads().map(targetOf)).toEqual([encoded, encoded, percent, percent])
    expect(legacy.heads().map(targetOf)).toEqual(['/tags/a%5Eb'])
  })
})

describe('for hundreds of generated paths,', () => {
  const split = sharedByFile(startSplit)

  it('the path of the decision equals the path that the origin receives', async () => {
    const { gateway, legacy, service } = split()
    const paths = fc.sample(nastyPaths, { numRuns: 300, seed: 20_261 })
    await inTwelves(paths, (path) => exchange(gateway.port, request(`GET ${path}`, ['Connection: close'])))
    await until(async () => (await gateway.accessLog()).length >= paths.length)
    const log = await gateway.accessLog()
    const arrived = [
      ...legacy.heads().map((head) => ({ head, side: 'legacy' })),
      ...service.heads().map((head) => ({ head, side: 'service' })),
    ]
    const byId = new Map(log.map((line) => [line.requestId, line]))
    expect(arrived.length).toBeGreaterThan(100)
    for (const { head, side } of arrived) {
      const line = byId.get(valuesOf(head, 'x-request-id')[0])
      expect(line).toMatchObject({ path: targetOf(head), side, status: 200 })
      // The paths below /admin have moved: the monolith never receives a path that an origin would read as one of them.
      expect(side).toBe(/^\/admin(?:\/|$)/i.test(targetOf(head)) ? 'service' : 'legacy')
    }
    const refused = log.filter(({ status }) => status === 400).length
    expect(refused).toBeGreaterThan(0)
    expect(arrived.length + refused).toBe(paths.length)
  })

  it('a path that Express routes to /admin is decided as /admin', async () => {
    const app = (side: string) =>
      express()
        .use((_request, response, next) => {
          response.set('X-Side', side)
          next()
        })
        .use('/admin', (_request, response) => void response.send('admin'))
        .use((_request, response) => void response.send('public'))
    const [legacy, service] = [await startHttpOrigin(app('legacy')), await startHttpOrigin(app('service'))]
    const gateway = await startGateway(
      {
        legacy: { url: legacy.url },
        services: { admin: { url: service.url } },
        contexts: { admin: { owner: 'team', service: 'admin', flag: 'admin', routes: ['/admin', '/admin/*'] } },
        matching: { caseSensitive: false },
        identity: { anonymous: 'ip' },
      },
      { percentages: { admin: 100 } },
    )
    let served = 0
    await inTwelves(fc.sample(nastyPaths, { numRuns: 300, seed: 20_262 }), async (path) => {
      const { status, head, body } = await exchange(gateway.port, request(`GET ${path}`, ['Connection: close']))
      if (status === 400) return
      served++
      expect(valuesOf(head, 'x-side'), path).toEqual([body === 'admin' ? 'service' : 'legacy'])
    })
    expect(served).toBeGreaterThan(100)
  })
})

describe('a Host that resembles another (CVE-2026-55602)', () => {
  const hosts = sharedByFile(async () => {
    const [legacy, service] = [await startRawOrigin(), await startRawOrigin()]
    const gateway = await startGateway(
      {
        legacy: { url: legacy.url },
        services: { shop: { url: service.url } },
        contexts: {
          shop: {
            owner: 'team',
            service: 'shop',
            flag: 'shop',
            routes: [
              { path: '/api', host: 'shop.example' },
              { path: '/sub', host: '*.shop.example' },
            ],
          },
        },
        identity: { anonymous: 'ip' },
      },
      { percentages: { shop: 100 } },
    )
    const where = async (host: string, path: string) => {
      const earlier = service.requests()
      const { status } = await exchange(gateway.port, `GET ${path} HTTP/1.1\r\nHost: ${host}\r\n\r\n`)
      return status === 200 ? (service.requests() > earlier ? 'service' : 'legacy') : String(status)
    }
    return { where }
  })

  it.each([
    ['shop.example', '/api', 'service'],
    ['SHOP.example', '/api', 'service'],
    ['shop.example.', '/api', 'service'],
    ['shop.example:99', '/api', 'service'],
    ['evilshop.example', '/api', 'legacy'],
    ['shop.example.evil', '/api', 'legacy'],
    ['shop-example', '/api', 'legacy'],
    ['shopXexample', '/api', 'legacy'],
    ['x.shop.example', '/api', 'legacy'],
    ['shop.example/api', '/', '400'],
    ['shop.example/x', '/api', '400'],
    ['evil@shop.example', '/api', '400'],
    ['evil#shop.example', '/api', '400'],
    ['shop.example:80@evil', '/api', '400'],
    ['x.shop.example', '/sub', 'service'],
    ['evilshop.example', '/sub', 'legacy'],
    ['.shop.example', '/sub', 'legacy'],
    ['shop.example', '/sub', 'legacy'],
    ['x.shop.example.evil', '/sub', 'legacy'],
  ])('Host: %s with %s → %s', async (host, path, expected) => {
    expect(await hosts().where(host, path)).toBe(expected)
  })
})
