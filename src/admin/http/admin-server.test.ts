import { once } from 'node:events'
import { connect } from 'node:net'
import { Registry } from 'prom-client'
import request from 'supertest'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import type { Events } from '../../telemetry/events.ts'
import { createAdminApp } from './admin-app.ts'
import { type Admin, type AdminOptions, startAdmin } from './admin-server.ts'
import type { Readiness } from './services.ts'

let readiness: Readiness
let registry: Registry
let bugs: unknown[]
let options: AdminOptions

beforeEach(() => {
  registry = new Registry()
  bugs = []
  readiness = {
    status: 'ready',
    edition: 4,
    generation: 7,
    killed: false,
    store: { kind: 'file', connected: true, cutOffSeconds: 0 },
    stateFolder: { writable: true, code: null, since: null },
    flags: { source: 'flags.json', ageSeconds: 0.2, stale: false, refused: false },
    upstreams: [{ name: 'legacy', available: 1, addresses: 1 }],
    rejectedFiles: [],
  }
  options = {
    host: '127.0.0.1',
    port: 0,
    allowedHosts: ['admin.internal'],
    registry,
    readiness: () => readiness,
    events: { bug: (facts: unknown) => bugs.push(facts), listening: () => {} } as unknown as Events,
  }
})

const app = async () => request((await createAdminApp(options)).app)

describe('health', () => {
  test('/livez is 200 whatever the state', async () => {
    readiness = { ...readiness, status: 'draining' }
    await (await app()).get('/livez').expect(200, { status: 'alive' })
  })

  test('/readyz contains the state of the gateway', async () => {
    await (await app()).get('/readyz').expect(200, readiness)
  })

  test.each(['starting', 'draining'] as const)('/readyz is 503 while %s', async (status) => {
    readiness = { ...readiness, status }
    const { body } = await (await app()).get('/readyz').expect(503)
    expect(body.status).toBe(status)
  })

  test('/readyz is 200 with stale flags, because legacy answers everything', async () => {
    readiness = { ...readiness, flags: { source: 'x', ageSeconds: null, stale: true, refused: false } }
    await (await app()).get('/readyz').expect(200)
  })
})

test('/metrics prints the metrics of the registry', async () => {
  registry.registerMetric({
    name: 'up',
    get: async () => ({ name: 'up', help: 'h', type: 'gauge', values: [] }),
  } as never)
  const { text, headers } = await (await app()).get('/metrics').expect(200)
  expect(text).toBe('# HELP up h\n# TYPE up gauge\n')
  expect(headers['content-type']).toBe('text/plain; version=0.0.4; charset=utf-8')
})

describe('refusals are problem documents', () => {
  test.each([
    ['get', '/', 404],
    ['get', '/livez/', 404],
    ['get', '/LIVEZ', 404],
    ['get', '/%zz', 404],
    ['get', '/api/v1/contexts', 404],
    ['post', '/metrics', 405],
    ['delete', '/readyz', 405],
  ] as const)('%s %s is answered with status %d', async (method, path, status) => {
    const response = await (await app())[method](path)
    expect(response.status).toBe(status)
    expect(response.headers['content-type']).toContain('application/problem+json')
    expect(JSON.parse(response.text)).toMatchObject({ type: 'about:blank', status })
    expect(response.headers.allow).toBe(status === 405 ? 'GET, HEAD' : undefined)
  })

  test('a bug is reported, and its message is not sent', async () => {
    options = {
      ...options,
      readiness: () => {
        throw new Error('postgres://user:password@db')
      },
    }
    const response = await (await app()).get('/readyz').expect(500)
    expect(response.text).not.toContain('postgres')
    expect(bugs).toHaveLength(1)
  })
})

test('responses have the security headers, and do not name the software', async () => {
  const { headers } = await (await app()).get('/livez')
  expect(headers).toMatchObject({
    'x-content-type-options': 'nosniff',
    'x-frame-options': 'DENY',
    'cache-control': 'no-store',
    'content-security-policy': "default-src 'none'; frame-ancestors 'none'",
  })
  expect(headers).not.toHaveProperty('x-powered-by')
})

// The attack: the name evil.example resolves to 127.0.0.1 after its page has loaded, and the page reads the admin port with the
// browser of the visitor. The browser still sends the Host evil.example.
describe('DNS rebinding', () => {
  test.each([
    ['127.0.0.1:8081', 200],
    ['localhost:8081', 200],
    ['LOCALHOST', 200],
    ['[::1]:8081', 200],
    ['10.1.2.3:8081', 200],
    ['admin.internal', 200],
    ['evil.example', 421],
    ['127.0.0.1.evil.example', 421],
    ['localhost.evil.example:8081', 421],
    ['evil.example:127', 421],
    ['localhost@evil.example', 421],
    ['', 421],
  ])('Host %j is answered with status %d', async (host, status) => {
    expect((await (await app()).get('/livez').set('Host', host)).status).toBe(status)
  })
})

describe('the admin port', () => {
  let admin: Admin
  beforeEach(async () => {
    admin = await startAdmin(options)
  })
  afterEach(() => admin.close())

  async function say(text: string): Promise<string> {
    const socket = connect(admin.port, '127.0.0.1')
    socket.on('error', () => {})
    socket.write(text)
    let answer = ''
    socket.on('data', (chunk) => {
      answer += chunk
    })
    await once(socket, 'close')
    return answer
  }

  test('answers a probe', async () => {
    expect(await say('GET /livez HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n')).toMatch(/^HTTP\/1.1 200 /)
  })

  test.each([
    ['no Host', 'GET /livez HTTP/1.1\r\nConnection: close\r\n\r\n', '400'],
    ['a head that is too large', `GET /livez HTTP/1.1\r\nHost: localhost\r\nX: ${'x'.repeat(17_000)}\r\n\r\n`, '431'],
    ['no HTTP', 'hello\r\n\r\n', '400'],
    [
      'both lengths',
      'POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n',
      '400',
    ],
  ])('refuses %s', async (_what, text, status) => {
    expect(await say(text)).toMatch(new RegExp(`^HTTP/1.1 ${status} `))
  })

  test('closes a connection whose head does not end', async () => {
    const begun = performance.now()
    await say('GET /livez HTTP/1.1\r\nHost: loc')
    expect(performance.now() - begun).toBeLessThan(8000)
  })

  test('throws an error with its code if the port is in use', async () => {
    await expect(startAdmin({ ...options, port: admin.port })).rejects.toMatchObject({ code: 'EADDRINUSE' })
  })

  test('closes without waiting for idle connections', async () => {
    const socket = connect(admin.port, '127.0.0.1')
    await once(socket, 'connect')
    const begun = performance.now()
    await admin.close()
    expect(performance.now() - begun).toBeLessThan(500)
    socket.destroy()
  })
})

test('with a token for metrics, a scrape without it is refused', async () => {
  const token = 'm'.repeat(32)
  const { app: guarded } = await createAdminApp({ ...options, metricsToken: token })
  const ask = (field?: string) => {
    const scrape = request(guarded).get('/metrics')
    return field === undefined ? scrape : scrape.set('Authorization', field)
  }
  await ask().expect(401).expect('WWW-Authenticate', 'Bearer')
  await ask(`Bearer ${'n'.repeat(32)}`).expect(401)
  await ask(`Bearer ${token}`).expect(200)
  await request(guarded).get('/livez').expect(200)
})
