// A Node monolith with an embedded gateway: requests that are not sent to a service reach the application unchanged.
import { spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, writeFile } from 'node:fs/promises'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import express, { type Express } from 'express'
import request from 'supertest'
import { describe, expect, it, onTestFinished } from 'vitest'
import { ConfigError } from '../../src/config/config-error.ts'
import { type EmbeddedRoutes, strangler } from '../../src/express.ts'
import { flagFile } from '../kit/gateway.ts'
import { freePort, startHttpOrigin, startNamedOrigin, startRawOrigin } from '../kit/origin.ts'
import { connectRaw } from '../kit/raw.ts'

async function startApplication(routes: EmbeddedRoutes, percentages: Record<string, number>): Promise<Express> {
  const folder = await mkdtemp(join(tmpdir(), 'strangler-express-'))
  const flags = join(folder, 'flags.json')
  await writeFile(flags, flagFile(percentages))
  const gate = strangler(routes, { flags, stateDir: folder, logLevel: 'silent' })
  await gate.ready
  onTestFinished(() => gate.close())
  const app = express()
  app.use(gate)
  app.use(express.json())
  app.get('/metrics', async (_request, response) => void response.send(await gate.registry.metrics()))
  app.all('/{*path}', (request, response) => {
    response.json({ side: 'application', url: request.originalUrl, headers: request.headers, body: request.body })
  })
  return app
}

const catalog = (url: string, more: object = {}, service: object = {}): EmbeddedRoutes => ({
  services: { catalog: { url, ...service } },
  contexts: {
    catalog: {
      owner: 'team-catalog',
      service: 'catalog',
      flag: 'migrate-catalog',
      routes: ['/products', { path: '/search/:word', rewrite: '/v2/search/:word' }],
      ...more,
    },
  },
  identity: { session: { cookie: 'sid' } },
})

/** The paths of the mistakes that `strangler()` throws. */
function mistakesOf(routes: unknown): string[] {
  try {
    strangler(routes as EmbeddedRoutes, { logLevel: 'silent' })
  } catch (error) {
    expect(error).toBeInstanceOf(ConfigError)
    return (error as ConfigError).mistakes.map(({ path }) => path)
  }
  return []
}

