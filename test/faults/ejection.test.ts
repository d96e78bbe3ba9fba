// A failing address is ejected for a time and returns by itself; some address always remains available.
import { describe, expect, it } from 'vitest'
import { adjustableClock, expectCalm } from '../kit/calm.ts'
import { startGateway, type TestGateway } from '../kit/gateway.ts'
import { sendRequest } from '../kit/load.ts'
import { startHttpOrigin, startNamedOrigin, startRawOrigin } from '../kit/origin.ts'
import { shop, TO_SERVICE } from '../kit/shop.ts'
import { until } from '../kit/until.ts'

/** An origin whose responses to requests and to `/healthz` can be changed. */
async function startPatient() {
  const state = { status: 200, health: 200 }
  let requestCount = 0
  const origin = await startHttpOrigin((request, response) => {
    if (request.url !== '/healthz') requestCount++
    response.statusCode = request.url === '/healthz' ? state.health : state.status
    response.end('service')
  })
  return { ...origin, state, asked: () => requestCount }
}

async function statuses(gateway: TestGateway, requests: number): Promise<number[]> {
  const list: number[] = []
  for (let i = 0; i < requests; i++) list.push((await sendRequest({ port: gateway.port, path: '/products' })).status)
  return list
}

function isAvailable(gateway: TestGateway, upstream: string, address: string): Promise<number> {
  return gateway.metric(`strangler_address_available{upstream="${upstream}",address="${address}"}`)
}

const EJECTION = { consecutiveFailures: 5, baseMs: 30_000, maxMs: 300_000, maxPercent: 50 }

describe('one of three addresses that answers every request with 500 (F5)', () => {
  it('is ejected after five errors, returns after its time, and is ejected for longer if it still fails', async () => {
    const clock = adjustableClock()
    const [sick, ...well] = [await startPatient(), await startPatient(), await startPatient()]
    const legacy = await startNamedOrigin('legacy')
    const urls = [sick.url, ...well.map(({ url }) => url)]
    const config = shop({ legacy: legacy.url, service: { urls }, with: { ejection: EJECTION } })
    const gateway = await startGateway(config, { ...TO_SERVICE, clock })
    sick.state.status = 500
    expect((await statuses(gateway, 60)).filter((status) => status === 500)).toHaveLength(5)
    expect(await isAvailable(gateway, 'catalog', sick.url)).toBe(0)
    expect((await statuses(gateway, 60)).filter((status) => status === 500)).toHaveLength(0)
    expect(await gateway.metric('strangler_ejections_total{upstream="catalog"}')).toBe(1)

    clock.advance(EJECTION.baseMs)
    expect((await statuses(gateway, 60)).filter((status) => status === 500)).toHaveLength(1)
    clock.advance(EJECTION.baseMs)
    expect((await statuses(gateway, 30)).filter((status) => status === 500)).toHaveLength(0)

    clock.advance(EJECTION.baseMs)
    sick.state.status = 200
    const requestCount = sick.asked()
    expect((await statuses(gateway, 30)).filter((status) => status !== 200)).toHaveLength(0)
    expect(sick.asked() - requestCount).toBe(10)
    expect(await isAvailable(gateway, 'catalog', sick.url)).toBe(1)
    expect(legacy.requests()).toBe(0)
    await expectCalm(gateway)
  })
})

describe('more failing addresses than may be ejected', () => {
  it('stay in use: of three with maxPercent 50 one is ejected, and the others share the load', async () => {
    const origins = [await startPatient(), await startPatient(), await startPatient()]
    for (const { state } of origins) state.status = 500
    const gateway = await startGateway({ legacy: { urls: origins.map(({ url }) => url) }, ejection: EJECTION })
    await statuses(gateway, 60)
    expect(await gateway.metric('strangler_ejections_total{upstream="legacy"}')).toBe(1)
    const { body } = await gateway.readyz()
    expect(body.upstreams).toEqual([{ name: 'legacy', available: 2, addresses: 3 }])
  })

  it('include the only address of the monolith, which is never ejected', async () => {
    const origin = await startRawOrigin((socket) => socket.resetAndDestroy())
    const gateway = await startGateway({ legacy: { url: origin.url }, ejection: EJECTION })
    await statuses(gateway, 20)
    expect(origin.requests()).toBeGreaterThanOrEqual(20)
    expect(await isAvailable(gateway, 'legacy', origin.url)).toBe(1)
  })
})

