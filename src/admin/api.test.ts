import { describe, expect, test } from 'vitest'
import type { ChangeResult } from '../control/control.ts'
import { NOON } from '../lib/manual-clock.test-kit.ts'
import { createTestAdmin, type TestAdmin, TOKEN } from './admin.test-kit.ts'
import { IdempotencyCache } from './http/idempotency.ts'

const LAGGARD = { id: 'g2', address: 'http://10.0.0.2:8081', why: 'silent for 12 s' }

function done(convergence: object): ChangeResult {
  return {
    kind: 'done',
    verb: 'flip',
    context: 'catalog',
    before: 0,
    after: 25,
    generation: 8,
    until: null,
    note: null,
    convergence: { applied: 1, of: 1, ms: 4, laggards: [], inFlight: 0, ...convergence },
  }
}

describe('the state', () => {
  test('is one response, in which absent values are null', async () => {
    const { ask } = await createTestAdmin()
    const { body } = await ask('get', '/status')
      .expect(200)
      .expect('Content-Type', /^application\/json/)
    expect(body).toMatchObject({ generation: 0, kill: null, flags: { ageMs: null, trouble: null } })
    expect(body.contexts).toHaveLength(2)
    expect(body.store).toMatchObject({ kind: 'memory', trouble: null })
  })

  test('can be read for all contexts, one context, and the fleet', async () => {
    const { ask } = await createTestAdmin()
    const { body } = await ask('get', '/contexts').expect(200)
    expect(body.contexts.map(({ name }: { name: string }) => name)).toEqual(['catalog', 'orders'])
    const orders = await ask('get', '/contexts/orders').expect(200).expect('ETag', '"0"')
    expect(orders.body).toEqual(body.contexts[1])
    expect((await ask('get', '/fleet').expect(200)).body.members[0]).toMatchObject({ id: 'g1', isConverged: true })
  })

  test.each(['nothing', '__proto__', 'constructor', 'a%2Fb'])(
    'of an unknown context %s is 404, and the answer lists the contexts',
    async (name) => {
      const { ask } = await createTestAdmin()
      for (const response of [await ask('get', `/contexts/${name}`), await ask('put', `/contexts/${name}/freeze`)]) {
        expect(response.status).toBe(404)
        expect(response.body).toMatchObject({ code: 'unknown-context', known: ['catalog', 'orders'] })
      }
    },
  )

  test('is answered to HEAD as to GET, without the body', async () => {
    const { ask } = await createTestAdmin()
    for (const path of ['/status', '/contexts/catalog', '/audit?format=jsonl', '/events']) {
      const { text } = await ask('head', path).expect(200)
      expect(text ?? '').toBe('')
    }
  })
})

