import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { Validator } from '@seriousme/openapi-schema-validator'
import { Ajv2020 } from 'ajv/dist/2020.js'
import type { Express, IRoute } from 'express'
import request from 'supertest'
import { describe, expect, onTestFinished, test } from 'vitest'
import { startGateway } from '../../../test/kit/gateway.ts'
import { startNamedOrigin } from '../../../test/kit/origin.ts'
import { shop } from '../../../test/kit/shop.ts'
import { AUDIENCE, goodClaims, ISSUER, pemOf, rsaPair, signed } from '../../../test/kit/tokens.ts'
import { until } from '../../../test/kit/until.ts'
import type { ChangeResult } from '../../control/control.ts'
import { FAULTY, PRICE, ROUTE, reportsOn } from '../../shadow/report/comparison-reports.test-kit.ts'
import { fingerprintOf } from '../../shadow/stats/fingerprint.ts'
import type { JwtPolicy } from '../access/verify-jwt.ts'
import { createTestAdmin, eventsOf, READY, TOKEN } from '../admin.test-kit.ts'
import { PROBLEMS, type ProblemCode } from '../contract/problems.ts'
import type { Method } from './api-route.ts'
import { MAX_STREAMS_PER_TOKEN } from './event-streams.ts'
import { createOpenApi } from './openapi.ts'
import { API_ROUTES, PROBE_ROUTES } from './routes.ts'
import type { ApiServices } from './services.ts'

type Json = Readonly<Record<string, unknown>>
type Operation = {
  readonly parameters?: readonly { readonly name: string; readonly in: string; readonly required: boolean }[]
  readonly requestBody?: { readonly required: boolean }
  readonly responses: Readonly<Record<string, DocumentedResponse>>
}
type DocumentedResponse = { readonly description: string; readonly content: Readonly<Record<string, Json>> }
type Document = Json & { readonly paths: Readonly<Record<string, Readonly<Record<string, Operation>>>> }

const DOCUMENT = createOpenApi(PROBE_ROUTES, API_ROUTES) as unknown as Document
const OPERATIONS = Object.entries(DOCUMENT.paths).flatMap(([path, methods]) =>
  Object.entries(methods).map(([method, operation]) => ({ path, method: method as Method, operation })),
)

describe('the document', () => {
  test('is served to viewers', async () => {
    const { ask } = await createTestAdmin()
    const { body } = await ask('get', '/openapi.json').expect(200)
    expect(body).toEqual(DOCUMENT)
  })

  test('is valid by the official schema of OpenAPI 3.1, and all its references resolve', async () => {
    expect(await new Validator().validate(structuredClone(DOCUMENT))).toEqual({ valid: true })
    const { paths: _, ...wrong } = structuredClone(DOCUMENT)
    expect((await new Validator().validate({ ...wrong, info: {} })).valid).toBe(false)
  })

  test('contains exactly the routes that are served', async () => {
    const { app } = await createTestAdmin()
    const served = app.router.stack.flatMap(({ route }) =>
      route === undefined ? [] : methodsOf(route).map((method) => `${method} ${route.path.replace(/:(\w+)/g, '{$1}')}`),
    )
    expect(served.length).toBeGreaterThan(15)
    expect(served.toSorted()).toEqual(OPERATIONS.map(({ method, path }) => `${method} ${path}`).toSorted())
  })

  test.each(OPERATIONS)('$method $path answers as the document describes', async ({ method, path }) => {
    const { app } = await createTestAdmin()
    const response = await callApi(app, method, path)
    expect(response.status).toBe(200)
    expectAsDocumented(response, method, path)
  })

  test.each(Object.entries(DOCUMENT.paths))(
    '%s answers 405 to methods that are not in the document',
    async (path, methods) => {
      const { app } = await createTestAdmin()
      for (const method of ['get', 'put', 'post', 'delete', 'patch', 'options'] as const) {
        if (method in methods) continue
        const { status, body } = await request(app)[method](filled(path)).set('Authorization', `Bearer ${TOKEN}`)
        expect(status, method).toBe(405)
        expectValid(PROBLEM, body)
      }
    },
  )

  test('marks the bodies that are required', () => {
    const required = OPERATIONS.filter(({ operation }) => operation.requestBody?.required)
    expect(required.map(({ method, path }) => `${method} ${path}`)).toEqual([
      'put /api/v1/contexts/{id}/flag',
      'put /api/v1/contexts/{id}/pin',
      'put /api/v1/contexts/{id}/shadow',
      'post /api/v1/contexts/{id}/try-rule',
      'put /api/v1/differences/{fingerprint}/ruling',
    ])
  })

  test('lists the request headers of each operation', () => {
    const named = (method: Method, path: string) =>
      DOCUMENT.paths[`/api/v1${path}`]?.[method]?.parameters
        ?.filter((parameter) => parameter.in === 'header')
        .map(({ name }) => name)
    expect(named('put', '/contexts/{id}/flag')).toEqual(['If-Match', 'Idempotency-Key'])
    expect(named('post', '/contexts/{id}/try-rule')).toEqual([])
    expect(named('get', '/events')).toEqual(['Last-Event-ID'])
    expect(named('get', '/status')).toEqual([])
  })
})

