import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { ContextConfig, RouteConfig, RoutesConfig, UpstreamConfig } from '../define-routes.ts'
import { formatMistakes } from '../mistake.ts'
import { validate } from './validate.ts'

const LEGACY = { url: 'http://127.0.0.1:3000' }
const SERVICES = { catalog: { url: 'http://127.0.0.1:3001' } }
const CONTEXT = { owner: 'team', service: 'catalog', flag: 'migrate-catalog', routes: ['/products'] }

/** The mistakes in a config, as a person reads them. */
function mistakesIn(written: unknown): string[] {
  const validated = validate(written)
  return validated.ok ? [] : formatMistakes(validated.mistakes).split('\n')
}

function valid(written: RoutesConfig) {
  const validated = validate(written)
  if (!validated.ok) throw new Error(formatMistakes(validated.mistakes))
  return validated.config
}

const withLegacy = (legacy: unknown) => ({ legacy })
const withService = (service: unknown) => ({ legacy: LEGACY, services: { catalog: service } })
const withContext = (changes: object) => ({
  legacy: LEGACY,
  services: SERVICES,
  contexts: { catalog: { ...CONTEXT, ...changes } },
})
const withRoute = (...routes: unknown[]) => withContext({ routes })
const withTop = (changes: object) => ({ legacy: LEGACY, ...changes })