describe('a change', () => {
  test.each<[Parameters<TestAdmin['ask']>[0], string, object | undefined, string, object]>([
    ['put', '/contexts/catalog/flag', { percentage: 25, reason: 'why' }, 'flip', { flip: { percentage: 25 } }],
    ['put', '/contexts/catalog/pin', { side: 'service', for: '30m' }, 'pin', { pin: { until: NOON + 1_800_000 } }],
    ['put', '/contexts/catalog/pin', { side: 'legacy', forMs: 5000 }, 'pin', { pin: { until: NOON + 5000 } }],
    ['put', '/contexts/catalog/pin', { side: 'legacy', noEnd: true }, 'pin', { pin: { until: null } }],
    ['put', '/contexts/catalog/pin', { side: 'legacy', forMs: null, noEnd: true }, 'pin', { pin: { until: null } }],
    ['delete', '/contexts/catalog/pin?reason=why', undefined, 'unpin', { pin: null }],
    ['put', '/contexts/catalog/freeze', undefined, 'freeze', { freeze: { by: 'admin-token' } }],
    ['delete', '/contexts/catalog/freeze', undefined, 'thaw', { freeze: null }],
    [
      'put',
      '/contexts/catalog/shadow',
      { percentage: 10 },
      'shadow',
      { shadow: { percentage: 10, by: 'admin-token' } },
    ],
    ['put', '/contexts/catalog/shadow', { percentage: 0 }, 'shadow', { shadow: { percentage: 0 } }],
    ['delete', '/contexts/catalog/shadow?reason=why', undefined, 'shadow', { shadow: null }],
    ['post', '/contexts/catalog/rollback', {}, 'rollback', { pin: { side: 'legacy' } }],
  ])('%s %s with %o makes the change %s', async (method, path, body, verb, expected) => {
    const { ask, control } = await createTestAdmin()
    const response = await ask(method, path).send(body)
    expect(response.body).toMatchObject({ verb, context: 'catalog', converged: true, generation: 1 })
    expect(response.status).toBe(200)
    expect(control.state().contexts.catalog).toMatchObject(expected)
  })

  test('turns the kill switch on and off', async () => {
    const { ask } = await createTestAdmin()
    await ask('put', '/kill-switch').send({ reason: 'on fire' }).expect(200)
    const killed = await ask('get', '/kill-switch').expect(200).expect('ETag', '"1"')
    expect(killed.body).toMatchObject({ kill: { by: 'admin-token', reason: 'on fire' }, generation: 1 })
    await ask('delete', '/kill-switch').expect(200)
    expect((await ask('get', '/kill-switch')).body.kill).toBeNull()
  })

  test('passes the actor, the address and the reason to control', async () => {
    const { ask, control } = await createTestAdmin()
    await ask('put', '/contexts/catalog/flag').send({ percentage: 5, reason: '  a fault in checkout ' })
    await ask('delete', '/contexts/catalog/pin?reason=over%20%E2%9C%93')
    expect(control.changeRequests.map(({ order }) => order)).toMatchObject([
      { by: 'admin-token', address: '127.0.0.1', reason: 'a fault in checkout' },
      { reason: 'over ✓' },
    ])
  })

  test('rolls back a forward-only context only with force', async () => {
    const { ask } = await createTestAdmin()
    const { body } = await ask('post', '/contexts/orders/rollback').send({}).expect(409)
    expect(body).toMatchObject({ code: 'refused', detail: 'it is forward-only' })
    await ask('post', '/contexts/orders/rollback').send({ force: true }).expect(200)
  })

  test.each<[object, string, RegExp]>([
    [{}, 'flag', /percentage/],
    [{ percentage: 101 }, 'flag', /percentage/],
    [{ percentage: -1 }, 'flag', /percentage/],
    [{ percentage: 1.5 }, 'flag', /percentage/],
    [{ percentage: '5' }, 'flag', /percentage/],
    [{ percentage: 5, precentage: 6 }, 'flag', /precentage/],
    [{ percentage: 5, reason: '' }, 'flag', /reason/],
    [{ percentage: 5, reason: 'two\nlines' }, 'flag', /reason/],
    [{ percentage: 5, reason: 'x'.repeat(501) }, 'flag', /reason/],
    [{}, 'shadow', /percentage/],
    [{ percentage: 101 }, 'shadow', /percentage/],
    [{ percentage: 0.5 }, 'shadow', /percentage/],
    [{ percentage: null }, 'shadow', /percentage/],
    [{ percentage: 5, sample: 0.1 }, 'shadow', /sample/],
    [{ side: 'service' }, 'pin', /one end/],
    [{ side: 'service', for: '30m', noEnd: true }, 'pin', /one end/],
    [{ side: 'service', forMs: null }, 'pin', /one end/],
    [{ side: 'service', for: 'soon' }, 'pin', /duration/],
    [{ side: 'service', for: '0s' }, 'pin', /one second/],
    [{ side: 'service', for: '366d' }, 'pin', /365 days/],
    [{ side: 'both', for: '1h' }, 'pin', /side/],
    [[], 'flag', /object/],
  ])('with the body %o to %s is 422, and the answer names the mistake', async (body, resource, expected) => {
    const { ask, control } = await createTestAdmin()
    const response = await ask('put', `/contexts/catalog/${resource}`).send(body)
    expect(response.status).toBe(422)
    expect(response.body).toMatchObject({ code: 'bad-body', type: 'about:blank', status: 422 })
    expect(JSON.stringify(response.body.mistakes)).toMatch(expected)
    expect(control.changeRequests).toEqual([])
  })

  test('without a reason is refused if reasons are required', async () => {
    const { ask, control } = await createTestAdmin({ requireReason: true })
    const flip = () => ask('put', '/contexts/catalog/flag')
    expect((await flip().send({ percentage: 5 }).expect(422)).body.code).toBe('reason-required')
    expect((await flip().send({ percentage: 5, reason: null }).expect(422)).body.code).toBe('reason-required')
    expect((await ask('delete', '/kill-switch').expect(422)).body.code).toBe('reason-required')
    expect(control.changeRequests).toEqual([])
    await flip().send({ percentage: 5, reason: 'why' }).expect(200)
    await ask('delete', '/kill-switch?reason=why').expect(200)
    await ask('get', '/status').expect(200)
  })
})