type ApiAnswer = { readonly status: number; readonly type: string; readonly body: unknown }

describe('every refusal is in the document', () => {
  type ApiCall = { readonly response: ApiAnswer; readonly method: Method; readonly path: string }
  const FLAG = '/contexts/{id}/flag'

  async function flip(edit: (test: request.Test) => request.Test, more: Partial<ApiServices> = {}): Promise<ApiCall> {
    const { ask } = await createTestAdmin(more)
    return { response: await edit(ask('put', '/contexts/catalog/flag')), method: 'put', path: FLAG }
  }

  async function get(path: string, edit: (test: request.Test) => request.Test, as = path): Promise<ApiCall> {
    const { app } = await createTestAdmin()
    return { response: await edit(request(app).get(`/api/v1${path}`)), method: 'get', path: as }
  }

  async function answerOf(result: ChangeResult): Promise<ApiCall> {
    const { ask, control } = await createTestAdmin()
    control.next = result
    return { response: await ask('put', '/contexts/catalog/flag').send({ percentage: 5 }), method: 'put', path: FLAG }
  }

  /** The second of two requests with the same key. */
  async function again(percentage: number, isDone: boolean): Promise<ApiCall> {
    const { ask, control } = await createTestAdmin()
    const first = Promise.withResolvers<ChangeResult>()
    if (!isDone) control.next = first.promise
    const send = (to: number) =>
      ask('put', '/contexts/catalog/flag').set('Idempotency-Key', 'k').send({ percentage: to })
    const begun = send(5).then((response) => response)
    await until(() => control.changeRequests.length === 1)
    if (isDone) await begun
    const response = await send(percentage)
    first.resolve({ kind: 'refused', why: 'enough' })
    await begun
    return { response, method: 'put', path: FLAG }
  }

  /** As a viewer whose token an issuer signed. */
  async function flipAsViewer(key: JwtPolicy['key'] | undefined, problem: 'unreachable' | 'unknown'): Promise<ApiCall> {
    const pair = rsaPair()
    const own = { kind: 'public-key', pem: pemOf(pair) } as const
    const jwt = {
      issuer: ISSUER,
      audience: AUDIENCE,
      algorithms: ['RS256'],
      key: key ?? own,
      roleClaim: 'role',
    } as const
    const token = signed('RS256', pair.privateKey, { payload: goodClaims({ role: 'viewer' }) })
    const auth = { stateDir: '/nowhere', token: undefined, jwt, findKey: () => problem }
    const clock = { now: () => performance.now(), wallTime: () => Date.now() }
    return flip((test) => test.set('Authorization', `Bearer ${token}`).send({ percentage: 5 }), { auth, clock })
  }

  const HOW: Readonly<Record<ProblemCode, () => Promise<ApiCall>>> = {
    'not-json': () => flip((test) => test.type('json').send('{')),
    'bad-request': () => flip((test) => test.set('If-Match', 'x').send({ percentage: 5 })),
    'bad-query': () => get('/audit', (test) => test.query('limit=x').set('Authorization', `Bearer ${TOKEN}`)),
    unauthenticated: () => get('/status', (test) => test),
    'invalid-token': () => get('/status', (test) => test.set('Authorization', 'Bearer wrong')),
    forbidden: () => flipAsViewer(undefined, 'unknown'),
    'foreign-origin': () => flip((test) => test.set('Origin', 'https://evil.example').send({ percentage: 5 })),
    'not-found': () => get('/nothing', (test) => test),
    'unknown-context': async () => {
      const { ask } = await createTestAdmin()
      return { response: await ask('get', '/contexts/nothing'), method: 'get', path: '/contexts/{id}' }
    },
    'unknown-difference': () =>
      get(
        '/differences/0123456789',
        (test) => test.set('Authorization', `Bearer ${TOKEN}`),
        '/differences/{fingerprint}',
      ),
    'not-exportable': async () => {
      const { ask } = await createTestAdmin({ comparisons: reportsOn({ counts: [FAULTY] }) })
      const path = '/differences/{fingerprint}/export'
      return { response: await ask('get', filled(path)), method: 'get', path }
    },
    'method-not-allowed': async () => {
      const { ask } = await createTestAdmin()
      return { response: await ask('patch', '/status'), method: 'get', path: '/status' }
    },
    refused: () => answerOf({ kind: 'refused', why: 'frozen' }),
    conflict: () => answerOf({ kind: 'conflict', why: 'ann was quicker', generation: 3 }),
    'in-progress': () => again(5, false),
    'precondition-failed': () => flip((test) => test.set('If-Match', '"9"').send({ percentage: 5 })),
    'body-too-large': () => flip((test) => test.type('json').send(`"${'x'.repeat(65_536)}"`)),
    'not-json-type': () => flip((test) => test.type('form').send('percentage=5')),
    'foreign-host': () => get('/status', (test) => test.set('Host', 'evil.example')),
    'bad-body': () => flip((test) => test.send({ percentage: 101 })),
    'reason-required': () => flip((test) => test.send({ percentage: 5 }), { requireReason: true }),
    'key-reused': () => again(6, true),
    'too-many-failures': async () => {
      const { ask } = await createTestAdmin()
      for (let i = 0; i < 10; i++) await ask('get', '/status', `wrong-${i}`).expect(401)
      return { response: await ask('get', '/status', 'wrong-10'), method: 'get', path: '/status' }
    },
    bug: async () => {
      const { ask } = await createTestAdmin({ explain: () => Promise.reject(new Error('secret')) })
      return { response: await ask('get', '/explain?target=/x'), method: 'get', path: '/explain' }
    },
    unavailable: () => answerOf({ kind: 'unavailable', why: 'no store' }),
    'keys-unreachable': () => flipAsViewer({ kind: 'jwks', uri: 'https://login.test/keys' }, 'unreachable'),
    'too-many-streams': async () => {
      const { port } = await listening((await createTestAdmin()).app)
      const headers = { Authorization: `Bearer ${TOKEN}` }
      const url = `http://127.0.0.1:${port}/api/v1/events`
      const open = await Promise.all(Array.from({ length: MAX_STREAMS_PER_TOKEN }, () => fetch(url, { headers })))
      expect(open.map(({ status }) => status)).toEqual(Array(MAX_STREAMS_PER_TOKEN).fill(200))
      return { response: await toldBy(await fetch(url, { headers })), method: 'get', path: '/events' }
    },
  }

  test.each(Object.keys(PROBLEMS) as ProblemCode[])('%s', async (code) => {
    const { response, method, path } = await HOW[code]()
    expect(response.body).toMatchObject({ code, ...PROBLEMS[code] })
    if (code === 'not-found' || code === 'method-not-allowed') return expectValid(PROBLEM, response.body)
    expectAsDocumented(response, method, `/api/v1${path}`)
    const { description } = responseOf(method, `/api/v1${path}`, response.status)
    expect(description.split(', ')).toContain(code)
  })

  test('the answer of a gateway that is not ready is in the document', async () => {
    const { app } = await createTestAdmin({}, { readiness: () => ({ ...READY, status: 'draining' }) })
    const response = await request(app).get('/readyz').expect(503)
    expectAsDocumented(response, 'get', '/readyz')
  })

  test('the answers of the probes to foreign hosts and bugs are in the document', async () => {
    const { app } = await createTestAdmin(
      {},
      {
        readiness: () => {
          throw new Error('secret')
        },
      },
    )
    expectAsDocumented(await request(app).get('/livez').set('Host', 'evil.example').expect(421), 'get', '/livez')
    expectAsDocumented(await request(app).get('/readyz').expect(500), 'get', '/readyz')
  })
})