describe('a good config', () => {
  test('accepts the example of the documents', () => {
    const config = valid({
      legacy: { url: 'http://127.0.0.1:3000' },
      services: {
        catalog: { url: 'http://127.0.0.1:3001', health: '/healthz' },
        orders: {
          urls: ['http://127.0.0.1:3002'],
          connections: 64,
          timeouts: { connectMs: 2000, headersMs: 15000, idleMs: 60000 },
        },
      },
      contexts: {
        catalog: {
          owner: 'team-catalog',
          service: 'catalog',
          flag: 'migrate-catalog',
          routes: [
            'GET /products',
            'GET /products/:id',
            '/api/catalog/*',
            { path: '/search', methods: ['GET'], rewrite: '/v2/search' },
          ],
        },
        orders: {
          owner: 'team-orders',
          service: 'orders',
          flag: 'migrate-orders',
          routes: ['/api/orders', '/api/orders/*', { path: '/live/orders', upgrade: true }],
        },
      },
      identity: {
        user: { header: 'X-User-Id', trust: ['10.0.0.0/8'] },
        session: { cookie: 'sid' },
        anonymous: 'cookie',
      },
      trustedProxies: ['127.0.0.1/32'],
    })
    expect([...config.contexts.keys()]).toEqual(['catalog', 'orders'])
    expect(config.services.get('orders')).toMatchObject({
      connections: 64,
      timeouts: { headersMs: 15000, queueMs: 1000 },
    })
    expect(config.identity.user?.header).toBe('x-user-id')
  })

  test('needs no more than the monolith; every default is filled in', () => {
    expect(valid({ legacy: LEGACY })).toEqual({
      legacy: {
        name: 'legacy',
        side: 'legacy',
        urls: ['http://127.0.0.1:3000'],
        connections: 256,
        queue: 256,
        reuse: true,
        keepAliveMs: 4000,
        timeouts: { connectMs: 2000, headersMs: 60000, idleMs: 60000, queueMs: 1000 },
        host: 'preserve',
        tls: undefined,
        health: undefined,
        allowEncodedSlashes: false,
        via: true,
        bareLineFeeds: false,
      },
      services: new Map(),
      contexts: new Map(),
      identity: { user: undefined, session: undefined, anonymous: 'cookie' },
      unowned: { headers: undefined, middleware: [] },
      trustedProxies: [],
      limits: {
        targetBytes: 8192,
        headerBytes: 16384,
        headerCount: 100,
        bodyBytes: Number.MAX_SAFE_INTEGER,
        headersMs: 10000,
        clientIdleMs: 60000,
        minimumRate: 0,
        uploadsPerClient: 64,
        rateGraceMs: 5000,
        keepAliveMs: 65000,
        connections: 10000,
      },
      retries: { budgetPercent: 20, minimumPerSecond: 3 },
      ejection: { consecutiveFailures: 5, baseMs: 30000, maxMs: 300000, maxPercent: 50 },
      shadowing: {
        captureBytes: 33554432,
        underWay: 256,
        lagMs: 70,
        cpuShare: 0.5,
      },
      drain: { noticeMs: 5000, limitMs: 25000 },
      matching: { caseSensitive: true, trailingSlash: 'ignore' },
    })
  })

  test.each<[UpstreamConfig, string]>([
    [{ url: 'http://127.0.0.1:3001' }, 'preserve'],
    [{ url: 'http://[::1]:3001' }, 'preserve'],
    [{ url: 'http://catalog:3001' }, 'preserve'],
    [{ url: 'http://localhost' }, 'preserve'],
    [{ url: 'http://catalog.shop.svc.cluster.local' }, 'preserve'],
    [{ url: 'https://abc123.lambda-url.eu-central-1.on.aws' }, 'upstream'],
    [{ url: 'https://abc123.on.aws', host: 'preserve' }, 'preserve'],
    [{ url: 'http://127.0.0.1:3001', host: 'upstream' }, 'upstream'],
  ])('%o is sent its Host by the policy %s', (service, host) => {
    expect(valid({ legacy: LEGACY, services: { catalog: service } }).services.get('catalog')?.host).toBe(host)
  })

  test('keeps the client’s Host for the monolith, wherever that is', () => {
    expect(valid({ legacy: { url: 'https://shop.example.com' } }).legacy.host).toBe('preserve')
  })

  test.each<[UpstreamConfig['health'], object]>([
    ['/healthz', { path: '/healthz', intervalMs: 5000, timeoutMs: 2000, healthyAfter: 2, unhealthyAfter: 3 }],
    [
      { path: '/up?deep=1', intervalMs: 500 },
      { path: '/up?deep=1', intervalMs: 500, timeoutMs: 500 },
    ],
    [
      { path: '/up', intervalMs: 500, timeoutMs: 100, unhealthyAfter: 1 },
      { timeoutMs: 100, unhealthyAfter: 1 },
    ],
  ])('reads the health check %o', (health, expected) => {
    expect(valid({ legacy: { ...LEGACY, health } }).legacy.health).toMatchObject(expected)
  })

  test.each<[string | RouteConfig, object]>([
    ['/x', { methods: undefined }],
    ['GET /x', { methods: ['GET'] }],
    ['GET,POST /x', { methods: ['GET', 'POST'] }],
    ['  GET , POST   /x ', { methods: ['GET', 'POST'] }],
    [{ path: '/x', methods: ['GET', 'GET'] }, { methods: ['GET'] }],
    [{ path: '/x', maxBodyBytes: 0 }, { maxBodyBytes: Number.MAX_SAFE_INTEGER }],
    [{ path: '/x', host: 'Shop.Example.com' }, { host: 'shop.example.com' }],
    [{ path: '/x', rewrite: '/' }, { rewrite: [{ text: '/' }] }],
    [
      { path: '/x/:id/*', rewrite: '/v2/:id.json/*' },
      { rewrite: [{ text: '/v2/' }, { param: 'id' }, { text: '.json/' }, { param: '*' }] },
    ],
    [
      { path: '/x', methods: undefined, host: undefined },
      { methods: undefined, host: undefined },
    ],
  ])('reads the route %o', (route, expected) => {
    const config = valid({ legacy: LEGACY, services: SERVICES, contexts: { catalog: { ...CONTEXT, routes: [route] } } })
    expect(config.contexts.get('catalog')?.routes[0]).toMatchObject(expected)
  })

  test('lets a context refine its own route by method', () => {
    expect(mistakesIn(withRoute('/cart', { path: '/cart', methods: ['POST'], maxBodyBytes: 10 }))).toEqual([])
  })

  test('takes middleware alone or in lists', () => {
    const noOp = () => {}
    const routes = [
      { path: '/a', middleware: noOp },
      { path: '/b', middleware: [noOp, noOp] },
    ]
    const config = valid({ legacy: LEGACY, services: SERVICES, contexts: { catalog: { ...CONTEXT, routes } } })
    expect(config.contexts.get('catalog')?.routes.map(({ middleware }) => middleware)).toEqual([[noOp], [noOp, noOp]])
  })
})