describe('the result of a change', () => {
  test.each<[string, ChangeResult, number, object]>([
    ['done everywhere', done({}), 200, { converged: true }],
    [
      'done, with laggards',
      done({ laggards: [LAGGARD] }),
      200,
      { converged: false, convergence: { laggards: [LAGGARD] } },
    ],
    ['refused', { kind: 'refused', why: 'frozen by ann' }, 409, { code: 'refused', detail: 'frozen by ann' }],
    ['conflict', { kind: 'conflict', why: 'ann was', generation: 7 }, 409, { code: 'conflict', generation: 7 }],
    ['unknown', { kind: 'unknown-context', why: 'no', known: ['a'] }, 404, { code: 'unknown-context', known: ['a'] }],
    ['unavailable', { kind: 'unavailable', why: 'no store' }, 503, { code: 'unavailable', detail: 'no store' }],
  ])('%s is answered with its status', async (_, result, status, expected) => {
    const { ask, control } = await createTestAdmin()
    control.next = result
    const response = await ask('put', '/contexts/catalog/flag').send({ percentage: 25 })
    expect(response.status).toBe(status)
    expect(response.body).toMatchObject(expected)
    expect(response.headers['retry-after']).toBe(status === 503 ? '5' : undefined)
  })
})

describe('If-Match', () => {
  async function changedTwice() {
    const admin = await createTestAdmin()
    for (const percentage of [1, 2]) await admin.ask('put', '/contexts/catalog/flag').send({ percentage }).expect(200)
    return admin
  }

  test.each<[string, number, string | undefined]>([
    ['"2"', 200, undefined],
    ['*', 200, undefined],
    ['"1"', 412, 'precondition-failed'],
    ['"0"', 412, 'precondition-failed'],
    ['W/"2"', 412, 'precondition-failed'],
    ['2', 400, 'bad-request'],
    ['"2", "3"', 400, 'bad-request'],
    ['"abc"', 400, 'bad-request'],
  ])('%s is answered with status %d', async (tag, status, code) => {
    const { ask, control } = await changedTwice()
    const { headers } = await ask('get', '/contexts/catalog')
    expect(headers.etag).toBe('"2"')
    const response = await ask('put', '/contexts/catalog/flag').set('If-Match', tag).send({ percentage: 3 })
    expect(response.status).toBe(status)
    expect(response.body.code).toBe(code)
    expect(control.state().generation).toBe(status === 200 ? 3 : 2)
  })

  test.each<['post' | 'put' | 'delete', string]>([
    ['post', '/contexts/catalog/rollback'],
    ['put', '/kill-switch'],
    ['delete', '/kill-switch'],
  ])('is also checked for %s %s', async (method, path) => {
    const { ask, control } = await changedTwice()
    const { headers, body } = await ask(method, path).set('If-Match', '"1"').expect(412)
    expect(headers.etag).toBe('"2"')
    expect(body.generation).toBe(2)
    expect(control.state().generation).toBe(2)
    await ask(method, path).set('If-Match', '"2"').expect(200)
  })
})

