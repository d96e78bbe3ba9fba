// Copies of real requests between real origins: their targets, their content, and the results of their comparison.
import { createHash } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, test, vi } from 'vitest'
import type { TestGateway } from '../kit/gateway.ts'
import { sendRequest } from '../kit/load.ts'
import { respondEqually, startShadowed } from '../kit/shadowed.ts'
import { until } from '../kit/until.ts'

// The comparing thread has the lowest priority: on a busy machine it starts late.
vi.setConfig({ testTimeout: 60_000 })

const OFF = { percentages: { 'migrate-catalog': 0 } }
const ON = { percentages: { 'migrate-catalog': 100 } }

describe('a copy is sent', () => {
  test('to the side that does not answer the client', async () => {
    const { gateway, legacy, service, settled } = await startShadowed(OFF)
    expect((await sendRequest({ port: gateway.port, path: '/products/1?a=b' })).body).toContain('"side":"legacy"')
    await settled(1)
    expect(service.seen).toMatchObject([{ method: 'GET', url: '/products/1?a=b' }])
    expect(legacy.real()).toHaveLength(1)
    await gateway.setFlags({ 'migrate-catalog': 100 })
    expect((await sendRequest({ port: gateway.port, path: '/products/2' })).body).toContain('"side":"service"')
    await settled(2)
    expect(legacy.copies().at(-1)).toMatchObject({ url: '/products/2' })
    expect(service.seen, 'once as a copy, once for the client').toHaveLength(2)
  })

  test('with the path of its side: rewritten for the service, unchanged for legacy', async () => {
    const routes = [{ path: '/search', rewrite: '/v2/search' }]
    const context = { owner: 'a', service: 'catalog', flag: 'migrate-catalog', routes, shadow: { sample: 1 } }
    const { gateway, legacy, service, settled } = await startShadowed({
      ...OFF,
      map: { contexts: { catalog: context } },
    })
    await sendRequest({ port: gateway.port, path: '/search?q=x' })
    await settled(1)
    expect(legacy.real()).toMatchObject([{ url: '/search?q=x' }])
    expect(service.copies()).toMatchObject([{ url: '/v2/search?q=x' }])
  })

  test('only after the client has its response', async () => {
    let answer = () => {}
    const { gateway, legacy, service, settled } = await startShadowed({
      ...OFF,
      legacy: (_, response) => {
        response.writeHead(200, { 'Content-Type': 'text/plain' }).write('begun')
        answer = () => void response.end('done')
      },
    })
    const pending = sendRequest({ port: gateway.port, path: '/products/1' })
    await until(() => legacy.seen.length === 1)
    // Long enough for a copy that is sent at once.
    await new Promise((resolve) => setTimeout(resolve, 500))
    expect(service.seen).toEqual([])
    answer()
    expect((await pending).body).toBe('begundone')
    await settled(1)
    expect(service.seen).toHaveLength(1)
  })

  test('for no unowned and no unsampled request', async () => {
    const { gateway, service } = await startShadowed({ ...OFF, shadow: { sample: 0 } })
    await sendRequest({ port: gateway.port, path: '/products/1' })
    await sendRequest({ port: gateway.port, path: '/elsewhere' })
    expect(await gateway.metrics()).not.toContain('strangler_shadow_eligible_total{')
    expect(service.seen).toEqual([])
  })

  test('for no request while the kill switch is on', async () => {
    const { gateway, service, settled } = await startShadowed(OFF)
    await sendRequest({ port: gateway.port, path: '/products/1' })
    await settled(1)
    gateway.killHere()
    for (let i = 0; i < 5; i++) await sendRequest({ port: gateway.port, path: '/products/1' })
    await settled(1)
    expect(service.seen).toHaveLength(1)
  })
})