describe('a mistake says where it is, what was found and what to write', () => {
  test.each<[string, unknown, string[]]>([
    ['nothing at all', undefined, ['is missing; it must be an object', 'legacy: is missing']],
    ['not an object', [], ['must be an object', 'legacy: is missing']],
    ['no monolith', {}, ['legacy: is missing; it must be an object such as { url: "http://127.0.0.1:3001" }']],
    ['a misspelt key', { legacy: LEGACY, contxts: {} }, ['contxts: unknown key; did you mean "contexts"?']],
    [
      'a key nobody knows',
      { legacy: LEGACY, zzzzzzzzzz: 1 },
      ['zzzzzzzzzz: unknown key; valid names: legacy, services'],
    ],
    // Upstreams
    ['a bare text', withService('http://x'), ['services.catalog: must be an object such as { url: ']],
    ['no address', withLegacy({}), ['legacy: has no address; write "url"']],
    [
      'two kinds of address',
      withLegacy({ url: 'http://a', urls: ['http://b'] }),
      ['legacy: has both "url" and "urls"'],
    ],
    ['no address in a list', withLegacy({ urls: [] }), ['legacy.urls: must hold at least one address']],
    ['a doubled address', withLegacy({ urls: ['http://a', 'http://A:80/'] }), ['legacy.urls[1]: is listed twice']],
    [
      'another scheme',
      withLegacy({ url: 'ftp://a' }),
      ['legacy.url: must begin with "http://" or "https://" (found "ftp://a")'],
    ],
    ['no scheme', withLegacy({ url: 'a:3000' }), ['legacy.url: must begin with "http://"']],
    ['no URL', withLegacy({ url: '3000' }), ['legacy.url: must be an address such as']],
    [
      'a path',
      withLegacy({ url: 'http://a/b' }),
      ['legacy.url: must have no path, query or fragment; write "http://a"'],
    ],
    ['a query', withLegacy({ url: 'http://a?b' }), ['legacy.url: must have no path, query or fragment']],
    ['a fragment', withLegacy({ url: 'http://a#' }), ['legacy.url: must have no path, query or fragment']],
    ['port 0', withLegacy({ url: 'http://a:0' }), ['legacy.url: must have a host, and a port other than 0']],
    [
      'a timeout with a unit',
      withLegacy({ ...LEGACY, timeouts: { connectMs: '2s' } }),
      [
        'legacy.timeouts.connectMs: must be a whole number of milliseconds, 0 for no limit, from 0 to 86400000 (found "2s")',
      ],
    ],
    [
      'a broken millisecond',
      withLegacy({ ...LEGACY, timeouts: { idleMs: 1.5 } }),
      ['legacy.timeouts.idleMs: must be a whole number'],
    ],
    [
      'a negative time',
      withLegacy({ ...LEGACY, keepAliveMs: -1 }),
      ['legacy.keepAliveMs: must be a whole number of milliseconds from 1'],
    ],
    [
      'a week',
      withLegacy({ ...LEGACY, timeouts: { idleMs: 604800000 } }),
      ['legacy.timeouts.idleMs: must be a whole number'],
    ],
    [
      'no connections',
      withLegacy({ ...LEGACY, connections: 0 }),
      ['legacy.connections: must be a whole number from 1 to 65535'],
    ],
    [
      'a misspelt timeout',
      withLegacy({ ...LEGACY, timeouts: { headerMs: 1 } }),
      ['legacy.timeouts.headerMs: unknown key; did you mean "headersMs"?'],
    ],
    [
      'a quoted boolean',
      withLegacy({ ...LEGACY, reuse: 'false' }),
      ['legacy.reuse: must be true or false, without quotes (found "false")'],
    ],
    [
      'bareLineFeeds that is not a boolean',
      withLegacy({ ...LEGACY, bareLineFeeds: 'yes' }),
      ['legacy.bareLineFeeds: must be true or false, without quotes (found "yes")'],
    ],
    [
      'another Host policy',
      withLegacy({ ...LEGACY, host: 'keep' }),
      ['legacy.host: must be one of "preserve", "upstream" (found "keep")'],
    ],
    [
      'a health URL',
      withLegacy({ ...LEGACY, health: 'http://a/up' }),
      ['legacy.health: must be a path such as "/healthz"'],
    ],
    ['a health check without path', withLegacy({ ...LEGACY, health: {} }), ['legacy.health.path: is missing']],
    [
      'a health check that overlaps',
      withLegacy({ ...LEGACY, health: { path: '/', intervalMs: 100, timeoutMs: 200 } }),
      ['legacy.health.timeoutMs: must be at most intervalMs (100)'],
    ],
    [
      'a certificate without key',
      withLegacy({ url: 'https://a', tls: { cert: 'a.pem' } }),
      ['legacy.tls: has "cert" without "key"'],
    ],
    [
      'TLS without https',
      withLegacy({ ...LEGACY, tls: { ca: 'ca.pem' } }),
      ['legacy.tls: applies only to addresses that begin with "https://"'],
    ],
    [
      'an address as server name',
      withLegacy({ url: 'https://a', tls: { servername: '127.0.0.1' } }),
      ['legacy.tls.servername: must be a name'],
    ],
    // Names
    [
      'a service called legacy',
      { legacy: LEGACY, services: { legacy: LEGACY } },
      ['services.legacy: is not a valid name'],
    ],
    ['a name with a space', { legacy: LEGACY, services: { 'a b': LEGACY } }, ['services["a b"]: is not a valid name']],
    [
      'a context called unowned',
      { legacy: LEGACY, services: SERVICES, contexts: { unowned: CONTEXT } },
      ['contexts.unowned: is not a valid name'],
    ],
    [
      'contexts in a list',
      { legacy: LEGACY, contexts: [CONTEXT] },
      ['contexts: must be an object with the contexts by name (found a list of 1)'],
    ],
    // Contexts
    ['no owner', withContext({ owner: undefined }), ['contexts.catalog.owner: is missing']],
    [
      'a service that is not there',
      withContext({ service: 'catalogue' }),
      ['contexts.catalog.service: is not under "services"; did you mean "catalog"? (found "catalogue")'],
    ],
    ['no flag', withContext({ flag: undefined }), ['contexts.catalog.flag: is missing']],
    [
      'a flag that Unleash refuses',
      withContext({ flag: 'migrate catalog' }),
      ['contexts.catalog.flag: must be an Unleash flag name'],
    ],
    [
      'a flag that is too long',
      withContext({ flag: 'a'.repeat(101) }),
      ['contexts.catalog.flag: must be an Unleash flag name'],
    ],
    ['a flag of dots', withContext({ flag: '..' }), ['contexts.catalog.flag: must not be "." or ".."']],
    ['no routes', withContext({ routes: [] }), ['contexts.catalog.routes: must hold at least one route']],
    ['one route without list', withContext({ routes: '/x' }), ['contexts.catalog.routes: must be a list of routes']],
    [
      'fallback in words',
      withContext({ fallback: 'no' }),
      ['contexts.catalog.fallback: must be "reads" (GET, HEAD and OPTIONS), "all" or false'],
    ],
    // Routes
    ['a route that is neither', withRoute(3), ['contexts.catalog.routes[0]: must be an object such as']],
    ['a route without path', withRoute({}), ['contexts.catalog.routes[0].path: is missing']],
    [
      'a method in lower case',
      withRoute('get /x'),
      ['contexts.catalog.routes[0]: must be upper-case; write "GET" (found "get")'],
    ],
    [
      'a method nobody has',
      withRoute('FETCH /x'),
      ['contexts.catalog.routes[0]: is not an HTTP method (found "FETCH")'],
    ],
    [
      'CONNECT and TRACE',
      withRoute({ path: '/x', methods: ['CONNECT', 'TRACE'] }),
      ['routes[0].methods[0]: is refused by the gateway', 'routes[0].methods[1]: is refused'],
    ],
    ['no methods', withRoute({ path: '/x', methods: [] }), ['routes[0].methods: must contain a method']],
    [
      'a method in the path',
      withRoute({ path: 'GET /x' }),
      ['routes[0].path: is only the path; write "/x" and methods: ["GET"]'],
    ],
    ['a path without a slash', withRoute('orders'), ['routes[0]: must start with "/"; write "/orders"']],
    ['a query', withRoute('/x?y=1'), ['routes[0]: must have no "?"']],
    ['a fragment', withRoute('/x#y'), ['routes[0]: must have no "#"']],
    ['an optional parameter', withRoute('/x/:id?'), ['routes[0]: must have no optional parameter']],
    [
      'a regular expression',
      withRoute('/x/:id(\\d+)'),
      ['routes[0]: must have no regular expression or group', 'routes[0]: must have no backslash'],
    ],
    ['an empty segment', withRoute('/x//y'), ['routes[0]: must have no empty segment; write "/x/y"']],
    ['a dot segment', withRoute('/x/../y'), ['routes[0]: must have no "." or ".." segment']],
    ['a dot segment for Tomcat', withRoute('/x/..;/y'), ['routes[0]: must have no "." or ".." segment']],
    [
      'an encoded dot segment',
      withRoute('/x/%2e%2e'),
      ['routes[0]: must be in normal form (RFC 3986 section 6.2.2); write "/x/.."'],
    ],
    ['an encoded slash', withRoute('/x%2Fy'), ['routes[0]: must have no backslash, and no encoded slash']],
    [
      'an encoded NUL',
      withRoute('/x%00'),
      ['routes[0]: must have no backslash, and no encoded slash, backslash or control character'],
    ],
    [
      'an escape in lower case',
      withRoute('/caf%c3%a9'),
      ['routes[0]: must be in normal form (RFC 3986 section 6.2.2); write "/caf%C3%A9"'],
    ],
    [
      'an escape without need',
      withRoute('/%61dmin'),
      ['routes[0]: must be in normal form (RFC 3986 section 6.2.2); write "/admin"'],
    ],
    ['a percent sign without an escape', withRoute('/100%'), ['routes[0]: has a "%" that does not begin an escape']],
    [
      'a raw letter',
      withRoute('/café'),
      ['routes[0]: has characters that must be percent-encoded in a path; write "/caf%C3%A9"'],
    ],
    ['a wildcard in the middle', withRoute('/x/*/y'), ['routes[0]: "*" matches the whole rest of the path']],
    ['a wildcard in a segment', withRoute('/x*'), ['routes[0]: "*" matches the whole rest of the path']],
    ['a parameter without name', withRoute('/x/:'), ['routes[0]: ":" must be followed by a parameter\'s name']],
    ['two parameters in a segment', withRoute('/:a-:b'), ['routes[0]: ":a-:b" has two parameters']],
    ['a parameter after dots', withRoute('/.:a'), ['routes[0]: ".:a" has dots before a parameter']],
    ['one parameter twice', withRoute('/:a/:a'), ['routes[0]: has the parameter ":a" twice']],
    [
      'a rewrite to nowhere',
      withRoute({ path: '/x', rewrite: 'y' }),
      ['routes[0].rewrite: must start with "/"; write "/y"'],
    ],
    [
      'a rewrite to another host',
      withRoute({ path: '/x', rewrite: '//y' }),
      ['routes[0].rewrite: must have no empty segment'],
    ],
    [
      'a rewrite that climbs',
      withRoute({ path: '/x', rewrite: '/../y' }),
      ['routes[0].rewrite: must have no "." or ".." segment'],
    ],
    ['a rewrite with a query', withRoute({ path: '/x', rewrite: '/y?z=1' }), ['routes[0].rewrite: must have no "?"']],
    [
      'a parameter out of nowhere',
      withRoute({ path: '/x/:id', rewrite: '/y/:ix' }),
      ['routes[0].rewrite: uses ":ix", which the path "/x/:id" does not have; its parameters: ":id"'],
    ],
    [
      'a wildcard out of nowhere',
      withRoute({ path: '/x', rewrite: '/y/*' }),
      ['routes[0].rewrite: uses "*", which the path "/x" does not have; its parameters: none'],
    ],
    ['a host with port', withRoute({ path: '/x', host: 'a.com:80' }), ['routes[0].host: must have no port']],
    ['a host with a path', withRoute({ path: '/x', host: 'a.com/x' }), ['routes[0].host: must be a host name']],
    [
      'a host with letters of its own',
      withRoute({ path: '/x', host: 'bücher.de' }),
      ['routes[0].host: must be a host name such as "shop.example.com" or "*.example.com"; write "xn--bcher-kva.de"'],
    ],
    ['a star alone', withRoute({ path: '/x', host: '*' }), ['routes[0].host: must be a host name']],
    [
      'an unbracketed address',
      withRoute({ path: '/x', host: '::1' }),
      ['routes[0].host: must be written as in a URL: "[::1]"'],
    ],
    [
      'an upgrade by POST',
      withRoute({ path: '/x', methods: ['GET', 'POST'], upgrade: true }),
      ['routes[0].methods: an upgrade is always a GET'],
    ],
    [
      'middleware on an upgrade, where it would not run',
      withRoute({ path: '/x', upgrade: true, middleware: () => {} }),
      ['routes[0].middleware: middleware does not run for WebSockets'],
    ],
    [
      'a negative body',
      withRoute({ path: '/x', maxBodyBytes: -1 }),
      ['routes[0].maxBodyBytes: must be a whole number of bytes'],
    ],
    [
      'middleware by name',
      withRoute({ path: '/x', middleware: 'helmet' }),
      ['routes[0].middleware: must be an Express middleware'],
    ],
    [
      'middleware in part',
      withRoute({ path: '/x', middleware: [() => {}, 1] }),
      ['routes[0].middleware: must be an Express middleware'],
    ],
    // Identity and trust
    [
      'a user header of anyone',
      withTop({ identity: { user: { header: 'x-user' } } }),
      [
        'identity.user.trust: is missing; it must list the proxies that may set the header, such as ["10.0.0.0/8"]: without it every client could act as any user',
      ],
    ],
    [
      'a user header of nobody',
      withTop({ identity: { user: { header: 'x-user', trust: [] } } }),
      ['identity.user.trust: must list the proxies'],
    ],
    [
      'a user header of the world',
      withTop({ identity: { user: { header: 'x-user', trust: ['0.0.0.0/0'] } } }),
      ['identity.user.trust[0]: would trust every client'],
    ],
    [
      'a header that cannot be',
      withTop({ identity: { user: { header: 'x user', trust: ['::1'] } } }),
      ['identity.user.header: must be a header name'],
    ],
    [
      'a header with underscore',
      withTop({ identity: { user: { header: 'x_user', trust: ['::1'] } } }),
      ['identity.user.header: must have no "_"'],
    ],
    [
      'a header with a meaning',
      withTop({ identity: { user: { header: 'Host', trust: ['::1'] } } }),
      ['identity.user.header: must be a header of its own'],
    ],
    [
      'a cookie that cannot be',
      withTop({ identity: { session: { cookie: 'a=b' } } }),
      ['identity.session.cookie: must be a cookie name'],
    ],
    [
      'a cookie by itself',
      withTop({ identity: { session: 'sid' } }),
      ['identity.session: must be an object; its keys: cookie (found "sid")'],
    ],
    [
      'another kind of anonymous',
      withTop({ identity: { anonymous: 'none' } }),
      ['identity.anonymous: must be one of "cookie", "ip", "legacy"'],
    ],
    [
      'a proxy without list',
      withTop({ trustedProxies: '10.0.0.0/8' }),
      ['trustedProxies: must be a list of addresses'],
    ],
    ['a proxy by name', withTop({ trustedProxies: ['loopbak'] }), ['trustedProxies[0]: must be an IP address']],
    [
      'a prefix too long',
      withTop({ trustedProxies: ['10.0.0.0/33', '::1/129'] }),
      ['trustedProxies[0]: must have a prefix of at most 32', 'trustedProxies[1]: must have a prefix of at most 128'],
    ],
    [
      'an invalid prefix length',
      withTop({ trustedProxies: ['10.0.0.0/', '10.0.0.0/x'] }),
      ['trustedProxies[0]: must have the length of its prefix', 'trustedProxies[1]: must have the length'],
    ],
    ['half an address', withTop({ trustedProxies: ['10.0'] }), ['trustedProxies[0]: must be an IP address']],
    // Settings
    [
      'limits by another name',
      withTop({ limits: { bodybytes: 1 } }),
      ['limits.bodybytes: unknown key; did you mean "bodyBytes"?'],
    ],
    [
      'no time for a head',
      withTop({ limits: { headersMs: 0 } }),
      ['limits.headersMs: must be a whole number of milliseconds from 1'],
    ],
    [
      'more than all',
      withTop({ retries: { budgetPercent: 101 } }),
      ['retries.budgetPercent: must be a whole number of percent from 0 to 100'],
    ],
    [
      'an ejection that shrinks',
      withTop({ ejection: { baseMs: 10, maxMs: 5 } }),
      ['ejection.maxMs: must be at least baseMs (10)'],
    ],
    [
      'a drain that ends before it begins',
      withTop({ drain: { noticeMs: 30000 } }),
      ['drain.limitMs: must be more than noticeMs (30000)'],
    ],
    [
      'another slash',
      withTop({ matching: { trailingSlash: 'redirect' } }),
      ['matching.trailingSlash: must be one of "ignore", "strict"'],
    ],
  ])('%s', (_, written, expected) => {
    const mistakes = mistakesIn(written)
    expect(mistakes).toHaveLength(expected.length)
    for (const [index, part] of expected.entries()) expect(mistakes[index]).toContain(part)
  })

  test('every mistake is reported at once, whatever its kind', () => {
    const mistakes = mistakesIn({
      legcy: {},
      legacy: { url: 'ftp://a', conections: 3 },
      services: { catalog: { url: 'http://a', urls: ['http://a'], timeouts: { connectMs: 'x' } } },
      contexts: {
        one: { ...CONTEXT, ownr: 'x', service: 'nope', routes: ['/a/:id', { path: '/b', rewrite: '/c/:d' }] },
        two: { ...CONTEXT, owner: '', routes: ['/a/:x'] },
      },
      trustedProxies: ['x'],
    })
    expect(mistakes.map((line) => line.slice(0, line.indexOf(':')))).toEqual([
      'legcy',
      'trustedProxies[0]',
      'legacy.conections',
      'legacy.url',
      'services.catalog',
      'services.catalog.urls[0]',
      'services.catalog.timeouts.connectMs',
      'contexts.one.ownr',
      'contexts.one.routes[1].rewrite',
      'contexts.two.owner',
      'contexts.one.service',
      'contexts.two.flag',
      'contexts.two.routes[0]',
    ])
  })

  test('never shows a private key or a password', () => {
    const key = '-----BEGIN PRIVATE KEY-----\nMIIEvQIBADANBg\n-----END PRIVATE KEY-----'
    const shown = mistakesIn({
      legacy: { url: key },
      services: { a: { url: 'http://me:hunter2@a', health: key } },
      [key]: 1,
    })
    expect(shown).toHaveLength(4)
    expect(shown.join('\n')).not.toMatch(/MIIE|hunter2/)
  })

  test('keeps what it shows on one short line without control characters', () => {
    const mistakes = mistakesIn({ legacy: { url: `x\u001b[31m\n\u009b${'y'.repeat(5000)}` } })
    expect(mistakes).toHaveLength(1)
    expect(mistakes[0]!.length).toBeLessThan(200)
    expect(mistakes[0]).not.toMatch(/\p{Cc}/u)
  })
})