describe('every member of a response of a gateway is in the document', () => {
  async function gateway() {
    const [legacy, service] = [await startNamedOrigin('legacy'), await startNamedOrigin('service')]
    const config = shop({ legacy: legacy.url, service: service.url })
    const { adminPort } = await startGateway(config, { adminToken: TOKEN, percentages: { 'migrate-catalog': 10 } })
    return async (method: Method, path: string, body?: object, headers = {}) =>
      fetch(`http://127.0.0.1:${adminPort}${path}`, {
        method: method.toUpperCase(),
        headers: { Authorization: `Bearer ${TOKEN}`, 'Content-Type': 'application/json', ...headers },
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      })
  }

  test('for each change, each view, the audit log as lines, and events', async () => {
    const ask = await gateway()
    const events = eventsIn(await ask('get', '/api/v1/events'))
    const changes: [Method, string, object?][] = [
      ['put', '/contexts/{id}/flag', { percentage: 25, reason: 'a try' }],
      ['put', '/contexts/{id}/pin', { side: 'service', for: '30m' }],
      ['delete', '/contexts/{id}/pin'],
      ['put', '/contexts/{id}/freeze', {}],
      ['put', '/contexts/{id}/flag', { percentage: 50 }],
      ['put', '/contexts/{id}/shadow', { percentage: 10, reason: 'a look' }],
      ['delete', '/contexts/{id}/freeze'],
      ['delete', '/contexts/{id}/shadow'],
      ['post', '/contexts/{id}/rollback', { reason: 'a fault' }],
      ['put', '/kill-switch', { reason: 'on fire' }],
      ['put', '/contexts/{id}/pin', { side: 'legacy', noEnd: true }],
      ['put', '/contexts/{id}/flag', { percentage: 101 }],
    ]
    const statuses: number[] = []
    for (const [method, path, body] of changes) {
      const response = await toldBy(await ask(method, filled(`/api/v1${path}`), body))
      expectAsDocumented(response, method, `/api/v1${path}`)
      statuses.push(response.status)
      for (const look of OPERATIONS.filter(
        (operation) => operation.method === 'get' && operation.path !== '/api/v1/events',
      )) {
        const seen = await toldBy(await ask('get', askedBy(look.path)))
        // Nothing was compared here, so no difference is known.
        expect(seen.status, look.path).toBe(look.path.includes('{fingerprint}') ? 404 : 200)
        expectAsDocumented(seen, 'get', look.path)
      }
    }
    expect(statuses).toEqual([200, 200, 200, 200, 409, 200, 200, 200, 200, 200, 200, 422])
    const revived = await toldBy(await ask('delete', '/api/v1/kill-switch?reason=over'))
    expectAsDocumented(revived, 'delete', '/api/v1/kill-switch')

    const lines = await ask('get', '/api/v1/audit?format=jsonl')
    const records = (await lines.text()).trimEnd().split('\n')
    expect(records.length).toBeGreaterThanOrEqual(9)
    for (const line of records) expectValid(itemOf('/api/v1/audit', 'application/jsonl'), JSON.parse(line))

    const received: { kill: unknown }[] = []
    for await (const event of events) {
      expectValid(itemOf('/api/v1/events', 'text/event-stream'), event)
      received.push(event as { kill: unknown })
      if (received.some(({ kill }) => kill !== null) && received.at(-1)?.kill === null) break
    }
    expect(received.length).toBeGreaterThanOrEqual(8)
  })
})