describe('the content of a copy', () => {
  const credentials = {
    cookie: 'sid=abc',
    authorization: 'Bearer token',
    'idempotency-key': 'k-1',
    'accept-language': 'de',
  }
  const trace = '4bf92f3577b34da6a3ce929d0e0e4736'
  const traceparent = `00-${trace}-00f067aa0ba902b7-01`

  test('is the request with a mark and its own span', async () => {
    const { gateway, legacy, service, settled } = await startShadowed(OFF)
    await sendRequest({ port: gateway.port, path: '/products/1', headers: { ...credentials, traceparent } })
    await settled(1)
    const [real] = legacy.real()
    const [copy] = service.copies()
    expect(copy?.headers).toMatchObject({
      ...credentials,
      'x-shadow': '1',
      'x-request-id': real?.headers['x-request-id'],
    })
    expect(copy?.headers.traceparent).toMatch(new RegExp(`^00-${trace}-[0-9a-f]{16}-01$`))
    expect(copy?.headers.traceparent).not.toBe(real?.headers.traceparent)
    expect(real?.headers['x-shadow']).toBeUndefined()
  })

  test('has no identity with strip', async () => {
    const { gateway, service, settled } = await startShadowed({ ...OFF, shadow: { identities: 'strip' } })
    await sendRequest({ port: gateway.port, path: '/products/1', headers: credentials })
    await settled(1)
    const [copy] = service.copies()
    expect(copy?.headers).toMatchObject({ 'idempotency-key': 'k-1', 'accept-language': 'de' })
    expect(copy?.headers).not.toHaveProperty('cookie')
    expect(copy?.headers).not.toHaveProperty('authorization')
  })

  test('cannot be forged by a client, and a request with the mark is not copied', async () => {
    const { gateway, legacy, service, settled } = await startShadowed(OFF)
    await sendRequest({
      port: gateway.port,
      path: '/products/1',
      headers: { 'X-Shadow': '1', 'X-Shadow-Accepted': 'dry-run' },
    })
    await sendRequest({ port: gateway.port, path: '/products/2' })
    await settled(1)
    expect(legacy.real().map(({ url }) => url)).toEqual(['/products/1', '/products/2'])
    expect(legacy.real()[0]?.headers).not.toHaveProperty('x-shadow-accepted')
    expect(service.seen.map(({ url }) => url)).toEqual(['/products/2'])
  })
})

describe('the client of a shadowed request', () => {
  test('gets the response of the chosen side byte for byte, whatever the other side answers', async () => {
    const { gateway, settled } = await startShadowed({
      ...OFF,
      legacy: (_request, response) => response.writeHead(200, { 'Set-Cookie': 'a=legacy', 'X-A': '1' }).end('legacy'),
      service: (_request, response) =>
        response.writeHead(500, { 'Set-Cookie': 'a=service', 'X-B': '2' }).end('service'),
    })
    const answers = await Promise.all([1, 2, 3].map((i) => sendRequest({ port: gateway.port, path: `/products/${i}` })))
    await settled(3)
    for (const { status, body, headers } of answers) {
      expect({ status, body }).toEqual({ status: 200, body: 'legacy' })
      expect(headers['set-cookie']).toEqual(expect.arrayContaining(['a=legacy']))
      expect(String(headers['set-cookie'])).not.toContain('service')
      expect(headers).not.toHaveProperty('x-b')
    }
  })

  test('gets large and small responses completely', async () => {
    const large = Buffer.alloc(3_000_000, 'x')
    const { gateway, settled, endings } = await startShadowed({
      ...OFF,
      legacy: (_request, response) => response.writeHead(200, { 'Content-Length': large.length }).end(large),
      service: (_request, response) => response.writeHead(200, { 'Content-Length': large.length }).end(large),
    })
    const digest = (text: string) => createHash('sha256').update(text, 'latin1').digest('hex')
    const answer = await sendRequest({ port: gateway.port, path: '/products/1' })
    expect(digest(answer.body)).toBe(createHash('sha256').update(large).digest('hex'))
    await settled(1)
    expect(await endings()).toEqual({ 'uncomparable(truncated)': 1 })
  })
})