describe('strangler() in an Express application', () => {
  it('sends the head of a request before its body, and forwards a response that arrives before the end of the body', async () => {
    const service = await startRawOrigin(
      (socket) => void socket.write('HTTP/1.1 401 Unauthorized\r\nContent-Length: 6\r\n\r\nlogin!'),
    )
    const app = await startApplication(catalog(service.url), { 'migrate-catalog': 100 })
    const server = app.listen(0, '127.0.0.1')
    onTestFinished(() => void server.close())
    await once(server, 'listening')
    const client = await connectRaw((server.address() as AddressInfo).port)
    onTestFinished(client.destroy)
    client.send('POST /products HTTP/1.1\r\nHost: a\r\nCookie: sid=a\r\nContent-Length: 1000\r\n\r\n')
    expect(await client.receives('login!')).toMatch(/^HTTP\/1\.1 401 /)
    expect(service.connections[0]?.bytes.toString()).toMatch(/\r\n\r\n$/)
  })

  it('passes a request unchanged to the application if it is not sent to a service', async () => {
    const app = await startApplication(catalog('http://127.0.0.1:1'), { 'migrate-catalog': 0 })
    const answer = await request(app)
      .post('/products?page=2')
      .set('X-User-Id', '7')
      .set('cookie', 'sid=a')
      .send({ name: 'tea' })
    expect(answer.body).toMatchObject({ side: 'application', url: '/products?page=2', body: { name: 'tea' } })
    expect(answer.body.headers).toMatchObject({ 'x-user-id': '7' })
    expect(answer.body.headers).not.toHaveProperty('via')
  })

  it('sends a request to the service if its flag is on, with its body and the fields that the gateway sets', async () => {
    const seen: { url?: string | undefined; headers?: NodeJS.Dict<string | string[]>; body?: string } = {}
    const service = await startHttpOrigin((incoming, response) => {
      let body = ''
      incoming.on('data', (chunk: Buffer) => {
        body += chunk.toString()
      })
      incoming.on('end', () => {
        Object.assign(seen, { url: incoming.url, headers: incoming.headers, body })
        response.setHeader('Set-Cookie', ['a=1', 'b=2'])
        response.setHeader('Connection', 'keep-alive, X-Internal')
        response.setHeader('X-Internal', 'secret')
        response.end('from the service')
      })
    })
    const app = await startApplication(catalog(service.url), { 'migrate-catalog': 100 })
    const answer = await request(app)
      .post('/search/tea?page=2')
      .set('Connection', 'close, X-Listed')
      .set('X-Listed', 'dropped')
      .set('X-User-Id', '7')
      .set('cookie', 'sid=a')
      .send({ name: 'tea' })
    expect(answer.text).toBe('from the service')
    expect(answer.headers['set-cookie']).toEqual(['a=1', 'b=2'])
    expect(answer.headers).not.toHaveProperty('x-internal')
    expect(seen).toMatchObject({ url: '/v2/search/tea?page=2', body: '{"name":"tea"}' })
    expect(seen.headers).toHaveProperty('x-request-id')
    expect(seen.headers?.['x-forwarded-for']).toMatch(/127\.0\.0\.1/)
    expect(seen.headers?.via).toMatch(/^1\.1 strangler-/)
    expect(seen.headers).not.toHaveProperty('x-user-id')
    expect(seen.headers).not.toHaveProperty('x-listed')
  })

  it('lets the application answer a GET if the service is unreachable, and answers a POST with 503 and Retry-After', async () => {
    const app = await startApplication(catalog(`http://127.0.0.1:${await freePort()}`), { 'migrate-catalog': 100 })
    const get = await request(app).get('/search/tea').set('cookie', 'sid=a')
    expect(get.body).toMatchObject({ side: 'application', url: '/search/tea' })
    expect(get.body.headers).not.toHaveProperty('via')
    const post = await request(app).post('/products').set('cookie', 'sid=a').send({ name: 'tea' })
    expect(post.status).toBe(503)
    expect(post.headers['retry-after']).toBe('1')
    expect(post.body).toMatchObject({ title: 'The service is not available', status: 503 })
  })

  it('answers a write with 503 while the service is ejected, and does not pass it to the application', async () => {
    const routes = { ...catalog(`http://127.0.0.1:${await freePort()}`), ejection: { consecutiveFailures: 1 } }
    const app = await startApplication(routes, { 'migrate-catalog': 100 })
    await request(app).get('/products').set('cookie', 'sid=a')
    const get = await request(app).get('/products').set('cookie', 'sid=a')
    expect(get.body).toMatchObject({ side: 'application' })
    const post = await request(app).post('/products').set('cookie', 'sid=a').send({ name: 'tea' })
    expect(post.status).toBe(503)
    expect(post.headers['retry-after']).toBe('1')
  })

  it('answers 503 with fallback false while the service is ejected, also for a GET', async () => {
    const routes = catalog(`http://127.0.0.1:${await freePort()}`, { fallback: false })
    const app = await startApplication({ ...routes, ejection: { consecutiveFailures: 1 } }, { 'migrate-catalog': 100 })
    expect((await request(app).get('/products').set('cookie', 'sid=a')).status).toBe(502)
    expect((await request(app).get('/products').set('cookie', 'sid=a')).status).toBe(503)
  })

  it('passes a write without a body to the application with fallback "all"', async () => {
    const routes = catalog(`http://127.0.0.1:${await freePort()}`, { fallback: 'all' })
    const app = await startApplication(routes, { 'migrate-catalog': 100 })
    const answer = await request(app).delete('/products').set('cookie', 'sid=a')
    expect(answer.body).toMatchObject({ side: 'application' })
  })

  it('answers 504 response-timeout when the service does not answer in time', async () => {
    const service = await startHttpOrigin(() => {})
    const routes = catalog(service.url, { fallback: 'all' })
    const slow = { ...routes, services: { catalog: { url: service.url, timeouts: { headersMs: 200 } } } }
    const app = await startApplication(slow, { 'migrate-catalog': 100 })
    for (const body of [undefined, { name: 'tea' }]) {
      const post = await request(app).post('/products').set('cookie', 'sid=a').send(body)
      expect(post.status).toBe(504)
    }
    expect(service.requests()).toBe(2)
    const metrics = (await request(app).get('/metrics')).text
    expect(metrics).toContain('strangler_failures_total{context="catalog",side="service",failure="response-timeout"} 2')
  })

  it('answers a write with 503 after a connect timeout', async () => {
    const service = await startRawOrigin(() => {})
    const url = `https://127.0.0.1:${service.port}`
    const slow = { ...catalog(url), services: { catalog: { url, timeouts: { connectMs: 200 } } } }
    const app = await startApplication(slow, { 'migrate-catalog': 100 })
    const post = await request(app).post('/products').set('cookie', 'sid=a').send({ name: 'tea' })
    expect(post.status).toBe(503)
    const get = await request(app).get('/products').set('cookie', 'sid=a')
    expect(get.body).toMatchObject({ side: 'application' })
    const metrics = (await request(app).get('/metrics')).text
    expect(metrics).toContain('strangler_fallbacks_total{context="catalog",failure="connect-timeout"} 1')
  })

  it('answers 502 connection-lost when the service closes the connection after the request was sent', async () => {
    const service = await startRawOrigin((socket) => socket.resetAndDestroy())
    const app = await startApplication(catalog(service.url, { fallback: 'all' }), { 'migrate-catalog': 100 })
    const post = await request(app).post('/products').set('cookie', 'sid=a')
    expect(post.status).toBe(502)
    expect(post.body).toMatchObject({ title: 'The service closed the connection' })
  })

  it('gives the client an anonymous id and keeps it', async () => {
    const service = await startNamedOrigin('service')
    const app = await startApplication(catalog(service.url), { 'migrate-catalog': 50 })
    const first = await request(app).get('/products')
    const cookie = (first.headers['set-cookie'] as unknown as string[] | undefined)?.[0]?.split(';')[0] ?? ''
    expect(cookie).toMatch(/^strangler_id=/)
    for (let i = 0; i < 10; i++) {
      const again = await request(app).get('/products').set('cookie', cookie)
      expect(again.body.side).toBe(first.body.side)
      expect(again.headers['set-cookie']).toBeUndefined()
    }
  })

  it('adds the cookie of the id to the cookies of the service', async () => {
    const service = await startHttpOrigin((_request, response) => {
      response.setHeader('Set-Cookie', ['a=1; Path=/', 'b=2; Path=/'])
      response.end('{}')
    })
    const app = await startApplication(catalog(service.url), { 'migrate-catalog': 100 })
    const cookies = async (more: Record<string, string> = {}) =>
      (await request(app).get('/products').set(more)).headers['set-cookie'] as unknown as string[]
    const first = await cookies()
    expect(first).toEqual(['a=1; Path=/', 'b=2; Path=/', expect.stringMatching(/^strangler_id=/)])
    const again = await cookies({ cookie: first[2]?.split(';')[0] ?? '' })
    expect(again).toEqual(['a=1; Path=/', 'b=2; Path=/'])
  })

  it('throws every mistake of the map at strangler(), before the first request', () => {
    const context = { owner: 'x', service: 'nowhere', flag: 'f', routes: ['/a', 'b'] }
    expect(mistakesOf({ contexts: { a: context }, trustedProxies: 'all' })).toEqual([
      'trustedProxies',
      'contexts.a.routes[1]',
      'contexts.a.service',
    ])
    expect(mistakesOf(undefined)).toEqual([])
    const timed = { path: '/a', timeouts: { headersMs: 1 } }
    expect(
      mistakesOf({ services: { nowhere: { url: 'http://a' } }, contexts: { a: { ...context, routes: [timed] } } }),
    ).toEqual(['contexts.a.routes[0].timeouts'])
  })

  it('passes all requests to the application if a file of the map is missing, and logs one error', async () => {
    const tls = { ca: './no-such-file.pem' }
    const broken = catalog('https://127.0.0.1:1', {}, { tls })
    const gate = strangler(broken, { logLevel: 'silent' })
    onTestFinished(() => gate.close())
    await expect(gate.ready).rejects.toMatchObject({ mistakes: [{ path: 'services.catalog.tls.ca' }] })
    const app = express()
      .use(gate)
      .use((incoming, response) => void response.json({ side: 'application', headers: incoming.headers }))
    for (const path of ['/products', '/search/tea', '/elsewhere']) {
      const answer = await request(app).get(path).set('X-User-Id', '7')
      expect([answer.status, answer.body.side, answer.body.headers['x-user-id']]).toEqual([200, 'application', '7'])
    }

    // In a process of its own, to read its standard error; the process does not await `ready`.
    const module = new URL('../../src/express.ts', import.meta.url).href
    const script = `const { strangler } = await import(${JSON.stringify(module)})
      const gate = strangler(${JSON.stringify(broken)})
      await gate.ready.catch(() => {})
      await gate.close()`
    const { stderr, status } = spawnSync(process.execPath, ['--input-type=module', '-e', script], { encoding: 'utf8' })
    expect(status).toBe(0)
    const lines = stderr.trim().split('\n')
    expect(lines).toHaveLength(1)
    expect(lines[0]).toContain('services.catalog.tls.ca')
  })

  it('works when mounted on a path', async () => {
    const service = await startNamedOrigin('service')
    const folder = await mkdtemp(join(tmpdir(), 'strangler-express-'))
    await writeFile(join(folder, 'flags.json'), flagFile({ 'migrate-catalog': 100 }))
    const gate = strangler(catalog(service.url), {
      flags: join(folder, 'flags.json'),
      stateDir: folder,
      logLevel: 'silent',
    })
    await gate.ready
    onTestFinished(() => gate.close())
    const app = express().use('/products', gate)
    const server = app.listen(0)
    onTestFinished(() => void server.close())
    const { port } = server.address() as AddressInfo
    const answer = await fetch(`http://127.0.0.1:${port}/products`, { headers: { cookie: 'sid=a' } })
    expect(await answer.json()).toMatchObject({ side: 'service', path: '/products' })
  })
})

