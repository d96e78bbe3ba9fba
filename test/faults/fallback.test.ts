// Legacy answers instead of the service if that cannot double a write, and log and metrics report it.
import { describe, expect, it } from 'vitest'
import { expectCalm } from '../kit/calm.ts'
import { startGateway } from '../kit/gateway.ts'
import { sendRequest } from '../kit/load.ts'
import { type HttpOrigin, startHttpOrigin, startRawOrigin } from '../kit/origin.ts'
import { shop, TO_SERVICE } from '../kit/shop.ts'

type EchoOrigin = HttpOrigin & { readonly bodies: string[] }

async function startEchoOrigin(): Promise<EchoOrigin> {
  const bodies: string[] = []
  const origin = await startHttpOrigin((request, response) => {
    let body = ''
    request.on('data', (chunk) => {
      body += chunk
    })
    request.on('end', () => {
      bodies.push(body)
      response.end('legacy')
    })
  })
  return { ...origin, bodies }
}

const REFUSED = 'http://127.0.0.1:1'
const startLosing = () => startRawOrigin((socket) => socket.resetAndDestroy())
const startSilent = () => startRawOrigin(() => {})

async function startShop(service: string, fallback: 'reads' | 'all' | false = 'reads') {
  const legacy = await startEchoOrigin()
  const config = shop({ legacy: legacy.url, service: { url: service, timeouts: { headersMs: 200 } }, fallback })
  const gateway = await startGateway(config, TO_SERVICE)
  return { legacy, gateway, port: gateway.port }
}

describe('a service that cannot be reached', () => {
  it('makes the gateway answer a write with 503 and Retry-After, and legacy never receives it', async () => {
    const { legacy, gateway, port } = await startShop(REFUSED)
    for (const method of ['POST', 'PUT', 'PATCH', 'DELETE']) {
      const answer = await sendRequest({
        port,
        path: '/products',
        method,
        ...(method === 'DELETE' ? {} : { body: 'x' }),
      })
      expect(answer).toMatchObject({ status: 503, headers: { 'retry-after': '1' } })
    }
    expect(await sendRequest({ port, path: '/products' })).toMatchObject({ status: 200, body: 'legacy' })
    expect(legacy.bodies).toEqual([''])
    expect(await gateway.accessLine(({ method }) => method === 'POST')).toMatchObject({
      status: 503,
      side: 'service',
      reason: 'flag-on',
      failure: 'unavailable',
    })
    await expectCalm(gateway)
  })

  it('makes the gateway answer a write with 503 after a connect timeout', async () => {
    const legacy = await startEchoOrigin()
    const { port: tlsPort } = await startSilent()
    const service = { url: `https://127.0.0.1:${tlsPort}`, timeouts: { connectMs: 300 } }
    const { port } = await startGateway(shop({ legacy: legacy.url, service }), TO_SERVICE)
    const answer = await sendRequest({ port, path: '/products', method: 'POST', body: 'x' })
    expect(answer).toMatchObject({ status: 503, headers: { 'retry-after': '1' } })
    expect(legacy.requests()).toBe(0)
  })

  it('leaves every request to legacy with fallback "all", a POST with its complete body', async () => {
    const { legacy, gateway, port } = await startShop(REFUSED, 'all')
    expect(await sendRequest({ port, path: '/products' })).toMatchObject({ status: 200, body: 'legacy' })
    const body = 'x'.repeat(300_000)
    expect(await sendRequest({ port, path: '/products', method: 'POST', body })).toMatchObject({
      status: 200,
      body: 'legacy',
    })
    expect(legacy.bodies).toEqual(['', body])
    expect(await gateway.metric('strangler_fallbacks_total{context="catalog",failure="connect-refused"}')).toBe(2)
    const labels = 'context="catalog",side="legacy",reason="fell-back",method="POST",status_class="2xx"'
    expect(await gateway.metric(`strangler_requests_total{${labels}}`)).toBe(1)
    const line = await gateway.accessLine(({ method }) => method === 'POST')
    expect(line).toMatchObject({
      status: 200,
      side: 'legacy',
      reason: 'fell-back',
      upstream: 'legacy',
      fellBack: 'connect-refused',
      attempts: 2,
    })
    await expectCalm(gateway)
  })

  it('is reported to the client in a context without fallback', async () => {
    const { legacy, gateway, port } = await startShop(REFUSED, false)
    expect((await sendRequest({ port, path: '/products' })).status).toBe(502)
    expect((await sendRequest({ port, path: '/products', method: 'POST', body: 'x' })).status).toBe(503)
    expect(legacy.requests()).toBe(0)
    const samples = (await gateway.metrics())
      .split('\n')
      .filter((line) => line.startsWith('strangler_fallbacks_total{'))
    expect(samples).toEqual([])
    await expectCalm(gateway)
  })
})