describe('Idempotency-Key', () => {
  const flip = ({ ask }: TestAdmin, percentage: number, key = 'k1', token = TOKEN) =>
    ask('put', '/contexts/catalog/flag', token).set('Idempotency-Key', key).send({ percentage })

  test('makes a repeated request once, and repeats its answer', async () => {
    const admin = await createTestAdmin()
    const first = await flip(admin, 5).expect(200)
    const second = await flip(admin, 5).expect(200).expect('Idempotency-Replayed', 'true')
    expect(second.body).toEqual(first.body)
    expect(first.headers).not.toHaveProperty('idempotency-replayed')
    expect(admin.control.changeRequests).toHaveLength(1)
  })

  test('accepts another spelling of the same request, and refuses another request', async () => {
    const admin = await createTestAdmin()
    await flip(admin, 5)
    await admin
      .ask('put', '/contexts/catalog/flag')
      .set('Idempotency-Key', 'k1')
      .type('json')
      .send('{ "percentage" : 5 }')
      .expect('Idempotency-Replayed', 'true')
    expect((await flip(admin, 6).expect(422)).body.code).toBe('key-reused')
    expect(
      (await admin.ask('put', '/contexts/orders/flag').set('Idempotency-Key', 'k1').send({ percentage: 5 })).status,
    ).toBe(422)
    expect(admin.control.changeRequests).toHaveLength(1)
  })

  test('repeats a refusal, and tries again after an unavailable store', async () => {
    const admin = await createTestAdmin()
    admin.control.next = { kind: 'refused', why: 'frozen' }
    await flip(admin, 5).expect(409)
    await flip(admin, 5).expect(409)
    expect(admin.control.changeRequests).toHaveLength(1)
    admin.control.next = { kind: 'unavailable', why: 'no store' }
    await flip(admin, 5, 'k2').expect(503)
    await flip(admin, 5, 'k2').expect(200)
  })

  test('answers 409 while the first request is in progress', async () => {
    const admin = await createTestAdmin()
    const { promise, resolve } = Promise.withResolvers<ChangeResult>()
    admin.control.next = promise
    const first = flip(admin, 5).then((response) => response)
    await expect.poll(() => admin.control.changeRequests.length).toBe(1)
    const second = await flip(admin, 5).expect(409)
    expect(second.body.code).toBe('in-progress')
    resolve(done({}))
    expect((await first).status).toBe(200)
    await flip(admin, 5).expect(200).expect('Idempotency-Replayed', 'true')
  })

  test('is stored for one day, and for 256 keys', async () => {
    const admin = await createTestAdmin()
    await flip(admin, 5)
    admin.clock.advance(24 * 3600_000 - 1)
    await flip(admin, 5).expect('Idempotency-Replayed', 'true')
    admin.clock.advance(1)
    await flip(admin, 5)
    expect(admin.control.changeRequests).toHaveLength(2)
    for (let i = 0; i < 256; i++) await flip(admin, 5, `other-${i}`)
    await flip(admin, 5)
    expect(admin.control.changeRequests).toHaveLength(2 + 256 + 1)
  })

  test('is separate for each actor, for the 64 most recent actors', async () => {
    const cache = new IdempotencyCache<string>(() => 0)
    const ask = (actor: string) =>
      cache.run(
        { actor, key: 'k', request: 'r' },
        async () => `for ${actor}`,
        () => true,
      )
    expect(await ask('ann')).toEqual({ answer: 'for ann', isRepeated: false })
    expect(await ask('bob')).toEqual({ answer: 'for bob', isRepeated: false })
    expect(await ask('ann')).toEqual({ answer: 'for ann', isRepeated: true })
    for (let i = 0; i < 63; i++) await ask(`somebody ${i}`)
    expect(await ask('ann')).toMatchObject({ isRepeated: true })
    expect(await ask('bob')).toMatchObject({ isRepeated: false })
  })

  test.each(['', 'a b', 'x'.repeat(201)])('%j is refused', async (key) => {
    const { ask } = await createTestAdmin()
    await ask('put', '/contexts/catalog/freeze').set('Idempotency-Key', key).expect(400)
  })
})