describe('the only address of a service', () => {
  it('that does not answer is ejected: legacy answers reads at once, and the service answers again after the ejection', async () => {
    const clock = adjustableClock()
    const legacy = await startNamedOrigin('legacy')
    let isDead = true
    const service = await startRawOrigin((socket) =>
      isDead ? void socket.resetAndDestroy() : void socket.write('HTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n'),
    )
    const config = shop({ legacy: legacy.url, service: service.url, with: { ejection: EJECTION } })
    const adminToken = 'explain-'.repeat(5)
    const gateway = await startGateway(config, { ...TO_SERVICE, clock, adminToken })
    const explained = async (method: string) => {
      const url = `http://127.0.0.1:${gateway.adminPort}/api/v1/explain?method=${method}&target=/products&host=localhost&address=127.0.0.1`
      const answer = await fetch(url, { headers: { authorization: `Bearer ${adminToken}` } })
      return (await answer.json()) as Record<string, unknown>
    }
    expect((await explained('POST')).serviceTrouble).toBeUndefined()
    expect(await statuses(gateway, 30)).toEqual(Array(30).fill(200))
    expect(service.requests()).toBeLessThanOrEqual(EJECTION.consecutiveFailures + 1)
    expect(await gateway.accessLine(({ reason }) => reason === 'service-unavailable')).toMatchObject({
      side: 'legacy',
      status: 200,
    })
    const write = await sendRequest({ port: gateway.port, path: '/products', method: 'POST', body: 'x' })
    expect(write).toMatchObject({ status: 503, headers: { 'retry-after': '1' } })
    expect(await gateway.accessLine(({ method }) => method === 'POST')).toMatchObject({ side: 'service' })
    expect(await explained('GET')).toMatchObject({ side: 'legacy', reason: 'service-unavailable' })
    expect((await explained('POST')).serviceTrouble).toMatch(/no address of "catalog" is available/)

    isDead = false
    clock.advance(EJECTION.baseMs)
    expect(await statuses(gateway, 5)).toEqual(Array(5).fill(201))
    await expectCalm(gateway)
  })

  it('that does not answer makes requests fail with 503 in a context without fallback', async () => {
    const legacy = await startNamedOrigin('legacy')
    const service = await startRawOrigin((socket) => socket.resetAndDestroy())
    const config = shop({ legacy: legacy.url, service: service.url, fallback: false, with: { ejection: EJECTION } })
    const gateway = await startGateway(config, TO_SERVICE)
    await statuses(gateway, 10)
    const answer = await sendRequest({ port: gateway.port, path: '/products' })
    expect(answer).toMatchObject({ status: 503, headers: { 'retry-after': '1' } })
    expect(await gateway.accessLine(({ failure }) => failure === 'unavailable')).toMatchObject({ reason: 'flag-on' })
    expect(legacy.requests()).toBe(0)
  })

  it('that answers 500 is not ejected, because no other address could answer', async () => {
    const legacy = await startNamedOrigin('legacy')
    const service = await startPatient()
    service.state.status = 500
    const config = shop({ legacy: legacy.url, service: service.url, with: { ejection: EJECTION } })
    const gateway = await startGateway(config, TO_SERVICE)
    expect(await statuses(gateway, 20)).toEqual(Array(20).fill(500))
    expect(legacy.requests()).toBe(0)
  })
})

describe('active health checks', () => {
  const HEALTH = { path: '/healthz', intervalMs: 50, healthyAfter: 2, unhealthyAfter: 3 }

  it('eject an address and return it without the cost of a client request', async () => {
    const [first, second] = [await startPatient(), await startPatient()]
    const gateway = await startGateway({ legacy: { urls: [first.url, second.url], health: HEALTH } })
    first.state.health = 503
    await until(async () => (await isAvailable(gateway, 'legacy', first.url)) === 0)
    const requestCount = first.asked()
    expect(await statuses(gateway, 20)).toEqual(Array(20).fill(200))
    expect(first.asked()).toBe(requestCount)
    first.state.health = 200
    await until(async () => (await isAvailable(gateway, 'legacy', first.url)) === 1)
    await statuses(gateway, 10)
    expect(first.asked()).toBeGreaterThan(requestCount)
    await expectCalm(gateway)
  })

  it('that fail on the only address of a service eject it', async () => {
    const [legacy, service] = [await startNamedOrigin('legacy'), await startPatient()]
    const config = shop({ legacy: legacy.url, service: { url: service.url, health: HEALTH } })
    const gateway = await startGateway(config, TO_SERVICE)
    service.state.health = 500
    await until(async () => (await isAvailable(gateway, 'catalog', service.url)) === 0)
    expect((await sendRequest({ port: gateway.port, path: '/products' })).headers['x-side']).toBe('legacy')
    expect(await gateway.accessLine(({ reason }) => reason === 'service-unavailable')).toBeDefined()
    service.state.health = 200
    await until(async () => (await isAvailable(gateway, 'catalog', service.url)) === 1)
    expect((await sendRequest({ port: gateway.port, path: '/products' })).body).toBe('service')
  })

  it('that pass end an ejection before its time', async () => {
    const [first, second] = [await startPatient(), await startPatient()]
    const gateway = await startGateway({
      legacy: { urls: [first.url, second.url], health: HEALTH },
      ejection: { ...EJECTION, consecutiveFailures: 2 },
    })
    first.state.status = 500
    first.state.health = 500
    await statuses(gateway, 10)
    await until(async () => (await isAvailable(gateway, 'legacy', first.url)) === 0)
    await until(() => first.requests() - first.asked() > 6)
    first.state.status = 200
    first.state.health = 200
    await until(async () => (await isAvailable(gateway, 'legacy', first.url)) === 1)
  })
  it('that pass end an ejection although no check failed during the outage', async () => {
    let isDead = false
    let checks = 0
    const service = await startRawOrigin((socket, seen) => {
      const isCheck = seen.toString('latin1').startsWith('GET /healthz')
      if (isCheck) checks++
      if (isDead && !isCheck) socket.resetAndDestroy()
      else socket.write('HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n')
    })
    const legacy = await startNamedOrigin('legacy')
    const config = shop({
      legacy: legacy.url,
      service: { url: service.url, health: { ...HEALTH, intervalMs: 1000 } },
      with: { ejection: { ...EJECTION, consecutiveFailures: 2 } },
    })
    const gateway = await startGateway(config, TO_SERVICE)
    await until(() => checks === 1)
    isDead = true
    await statuses(gateway, 2)
    expect(await isAvailable(gateway, 'catalog', service.url)).toBe(0)
    isDead = false
    await until(async () => (await isAvailable(gateway, 'catalog', service.url)) === 1)
    expect(await gateway.metric('strangler_ejections_total{upstream="catalog"}')).toBe(1)
  })
})