describe('a service that loses the connection after the request was sent', () => {
  it.each(['GET', 'HEAD', 'OPTIONS'])('leaves a %s to legacy after one retry', async (method) => {
    const service = await startLosing()
    const { legacy, gateway, port } = await startShop(service.url)
    expect((await sendRequest({ port, path: '/products', method })).status).toBe(200)
    expect(service.requests()).toBe(2)
    expect(legacy.requests()).toBe(1)
    expect(await gateway.accessLine(({ status }) => status === 200)).toMatchObject({ fellBack: 'connection-lost' })
    expect(await gateway.metric('strangler_fallbacks_total{context="catalog",failure="connection-lost"}')).toBe(1)
    await expectCalm(gateway)
  })

  it.each(['POST', 'PUT', 'PATCH', 'DELETE'])(
    'does not lead a %s to legacy, because the service may have acted on it',
    async (method) => {
      const service = await startLosing()
      const { legacy, gateway, port } = await startShop(service.url)
      const body = method === 'DELETE' ? {} : { body: 'x' }
      expect((await sendRequest({ port, path: '/products', method, ...body })).status).toBe(502)
      expect(legacy.requests()).toBe(0)
      await expectCalm(gateway)
    },
  )

  it('does not lead a PUT without a body to legacy either', async () => {
    const service = await startLosing()
    const { legacy, port } = await startShop(service.url)
    expect((await sendRequest({ port, path: '/products', method: 'PUT' })).status).toBe(502)
    expect(legacy.requests()).toBe(0)
  })
})

describe('a service that does not answer in time', () => {
  it('leaves a GET to legacy without a retry', async () => {
    const service = await startSilent()
    const { legacy, gateway, port } = await startShop(service.url)
    expect(await sendRequest({ port, path: '/products' })).toMatchObject({ status: 200, body: 'legacy' })
    expect(service.requests()).toBe(1)
    expect(legacy.requests()).toBe(1)
    expect(await gateway.accessLine(({ status }) => status === 200)).toMatchObject({ fellBack: 'response-timeout' })
    await expectCalm(gateway)
  })

  it('does not lead a POST to legacy', async () => {
    const service = await startSilent()
    const { legacy, gateway, port } = await startShop(service.url)
    expect((await sendRequest({ port, path: '/products', method: 'POST', body: 'x' })).status).toBe(504)
    expect(service.requests()).toBe(1)
    expect(legacy.requests()).toBe(0)
    await expectCalm(gateway)
  })
})

describe('a service that answers', () => {
  it('keeps its response, even a 500: legacy is not tried', async () => {
    const service = await startHttpOrigin((_request, response) => void response.writeHead(500).end('service'))
    const { legacy, port } = await startShop(service.url)
    expect(await sendRequest({ port, path: '/products' })).toMatchObject({ status: 500, body: 'service' })
    expect(legacy.requests()).toBe(0)
  })

  it('is not replaced by legacy after its response has begun', async () => {
    const service = await startRawOrigin((socket) => {
      socket.write('HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nbegun', () => socket.resetAndDestroy())
    })
    const { legacy, gateway, port } = await startShop(service.url)
    const answer = await sendRequest({ port, path: '/products' })
    expect(answer.error).toBeDefined()
    expect(legacy.requests()).toBe(0)
    expect(service.requests()).toBe(1)
    await expectCalm(gateway)
  })
})