describe('an option that a middleware cannot support', () => {
  it('is a mistake of the map with its path', () => {
    const routes = [
      { path: '/live', upgrade: true },
      { path: '/slow', timeouts: { headersMs: 1000 }, maxBodyBytes: 10 },
    ]
    const services = { orders: { url: 'http://127.0.0.1:1' } }
    expect(
      mistakesOf({ services, contexts: { orders: { owner: 'x', service: 'orders', flag: 'f', routes } } }),
    ).toEqual([
      'contexts.orders.routes[0].upgrade',
      'contexts.orders.routes[1].timeouts',
      'contexts.orders.routes[1].maxBodyBytes',
    ])
  })
})

describe('the metrics of an embedded gateway', () => {
  it('count requests to services and fallbacks', async () => {
    const service = await startNamedOrigin('service')
    const app = await startApplication(catalog(service.url), { 'migrate-catalog': 100 })
    await request(app).get('/products').set('cookie', 'sid=a')
    const metrics = async () => (await request(app).get('/metrics')).text
    expect(await metrics()).toContain(
      'strangler_requests_total{context="catalog",side="service",reason="flag-on",method="GET",status_class="2xx"} 1',
    )
    const without = await startApplication(catalog(`http://127.0.0.1:${await freePort()}`), { 'migrate-catalog': 100 })
    await request(without).get('/products').set('cookie', 'sid=a')
    expect((await request(without).get('/metrics')).text).toContain(
      'strangler_requests_total{context="catalog",side="legacy",reason="fell-back",method="GET",status_class="2xx"} 1',
    )
  })
})

it('a path with an encoded slash stays with the application, unless its route allows it', async () => {
  const service = await startNamedOrigin('service')
  const routes = ['/products/:id', { path: '/npm/:package', allowEncodedSlashes: true }]
  const app = await startApplication(catalog(service.url, { routes }), { 'migrate-catalog': 100 })
  const sideOf = async (path: string) => (await request(app).get(path).set('cookie', 'sid=a')).body.side
  expect(await sideOf('/products/a')).toBe('service')
  expect(await sideOf('/products/a%2fb')).toBe('application')
  expect(await sideOf('/npm/@a%2fb')).toBe('service')
})