/** The data of each `change`. */
async function* eventsIn(response: Response): AsyncGenerator<unknown> {
  for await (const { name, text } of eventsOf(response.body as ReadableStream<Uint8Array>)) {
    expect(name).toBe('change')
    yield JSON.parse(text)
  }
}

const QUERIES: Readonly<Record<string, string>> = { '/api/v1/explain': '?target=%2Fproducts%2F1&user=7' }
const FINGERPRINT = fingerprintOf('catalog', ROUTE, PRICE)
const BODIES: Readonly<Record<string, object>> = {
  '/api/v1/contexts/{id}/try-rule': { rules: { ignore: ['$.items'] } },
  '/api/v1/differences/{fingerprint}/ruling': { verdict: 'noise' },
  '/api/v1/contexts/{id}/flag': { percentage: 25 },
  '/api/v1/contexts/{id}/shadow': { percentage: 10 },
  '/api/v1/contexts/{id}/pin': { side: 'legacy', for: '1h' },
}

function filled(path: string): string {
  return path.replace('{id}', 'catalog').replace('{fingerprint}', FINGERPRINT)
}

/** With what must be said. */
function askedBy(path: string): string {
  return `${filled(path)}${QUERIES[path] ?? ''}`
}

async function callApi(app: Express, method: Method, path: string): Promise<ApiAnswer> {
  // A stream does not end, but what HEAD is events is the same.
  const asking = request(app)[path === '/api/v1/events' ? 'head' : method](askedBy(path))
  const signedIn = asking.set('Authorization', `Bearer ${TOKEN}`)
  return method === 'put' || method === 'post' ? signedIn.send(BODIES[path] ?? {}) : signedIn
}