describe('the comparison of live responses', () => {
  test('shows that the sides agree', async () => {
    const { gateway, settled, endings } = await startShadowed({
      ...OFF,
      legacy: respondEqually,
      service: respondEqually,
    })
    for (let i = 0; i < 10; i++) await sendRequest({ port: gateway.port, path: `/products/${i}` })
    await sendRequest({ port: gateway.port, path: '/products/1', method: 'HEAD' })
    await settled(11)
    expect(await endings()).toEqual({ matched: 11 })
    const { body } = await sendRequest({ port: gateway.adminPort, path: '/metrics' })
    expect(body).toContain('strangler_parity_ratio{context="catalog",bound="share"} 1')
    expect(body).toMatch(/strangler_shadow_answer_seconds_count\{context="catalog",side="service",answer="copy"\} 11/)
    expect(body).toMatch(/strangler_shadow_answer_seconds_count\{context="catalog",side="legacy",answer="primary"\} 11/)
  })

  test('separates real differences from noise by asking legacy twice', async () => {
    const json = (side: string) => (_request: unknown, response: import('node:http').ServerResponse) => {
      const price = side === 'legacy' ? 12.5 : 12.49
      response.writeHead(200, { 'Content-Type': 'application/json' })
      response.end(JSON.stringify({ price, generatedAt: process.hrtime.bigint().toString() }))
    }
    const { gateway, settled, ended } = await startShadowed({
      ...OFF,
      legacy: json('legacy'),
      service: json('service'),
    })
    let requests = 0
    // The outcomes at the time of the comparison: both fields are inconclusive at first, and decided soon.
    while ((await ended('mismatched')) < 20 && requests < 1000) {
      await Promise.all(Array.from({ length: 10 }, () => sendRequest({ port: gateway.port, path: '/products/1' })))
      requests += 10
      await settled(requests)
    }
    expect(await ended('mismatched')).toBeGreaterThanOrEqual(20)
    expect(await ended('matched')).toBe(0)
    expect(requests).toBeLessThan(400)
  })
})

test('HEAD is compared for pages whose bodies are too long', async () => {
  const long: import('node:http').RequestListener = (_, response) =>
    response.writeHead(200, { 'Content-Type': 'text/plain', 'Content-Length': 5_000_000 }).end()
  const { gateway, settled, endings } = await startShadowed({ ...OFF, legacy: long, service: long })
  expect((await sendRequest({ port: gateway.port, path: '/products/1', method: 'HEAD' })).status).toBe(200)
  await settled(1)
  expect(await endings()).toEqual({ matched: 1 })
})

describe('a request is not compared', () => {
  test('if its response is a stream, which the client gets unchanged', async () => {
    const { gateway, service, settled, endings } = await startShadowed({
      ...OFF,
      legacy: (_request, response) => {
        response.writeHead(200, { 'Content-Type': 'text/event-stream' }).write('data: 1\n\n')
        setImmediate(() => response.end('data: 2\n\n'))
      },
    })
    expect((await sendRequest({ port: gateway.port, path: '/products/1' })).body).toBe('data: 1\n\ndata: 2\n\n')
    await settled(1)
    expect(await endings()).toEqual({ 'uncomparable(streaming)': 1 })
    expect(service.seen).toEqual([])
  })

  test('if the request of the client failed or the client left', async () => {
    const { gateway, service, settled, endings } = await startShadowed({
      ...OFF,
      legacy: (request, response) => {
        if (request.url === '/products/broken') response.destroy()
        else response.writeHead(200, { 'Content-Length': 100 }).write('never whole')
      },
    })
    expect((await sendRequest({ port: gateway.port, path: '/products/broken' })).status).toBe(502)
    await settled(1)
    const leaving = new AbortController()
    const pending = fetch(`http://127.0.0.1:${gateway.port}/products/slow`, { signal: leaving.signal })
    await pending.then(() => leaving.abort())
    await settled(2)
    expect(await endings()).toEqual({ 'failed(primary)': 1, 'failed(client-gone)': 1 })
    expect(service.seen).toEqual([])
  })

  test('if the other side has no available address', async () => {
    const { gateway, settled, endings } = await startShadowed({
      ...OFF,
      serviceUrl: 'http://127.0.0.1:9',
      map: {
        services: {
          catalog: {
            url: 'http://127.0.0.1:9',
            health: { path: '/', intervalMs: 100, unhealthyAfter: 1, timeoutMs: 100 },
          },
        },
      },
    })
    await until(async () => (await gateway.readyz()).body.upstreams !== undefined && (await isOut()))
    await sendRequest({ port: gateway.port, path: '/products/1' })
    await settled(1)
    expect(await endings()).toEqual({ 'failed(unavailable)': 1 })

    async function isOut(): Promise<boolean> {
      const sample = 'strangler_address_available{upstream="catalog",address="http://127.0.0.1:9"}'
      return (await gateway.metrics()).includes(`${sample} 0`)
    }
  })
})

