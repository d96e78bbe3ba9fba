// Parity, differences, rulings and rule trials over HTTP, with real reports of constructed counts.
import { describe, expect, test } from 'vitest'
import { StoreUnavailable } from '../model/state-store.ts'
import {
  countsOf,
  FAULTY,
  HOUR,
  NOW,
  PRICE,
  ROUTE,
  reportsOn,
  seen,
  storedExampleOf,
  THIS_HOUR,
} from '../shadow/report/comparison-reports.test-kit.ts'
import { fingerprintOf } from '../shadow/stats/fingerprint.ts'
import { createTestAdmin } from './admin.test-kit.ts'

const PRINT = fingerprintOf('catalog', ROUTE, PRICE)
const UNREACHABLE = () => Promise.reject(new StoreUnavailable('redis', new Error('refused')))
const GONE = reportsOn({}, { store: { counts: UNREACHABLE, examples: UNREACHABLE } })

describe('parity', () => {
  test('is reported for each context and route, with the requested target', async () => {
    const { ask } = await createTestAdmin()
    const { body } = await ask('get', '/parity?window=2h&target=99').expect(200)
    expect(body).toMatchObject({ from: THIS_HOUR - 2 * HOUR, to: NOW, target: 0.99 })
    expect(body.contexts.map(({ context }: { context: string }) => context)).toEqual(['catalog', 'orders'])
    expect(body.contexts[0]).toMatchObject({
      accounting: { eligible: 1010, mismatched: 60 },
      routes: [{ route: ROUTE }],
    })
    expect(body.contexts[1].matching).toBeNull()
    expect((await ask('get', '/parity').expect(200)).body).toMatchObject({ target: 0.999, from: THIS_HOUR - 24 * HOUR })
  })

  test.each(['window=30m', 'window=8d', 'window=x', 'window=', 'target=100', 'target=x', 'target=49', 'more=1'])(
    'is refused for the query %s',
    async (query) => {
      const { ask } = await createTestAdmin()
      expect((await ask('get', `/parity?${query}`)).body).toMatchObject({ status: 400, code: 'bad-query' })
    },
  )
})

describe('differences', () => {
  test('are listed for a context, in the window', async () => {
    const old = { ...FAULTY, start: THIS_HOUR - 30 * HOUR }
    const { ask } = await createTestAdmin({ comparisons: reportsOn({ counts: [old], examples: [storedExampleOf()] }) })
    expect((await ask('get', '/contexts/catalog/differences').expect(200)).body.differences).toEqual([])
    const { body } = await ask('get', '/contexts/catalog/differences?window=2d').expect(200)
    expect(body.differences[0]).toMatchObject({ fingerprint: PRINT, verdict: 'real', example: { legacy: '10.00' } })
    expect((await ask('get', '/contexts/nothing/differences')).body).toMatchObject({ code: 'unknown-context' })
  })

  test('are shown with examples by their fingerprint', async () => {
    const { ask } = await createTestAdmin()
    const { body } = await ask('get', `/differences/${PRINT}`).expect(200)
    expect(body).toMatchObject({ difference: { fingerprint: PRINT }, examples: [{ legacy: { status: 200 } }] })
  })

  test.each(['0123456789', 'xyz', '__proto__', 'a%2Fb', PRINT.toUpperCase()])(
    'with the fingerprint %s are unknown: the answer has advice, and nothing is changed',
    async (fingerprint) => {
      const { ask, control } = await createTestAdmin()
      const answers = [
        await ask('get', `/differences/${fingerprint}`),
        await ask('get', `/differences/${fingerprint}/export`),
        await ask('put', `/differences/${fingerprint}/ruling`).send({ verdict: 'noise' }),
        await ask('delete', `/differences/${fingerprint}/ruling`),
        await ask('put', `/differences/${fingerprint}/resolution`),
      ]
      for (const { status, body } of answers) {
        expect(status).toBe(404)
        expect(body).toMatchObject({ code: 'unknown-difference', detail: expect.stringContaining('strangler diffs') })
      }
      expect(control.changeRequests).toEqual([])
    },
  )

  test('are ruled on, left to the statistics and resolved, each with author and reason', async () => {
    const { ask, control } = await createTestAdmin()
    const note = async () => (await ask('get', `/differences/${PRINT}`).expect(200)).body.difference.note
    expect(await note()).toBeNull()
    const ruled = await ask('put', `/differences/${PRINT}/ruling`)
      .send({ verdict: 'noise', reason: 'rounding' })
      .expect(200)
    expect(ruled.body).toMatchObject({ verb: 'rule', context: 'catalog' })
    expect(await note()).toMatchObject({ ruling: 'noise', by: 'admin-token', reason: 'rounding' })
    await ask('delete', `/differences/${PRINT}/ruling?reason=it+was+not`).expect(200)
    expect(await note()).toMatchObject({ ruling: null, reason: 'it was not' })
    await ask('put', `/differences/${PRINT}/resolution`).send({ reason: 'fixed' }).expect(200)
    expect(await note()).toMatchObject({ ruling: null, resolvedAt: expect.any(Number), reason: 'fixed' })
    expect(control.changeRequests.map(({ verb, context, order }) => [verb, context, order.reason])).toEqual([
      ['rule', 'catalog', 'rounding'],
      ['rule', 'catalog', 'it was not'],
      ['resolve', 'catalog', 'fixed'],
    ])
    expect((await ask('put', `/differences/${PRINT}/ruling`).send({ verdict: 'auto' })).status).toBe(422)
  })

  test('that have not occurred for days can still lose their ruling', async () => {
    const { ask, control, options } = await createTestAdmin()
    await ask('put', `/differences/${PRINT}/ruling`).send({ verdict: 'noise' }).expect(200)
    const later = await createTestAdmin({ comparisons: reportsOn({}, { state: control.state }) })
    expect(options.api.control).toBe(control)
    await later.ask('delete', `/differences/${PRINT}/ruling`).expect(200)
  })
})