async function toldBy(response: Response): Promise<ApiAnswer> {
  const [type = ''] = (response.headers.get('content-type') ?? '').split(';')
  return { status: response.status, type, body: type.endsWith('json') ? await response.json() : await response.text() }
}

async function listening(app: Express): Promise<{ readonly port: number }> {
  const server = app.listen(0, '127.0.0.1')
  await once(server, 'listening')
  onTestFinished(() => {
    server.closeAllConnections()
    server.close()
  })
  return { port: (server.address() as AddressInfo).port }
}

/** Of a route that is not the one for all other methods. */
function methodsOf(route: IRoute): string[] {
  const { methods } = route as unknown as { methods: Readonly<Record<string, boolean>> }
  return 'trace' in methods ? [] : Object.keys(methods)
}

/** The document, as Ajv reads it, where an object may have no member that the document does not name. */
const VALIDATOR = new Ajv2020({ strict: false, allErrors: true, validateFormats: false }).addSchema(
  closed(DOCUMENT),
  'document',
)

function closed(document: Document): object {
  return JSON.parse(JSON.stringify(document), (_key, value) => {
    const isObject = typeof value === 'object' && value !== null && value.type === 'object' && 'properties' in value
    return isObject ? { additionalProperties: false, ...value } : value
  })
}

const PROBLEM = '#/components/schemas/Problem'

function expectValid(pointer: string, value: unknown): void {
  const validate = VALIDATOR.getSchema(`document${pointer}`)
  if (validate === undefined) throw new Error(`the document has no ${pointer}`)
  validate(value)
  expect(validate.errors ?? [], JSON.stringify(value).slice(0, 500)).toEqual([])
}

function responseOf(method: Method, path: string, status: number): DocumentedResponse {
  const response = DOCUMENT.paths[path]?.[method]?.responses[status]
  if (response === undefined) throw new Error(`the document has no ${status} of ${method} ${path}`)
  return response
}

function expectAsDocumented({ status, type, body }: ApiAnswer, method: Method, path: string): void {
  const { content } = responseOf(method, path, status)
  expect(Object.keys(content), `${method} ${path} ${status}`).toContain(type)
  if (content[type]?.schema === undefined) return
  expectValid(`#/paths/${escaped(path)}/${method}/responses/${status}/content/${escaped(type)}/schema`, body)
}

/** The schema of each one in a stream of them. */
function itemOf(path: string, type: string): string {
  return `#/paths/${escaped(path)}/get/responses/200/content/${escaped(type)}/x-item-schema`
}

/** RFC 6901 section 6. */
function escaped(name: string): string {
  return encodeURIComponent(name.replaceAll('~', '~0').replaceAll('/', '~1'))
}