describe('the audit log', () => {
  async function filled(entries: number) {
    const admin = await createTestAdmin()
    for (let i = 0; i < entries; i++) {
      await admin.control.flip(i % 2 === 0 ? 'catalog' : 'orders', i % 100, { by: 'ann', address: null, reason: null })
    }
    return admin
  }

  test('is read page by page, newest first', async () => {
    const { ask } = await filled(5)
    const first = await ask('get', '/audit?limit=2').expect(200)
    expect(first.body.records.map(({ generation }: { generation: number }) => generation)).toEqual([5, 4])
    const second = await ask('get', `/audit?limit=3&cursor=${first.body.next}`).expect(200)
    expect(second.body.records.map(({ generation }: { generation: number }) => generation)).toEqual([3, 2, 1])
    expect(second.body.next).toBeNull()
  })

  test('is verified by its hash chain', async () => {
    const { ask } = await filled(5)
    const { body } = await ask('get', '/audit/verification').expect(200)
    const newest = await ask('get', '/audit?limit=1')
    expect(body).toMatchObject({ verified: 5, unchained: 0, head: newest.body.records[0].hash, broken: null })
  })

  test('is read for one context', async () => {
    const { ask } = await filled(5)
    const { body } = await ask('get', '/audit?context=orders')
    expect(body.records.map(({ context }: { context: string }) => context)).toEqual(['orders', 'orders'])
  })

  test.each([
    ['by format', '/audit?format=jsonl', 'application/json'],
    ['by Accept', '/audit', 'application/jsonl'],
  ])('is exported as a whole, one record on each line: %s', async (_, path, accept) => {
    const { ask } = await filled(450)
    const { text } = await ask('get', path)
      .set('Accept', accept)
      .buffer()
      .parse((response, done) => {
        let text = ''
        response.on('data', (chunk: Buffer) => {
          text += chunk.toString()
        })
        response.on('end', () => done(null, text))
      })
      .expect(200)
      .expect('Content-Type', 'application/jsonl')
      .expect('X-Audit-Dropped', '0')
      .then(({ body }) => ({ text: body as string }))
    const lines = text
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line) as { generation: number })
    expect(lines.map(({ generation }) => generation)).toEqual(Array.from({ length: 450 }, (_, i) => 450 - i))
  })

  test.each([
    'limit=0',
    'limit=201',
    'limit=x',
    'cursor=x',
    'cursor=%00',
    'nonsense=1',
    'limit=1&limit=2',
    '__proto__[x]=1',
    'context=',
  ])('with the query %s is 400', async (query) => {
    const { ask } = await createTestAdmin()
    const { body } = await ask('get', `/audit?${query}`).expect(400)
    expect(body.code).toBe('bad-query')
    expect(({} as { x?: unknown }).x).toBeUndefined()
  })

  test('is 503 while the store is unreachable', async () => {
    const { ask, control } = await filled(1)
    control.memory.isReachable = false
    for (const path of ['/audit', '/audit?format=jsonl', '/audit/verification']) {
      const { body } = await ask('get', path).expect(503).expect('Retry-After', '5')
      expect(body.code).toBe('unavailable')
    }
  })
})

test('explain gets the normalized query', async () => {
  const requests: unknown[] = []
  const { ask } = await createTestAdmin({
    explain: async (request) => {
      requests.push(request)
      return { kind: 'refused', request: 'GET /x', failure: 'bad-target', status: 400, detail: 'no' }
    },
  })
  const { body } = await ask('get', '/explain?method=post&target=%2Forders%2F4%3Fa&user=7&host=Shop.example').expect(
    200,
  )
  expect(requests).toEqual([
    { method: 'POST', target: '/orders/4?a', user: '7', host: 'shop.example', address: '127.0.0.1' },
  ])
  expect(body.kind).toBe('refused')
  await ask('get', '/explain').expect(400)
  await ask('get', '/explain?target=/x&address=nonsense').expect(400)
})

test.each([
  ['patch', '/contexts/catalog/flag', 'PUT'],
  ['post', '/contexts/catalog/pin', 'PUT, DELETE'],
  ['put', '/contexts/catalog', 'GET, HEAD'],
  ['post', '/kill-switch', 'GET, HEAD, PUT, DELETE'],
  ['get', '/contexts/catalog/rollback', 'POST'],
  ['post', '/contexts/catalog/shadow', 'PUT, DELETE'],
  ['options', '/status', 'GET, HEAD'],
] as const)('%s %s is 405, and Allow lists the methods', async (method, path, allow) => {
  const { ask, control } = await createTestAdmin()
  const response = await ask(method, path)
  expect(response.status).toBe(405)
  expect(response.headers.allow).toBe(allow)
  expect(response.headers).not.toHaveProperty('access-control-allow-origin')
  expect(control.changeRequests).toEqual([])
})
