// Copies of real requests, between real origins: where they go, what they carry, and what is found.
import { createHash } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, test, vi } from 'vitest'
import type { TestGateway } from '../kit/gateway.ts'
import { sendRequest } from '../kit/load.ts'
import { respondEqually, startShadowed } from '../kit/shadowed.ts'
import { until } from '../kit/until.ts'

// The comparing thread has less priority than all else: on a busy machine it begins when it can.
vi.setConfig({ testTimeout: 60_000 })

const OFF = { percentages: { 'migrate-catalog': 0 } }
const ON = { percentages: { 'migrate-catalog': 100 } }

describe('where the copy goes', () => {
  test('to the service while legacy answers, and to legacy when the service does', async () => {
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

  test('by the path that the side knows: rewritten for the service, as it was asked for legacy', async () => {
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

  test('nowhere before the client has its answer', async () => {
    let answer = () => {}
    const { gateway, legacy, service, settled } = await startShadowed({
      ...OFF,
      legacy: (_, response) => {
        response.writeHead(200, { 'Content-Type': 'text/plain' }).write('begun')
        answer = () => void response.end('done')
      },
    })
    const asked = sendRequest({ port: gateway.port, path: '/products/1' })
    await until(() => legacy.seen.length === 1)
    // As long as a copy takes that is sent at once.
    await new Promise((resolve) => setTimeout(resolve, 500))
    expect(service.seen).toEqual([])
    answer()
    expect((await asked).body).toBe('begundone')
    await settled(1)
    expect(service.seen).toHaveLength(1)
  })

  test('nowhere: what no context owns, and what is not sampled', async () => {
    const { gateway, service } = await startShadowed({ ...OFF, shadow: { sample: 0 } })
    await sendRequest({ port: gateway.port, path: '/products/1' })
    await sendRequest({ port: gateway.port, path: '/elsewhere' })
    expect(await gateway.metrics()).not.toContain('strangler_shadow_eligible_total{')
    expect(service.seen).toEqual([])
  })

  test('nowhere while the kill switch is on', async () => {
    const { gateway, service, settled } = await startShadowed(OFF)
    await sendRequest({ port: gateway.port, path: '/products/1' })
    await settled(1)
    gateway.killHere()
    for (let i = 0; i < 5; i++) await sendRequest({ port: gateway.port, path: '/products/1' })
    await settled(1)
    expect(service.seen).toHaveLength(1)
  })
})

describe('what the copy carries', () => {
  const credentials = {
    cookie: 'sid=abc',
    authorization: 'Bearer token',
    'idempotency-key': 'k-1',
    'accept-language': 'de',
  }
  const trace = '4bf92f3577b34da6a3ce929d0e0e4736'
  const traceparent = `00-${trace}-00f067aa0ba902b7-01`

  test('what the request carried, its mark, and a span of its own', async () => {
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

  test('not who asks, where the config says so', async () => {
    const { gateway, service, settled } = await startShadowed({ ...OFF, shadow: { identities: 'strip' } })
    await sendRequest({ port: gateway.port, path: '/products/1', headers: credentials })
    await settled(1)
    const [copy] = service.copies()
    expect(copy?.headers).toMatchObject({ 'idempotency-key': 'k-1', 'accept-language': 'de' })
    expect(copy?.headers).not.toHaveProperty('cookie')
    expect(copy?.headers).not.toHaveProperty('authorization')
  })

  test('no client can say that it is one, and what says so is not copied again', async () => {
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

describe('what the client sees of it', () => {
  test('nothing: its answer is the chosen side’s, byte for byte, whatever the other one says', async () => {
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

  test('large answers and small ones, whole', async () => {
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

describe('what is found', () => {
  test('that the sides agree', async () => {
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

  test('what is real, after legacy was asked twice often enough, and what is noise by itself', async () => {
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
    let asked = 0
    // What it is called at that moment: both are open at first, and known soon.
    while ((await ended('mismatched')) < 20 && asked < 1000) {
      await Promise.all(Array.from({ length: 10 }, () => sendRequest({ port: gateway.port, path: '/products/1' })))
      asked += 10
      await settled(asked)
    }
    expect(await ended('mismatched')).toBeGreaterThanOrEqual(20)
    expect(await ended('matched')).toBe(0)
    expect(asked).toBeLessThan(400)
  })
})

test('HEAD is compared, of pages that are too long to be', async () => {
  const long: import('node:http').RequestListener = (_, response) =>
    response.writeHead(200, { 'Content-Type': 'text/plain', 'Content-Length': 5_000_000 }).end()
  const { gateway, settled, endings } = await startShadowed({ ...OFF, legacy: long, service: long })
  expect((await sendRequest({ port: gateway.port, path: '/products/1', method: 'HEAD' })).status).toBe(200)
  await settled(1)
  expect(await endings()).toEqual({ matched: 1 })
})

describe('what cannot be compared', () => {
  test('a stream is no copy at all; the client reads it as ever', async () => {
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

  test('the client’s own request failed, or the client went', async () => {
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
    const asked = fetch(`http://127.0.0.1:${gateway.port}/products/slow`, { signal: leaving.signal })
    await asked.then(() => leaving.abort())
    await settled(2)
    expect(await endings()).toEqual({ 'failed(primary)': 1, 'failed(client-gone)': 1 })
    expect(service.seen).toEqual([])
  })

  test('the other side has no address that may be asked', async () => {
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

describe('what is kept', () => {
  test('the client is asked for nothing when the service answers and legacy is the copy', async () => {
    const { gateway, legacy, settled } = await startShadowed({ ...ON, legacy: respondEqually, service: respondEqually })
    for (let i = 0; i < 5; i++) await sendRequest({ port: gateway.port, path: `/products/${i}` })
    await settled(5)
    expect(legacy.real()).toEqual([])
    expect(legacy.copies().length).toBeGreaterThanOrEqual(5)
  })
})

describe('what an operator says', () => {
  test('how much is copied is said at run time, and holds on', async () => {
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

  test('that a difference is noise, and from then on it is', async () => {
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