describe('two claims on one route', () => {
  const two = (first: unknown[], second: unknown[], matching: object = {}) =>
    mistakesIn({
      legacy: LEGACY,
      services: SERVICES,
      matching,
      contexts: {
        one: { ...CONTEXT, flag: 'one', routes: first },
        two: { ...CONTEXT, flag: 'two', routes: second },
      } satisfies Record<string, Omit<ContextConfig, 'routes'> & { routes: unknown[] }>,
    })

  test.each([
    ['the same words', ['/a'], ['/a']],
    ['the same method', ['GET /a'], ['GET /a']],
    ['another name for the parameter', ['/a/:id'], ['/a/:x']],
    ['one method in common', ['GET,POST /a'], ['POST,PUT /a']],
    ['every method against one', ['/a'], ['GET /a']],
    ['HEAD, which GET covers', ['GET /a'], ['HEAD /a']],
    ['a trailing slash', ['/a'], ['/a/']],
    ['the same host', [{ path: '/a', host: 'A.com' }], [{ path: '/a', host: 'a.com' }]],
    ['the same part of a segment', ['/:id.json'], ['/:name.json']],
    ['the wildcard', ['/a/*'], ['/a/*']],
  ])('is a mistake that names both: %s', (_, first, second) => {
    const mistakes = two(first, second)
    expect(mistakes).toHaveLength(1)
    expect(mistakes[0]).toMatch(
      /^contexts\.two\.routes\[0\]: .* is already claimed by the context "one" at contexts\.one\.routes\[0\]/,
    )
  })

  test.each([
    ['other methods', ['GET /a'], ['POST /a']],
    ['other hosts', [{ path: '/a', host: 'a.com' }], [{ path: '/a', host: 'b.com' }]],
    ['a host and all others', [{ path: '/a', host: 'a.com' }], ['/a']],
    ['text and a parameter', ['/a/b'], ['/a/:id']],
    ['a parameter and the wildcard', ['/a/:id'], ['/a/*']],
    ['a parameter and a part of a segment', ['/a/:id'], ['/a/:id.json']],
    ['another case', ['/a'], ['/A']],
  ])('does not exist: %s', (_, first, second) => {
    expect(two(first, second)).toEqual([])
  })

  test('goes by the way of matching', () => {
    expect(two(['/a'], ['/A'], { caseSensitive: false })).toHaveLength(1)
    expect(two(['/a'], ['/a/'], { trailingSlash: 'strict' })).toEqual([])
  })

  test('is a mistake within one context as well', () => {
    expect(mistakesIn(withRoute('/a', '/a'))[0]).toContain(
      'is already claimed by the same context at contexts.catalog.routes[0]',
    )
    expect(mistakesIn(withRoute('GET /a', 'GET /a'))).toHaveLength(1)
  })

  test('a flag of two contexts is a mistake that names both', () => {
    const contexts = { one: CONTEXT, two: { ...CONTEXT, routes: ['/b'] } }
    expect(mistakesIn({ legacy: LEGACY, services: SERVICES, contexts })).toEqual([
      'contexts.two.flag: is already the flag of the context "one"; give "two" its own flag, or merge the two contexts (found "migrate-catalog")',
    ])
  })
})