describe('an export', () => {
  test.each(['curl', 'vitest'])('is text in the form %s', async (as) => {
    const { ask } = await createTestAdmin()
    const { body } = await ask('get', `/differences/${PRINT}/export?as=${as}`).expect(200)
    expect(body).toMatchObject({ fingerprint: PRINT, as, variables: [] })
    expect(body.text).toContain('/products?page=2')
    expect((await ask('get', `/differences/${PRINT}/export?as=perl`)).status).toBe(400)
  })

  test('without an example is refused with the reason', async () => {
    const { ask } = await createTestAdmin({ comparisons: reportsOn({ counts: [FAULTY] }) })
    const { status, body } = await ask('get', `/differences/${PRINT}/export`)
    expect({ status, body }).toMatchObject({
      status: 409,
      body: { code: 'not-exportable', detail: expect.stringContaining('no example') },
    })
  })
})

describe('a rule trial', () => {
  const rules = { tolerance: [{ path: '$..price', absolute: 0.011 }] }

  test('counts the forgiven examples, and changes nothing', async () => {
    const { ask, control } = await createTestAdmin({ requireReason: true })
    const { body } = await ask('post', '/contexts/catalog/try-rule').send({ rules }).expect(200)
    expect(body).toMatchObject({ examples: 1, differences: [{ fingerprint: PRINT, forgiven: 1, remaining: 0 }] })
    expect((await ask('post', '/contexts/catalog/try-rule').send({ rules, route: 'GET /x' })).body.examples).toBe(0)
    expect(control.changeRequests).toEqual([])
  })

  test('with invalid rules is refused, with the path of each mistake', async () => {
    const { ask } = await createTestAdmin()
    const { status, body } = await ask('post', '/contexts/catalog/try-rule').send({
      rules: { ignore: ['price'], x: [] },
    })
    expect(status).toBe(422)
    expect(body.mistakes.map(({ path }: { path: string }) => path)).toEqual(['rules.x', 'rules.ignore[0]'])
    const none = await ask('post', '/contexts/catalog/try-rule').send({})
    expect(none.body).toMatchObject({ code: 'bad-body', mistakes: [{ path: 'rules' }] })
    expect((await ask('post', '/contexts/nothing/try-rule').send({ rules })).body.code).toBe('unknown-context')
  })

  test('is refused for a page of another origin', async () => {
    const { ask } = await createTestAdmin()
    const foreign = ask('post', '/contexts/catalog/try-rule').set('Origin', 'https://evil.example')
    expect((await foreign.send({ rules })).body.code).toBe('foreign-origin')
  })

  test('that was aborted is 503', async () => {
    const trial = async () => ({ kind: 'given-up', why: 'too long' }) as const
    const { ask } = await createTestAdmin({
      comparisons: reportsOn({ examples: [storedExampleOf()] }, { runTrial: trial }),
    })
    const { status, body } = await ask('post', '/contexts/catalog/try-rule').send({ rules })
    expect({ status, detail: body.detail }).toEqual({ status: 503, detail: 'too long' })
  })
})

test('an unreachable store is not a bug: it is 503 with Retry-After', async () => {
  const { ask } = await createTestAdmin({ comparisons: GONE })
  const answers = [
    await ask('get', '/parity'),
    await ask('get', '/contexts/catalog/differences'),
    await ask('get', `/differences/${PRINT}`),
    await ask('get', `/differences/${PRINT}/export`),
    await ask('put', `/differences/${PRINT}/resolution`),
    await ask('post', '/contexts/catalog/try-rule').send({ rules: {} }),
  ]
  for (const { status, body, headers } of answers) {
    expect({ status, code: body.code, after: headers['retry-after'] }).toEqual({
      status: 503,
      code: 'unavailable',
      after: '5',
    })
  }
})

test('only operators may rule on and resolve differences', async () => {
  const { API_ROUTES } = await import('./http/routes.ts')
  const roles = API_ROUTES.filter(({ path }) => /differences|parity|try-rule/.test(path)).map(
    ({ method, path, role }) => `${method} ${path} ${role}`,
  )
  expect(roles).toEqual([
    'get /parity viewer',
    'get /contexts/:id/differences viewer',
    'post /contexts/:id/try-rule viewer',
    'get /differences/:fingerprint viewer',
    'put /differences/:fingerprint/ruling operator',
    'delete /differences/:fingerprint/ruling operator',
    'put /differences/:fingerprint/resolution operator',
    'get /differences/:fingerprint/export viewer',
  ])
})

test('the differences of another context are not listed', async () => {
  const other = countsOf({ matched: 1, fields: { [PRICE]: seen(1) } }, { context: 'orders' })
  const { ask } = await createTestAdmin({ comparisons: reportsOn({ counts: [other] }) })
  expect((await ask('get', '/contexts/catalog/differences').expect(200)).body.differences).toEqual([])
})