describe('the cookies of a copy', () => {
  test('do not reach the client', async () => {
    const { gateway, legacy, settled } = await startShadowed({ ...ON, legacy: respondEqually, service: respondEqually })
    for (let i = 0; i < 5; i++) await sendRequest({ port: gateway.port, path: `/products/${i}` })
    await settled(5)
    expect(legacy.real()).toEqual([])
    expect(legacy.copies().length).toBeGreaterThanOrEqual(5)
  })
})

describe('an operator', () => {
  test('changes the sample at run time, and the change lasts', async () => {
    const { gateway, service, settled } = await startShadowed({ ...OFF, shadow: { sample: 0 } })
    await sendRequest({ port: gateway.port, path: '/products/1' })
    expect((await say(gateway, 'PUT', '/contexts/catalog/shadow', { percentage: 100 })).status).toBe(200)
    for (let i = 0; i < 3; i++) await sendRequest({ port: gateway.port, path: '/products/1' })
    await settled(3)
    expect(service.copies()).toHaveLength(3)
    expect((await say(gateway, 'PUT', '/contexts/catalog/shadow', { percentage: 0 })).status).toBe(200)
    await sendRequest({ port: gateway.port, path: '/products/1' })
    await settled(3)
  })

  test('rules that a difference is noise, from then on', async () => {
    const { gateway, settled, endings } = await startShadowed(OFF)
    await sendRequest({ port: gateway.port, path: '/products/1' })
    await settled(1)
    expect(await endings()).toEqual({ inconclusive: 1 })
    let rows: readonly { fingerprint: string; path: string }[] = []
    await until(async () => {
      rows = (await say(gateway, 'GET', '/contexts/catalog/differences')).body.differences ?? []
      return rows.length > 0
    })
    expect(rows.map(({ path }) => path)).toEqual(['$.side'])
    const path = `/differences/${rows[0]?.fingerprint}/ruling`
    expect((await say(gateway, 'PUT', path, { verdict: 'noise', reason: 'each says who it is' })).status).toBe(200)
    await sendRequest({ port: gateway.port, path: '/products/2' })
    await settled(2)
    expect(await endings()).toEqual({ inconclusive: 1, noise: 1 })
  })
})

type Answered = { readonly status: number; readonly body: { differences?: { fingerprint: string; path: string }[] } }

async function say(gateway: TestGateway, method: string, path: string, body?: object): Promise<Answered> {
  const token = (await readFile(join(gateway.folder, 'state', 'admin-token'), 'utf8')).trim()
  const answer = await fetch(`http://127.0.0.1:${gateway.adminPort}/api/v1${path}`, {
    method,
    headers: { Authorization: `Bearer ${token}`, 'Content-Type': 'application/json' },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  })
  return { status: answer.status, body: (await answer.json()) as Answered['body'] }
}