describe('a hostile JSON config', () => {
  test('cannot pollute a prototype', () => {
    const mistakes = mistakesIn(
      JSON.parse(`{
        "__proto__": { "polluted": 1 }, "constructor": { "prototype": { "polluted": 1 } },
        "legacy": { "url": "http://a", "__proto__": { "polluted": 1 }, "timeouts": { "__proto__": { "polluted": 1 } } },
        "services": { "__proto__": { "url": "http://a" }, "constructor": { "url": "http://a" } }
      }`),
    )
    expect(mistakes.map((line) => line.slice(0, line.indexOf(':')))).toEqual([
      '__proto__',
      'constructor',
      'legacy.__proto__',
      'legacy.timeouts.__proto__',
      'services.__proto__',
      'services.constructor',
    ])
    expect(({} as { polluted?: unknown }).polluted).toBeUndefined()
  })

  test('reads nothing from a prototype that is polluted already', () => {
    const written = Object.assign(Object.create({ trustedProxies: ['loopback'] }), { legacy: LEGACY })
    expect(valid(written).trustedProxies).toEqual([])
  })

  test('is answered, whatever it holds', () => {
    fc.assert(
      fc.property(fc.jsonValue(), (written) => {
        const validated = validate(written)
        expect(typeof (validated.ok ? '' : formatMistakes(validated.mistakes))).toBe('string')
      }),
    )
  })
})
