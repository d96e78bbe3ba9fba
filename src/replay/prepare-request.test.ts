import { expect, it } from 'vitest'
import { compile } from '../config/load/compile.ts'
import { checkConfig } from '../config/load/load.ts'
import type { Route } from '../model/route.ts'
import type { Snapshot } from '../model/snapshot.ts'
import { type PrepareOptions, prepareRequest } from './prepare-request.ts'
import type { RecordedRequest } from './recording.ts'

async function snapshotOf(more: object = {}): Promise<Snapshot> {
  const written = {
    legacy: { urls: ['http://127.0.0.1:3000', 'http://127.0.0.2:3000'], host: 'preserve' },
    services: { new: { url: 'https://new.internal:8443', host: 'upstream', allowEncodedSlashes: true } },
    contexts: {
      catalog: {
        owner: 'a',
        service: 'new',
        flag: 'c',
        routes: ['/products/:id', { path: '/old/:id', rewrite: '/v2/:id' }],
      },
      orders: { owner: 'b', service: 'new', flag: 'o', routes: ['/orders'] },
    },
    identity: { user: { header: 'x-person', trust: ['127.0.0.1'] } },
    ...more,
  }
  const checked = await checkConfig(written, '.', () => undefined)
  if (!checked.ok) throw new Error(JSON.stringify(checked.mistakes))
  return compile(checked.config)
}

function recorded(more: Partial<RecordedRequest> = {}): RecordedRequest {
  return {
    method: 'GET',
    target: '/products/7',
    host: undefined,
    secure: undefined,
    client: undefined,
    fields: [],
    ...more,
  }
}

async function preparing(more: Partial<PrepareOptions> = {}): Promise<PrepareOptions> {
  const random = { hex: (bytes: number) => 'a'.repeat(2 * bytes) }
  return { snapshot: await snapshotOf(), contexts: undefined, hosts: ['shop.example'], secure: false, random, ...more }
}

function asObject(fields: readonly string[]): Record<string, string | undefined> {
  return Object.fromEntries(fields.flatMap((name, i) => (i % 2 === 0 ? [[name.toLowerCase(), fields[i + 1]]] : [])))
}

it.each([
  ['POST', '/products/7', 'unsafe-method'],
  ['TRACE', '/products/7', 'unsafe-method'],
  ['GET', '/about', 'unowned'],
  ['GET', '/orders', 'other-context'],
  ['GET', '/products/a%2Fb', 'refused'],
  ['GET', '/products/%00', 'refused'],
  ['GET', 'http://other.example/products/7', 'refused'],
  ['OPTIONS', '*', 'not-forwarded'],
])('%s %s is not replayed: %s', async (method, target, reason) => {
  expect(prepareRequest(recorded({ method, target }), await preparing({ contexts: new Set(['catalog']) }))).toBe(reason)
})

it('a request for another host, without shadowing or with a required token is not replayed', async () => {
  expect(prepareRequest(recorded({ host: 'tracker.example' }), await preparing())).toBe('other-host')
  const snapshot = await snapshotOf()
  const changed = (change: Partial<Route>): Snapshot => ({
    ...snapshot,
    match: (...request) => {
      const match = snapshot.match(...request)
      return { ...match, route: { ...match.route, ...change } }
    },
  })
  expect(prepareRequest(recorded(), await preparing({ snapshot: changed({ shadow: undefined }) }))).toBe('not-shadowed')
  const auth = { id: '', issuer: 'https://login.example', optional: false } as unknown as NonNullable<Route['auth']>
  expect(prepareRequest(recorded(), await preparing({ snapshot: changed({ auth }) }))).toBe('needs-token')
  expect(
    prepareRequest(recorded(), await preparing({ snapshot: changed({ auth: { ...auth, optional: true } }) })),
  ).toBeTypeOf('object')
})

it('a prepared request has the path, the host and the server name of each side, as in the proxy', async () => {
  const request = recorded({ target: '/old/./%37?q=1', host: 'shop.example', secure: true, client: '203.0.113.9' })
  const made = prepareRequest(request, await preparing(), 1)
  if (typeof made === 'string') throw new Error(made)
  expect(made).toMatchObject({ context: { name: 'catalog' }, label: 'GET /old/:id' })
  expect(made.legacy).toMatchObject({ origin: 'http://127.0.0.2:3000', path: '/old/7?q=1', servername: '' })
  expect(made.service).toMatchObject({
    ...{ origin: 'https://new.internal:8443', path: '/v2/7?q=1', servername: 'new.internal' },
  })
  expect(asObject(made.legacy.fields)).toMatchObject({
    ...{ host: 'shop.example', 'x-forwarded-for': '203.0.113.9', 'x-forwarded-proto': 'https' },
    ...{ traceparent: `00-${'a'.repeat(32)}-${'a'.repeat(16)}-01`, 'x-request-id': 'a'.repeat(32) },
  })
  expect(asObject(made.service.fields).host).toBe('new.internal:8443')
})

it('a prepared request lists its identity fields and contains no claimed identity', async () => {
  const fields = [
    'X-Person',
    'ada',
    'X-Api-Key',
    'k',
    'X-User-Id',
    '7',
    'X-Session-Token',
    't',
    'Accept',
    '*/*',
    'X-HTTP-Method-Override',
    'DELETE',
  ]
  const made = prepareRequest(recorded({ fields }), await preparing())
  if (typeof made === 'string') throw new Error(made)
  const sent = asObject(made.service.fields)
  expect(sent).toMatchObject({ accept: '*/*' })
  for (const name of ['x-person', 'x-user-id', 'x-http-method-override']) expect(sent[name]).toBeUndefined()
  expect(made.service.identityFields).toEqual(expect.arrayContaining(['x-api-key', 'x-session-token', 'x-person']))
  expect(made.service.identityFields).not.toContain('accept')
})
