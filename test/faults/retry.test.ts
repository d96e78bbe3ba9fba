// A request is sent a second time only if that is safe, and the retry budget keeps retries from adding load.
import http from 'node:http'
import { describe, expect, it, onTestFinished } from 'vitest'
import { expectCalm } from '../kit/calm.ts'
import { startGateway } from '../kit/gateway.ts'
import { sendRequest } from '../kit/load.ts'
import { OK, startHttpOrigin, startNamedOrigin, startRawOrigin } from '../kit/origin.ts'
import { connectRaw } from '../kit/raw.ts'
import { until } from '../kit/until.ts'

function keptAgent(): http.Agent {
  const agent = new http.Agent({ keepAlive: true, maxSockets: 1 })
  onTestFinished(() => agent.destroy())
  return agent
}

/** Answers the first request of each connection and resets on the second, as a stale connection does. */
function startStaleOrigin() {
  const served = new WeakSet<object>()
  return startRawOrigin((socket) => {
    if (served.has(socket)) {
      socket.resetAndDestroy()
    } else {
      served.add(socket)
      socket.write(OK)
    }
  })
}

function startResettingOrigin() {
  return startRawOrigin((socket) => socket.resetAndDestroy())
}

const NO_EJECTION = { consecutiveFailures: 1000 }

describe('a connection that the upstream closes while it is idle', () => {
  it('costs none of 1,000 consecutive GETs whose connection is closed 0 to 4 ms after the response', async () => {
    const origin = await startHttpOrigin((request, response) => {
      const { socket } = request
      response.on('finish', () => setTimeout(() => socket.destroy(), origin.requests() % 5))
      response.end('ok')
    })
    const gateway = await startGateway({ legacy: { url: origin.url } })
    const agent = keptAgent()
    const failed: unknown[] = []
    for (let i = 0; i < 1000; i++) {
      const answer = await sendRequest({ port: gateway.port, agent })
      if (answer.status !== 200 || answer.body !== 'ok') failed.push(answer)
    }
    expect(failed).toEqual([])
    await expectCalm(gateway)
  })

  it('leads to a retry on a fresh connection', async () => {
    const origin = await startStaleOrigin()
    const gateway = await startGateway({ legacy: { url: origin.url } })
    for (let i = 0; i < 6; i++)
      expect(await sendRequest({ port: gateway.port })).toMatchObject({ status: 200, body: 'ok' })
    expect(origin.connections.length).toBe(6)
    expect(await gateway.metric('strangler_retries_total{context="unowned",side="legacy"}')).toBe(5)
    await expectCalm(gateway)
  })

  it('never makes a POST arrive twice', async () => {
    const seen = new Map<string, number>()
    const origin = await startHttpOrigin((request, response) => {
      const { socket } = request
      const id = String(request.headers['x-id'])
      seen.set(id, (seen.get(id) ?? 0) + 1)
      request.resume().on('end', () => {
        response.on('finish', () => setTimeout(() => socket.destroy(), origin.requests() % 5))
        response.end('ok')
      })
    })
    const gateway = await startGateway({ legacy: { url: origin.url } })
    const agent = keptAgent()
    for (let i = 0; i < 300; i++) {
      const headers = { 'x-id': String(i), ...(i % 2 === 0 ? { 'idempotency-key': `key-${i}` } : {}) }
      const { status } = await sendRequest({ port: gateway.port, agent, method: 'POST', headers, body: `body ${i}` })
      expect([200, 502]).toContain(status)
      if (status === 200) expect(seen.get(String(i))).toBe(1)
    }
    expect(Math.max(...seen.values())).toBe(1)
    await expectCalm(gateway)
  })
})

describe('a connection that is lost after the request was sent', () => {
  it.each([
    ['GET', undefined, 2],
    ['HEAD', undefined, 2],
    ['DELETE', undefined, 2],
    ['GET', 'a body', 1],
    ['PUT', 'a body', 1],
    ['POST', undefined, 1],
    ['POST', 'a body', 1],
    ['PATCH', 'a body', 1],
  ])('makes the gateway send %s with body %s %i times', async (method, body, times) => {
    const origin = await startResettingOrigin()
    const gateway = await startGateway({ legacy: { url: origin.url } })
    const withBody = body === undefined ? {} : { body, headers: { 'content-length': body.length } }
    const answer = await sendRequest({ port: gateway.port, method, ...withBody })
    expect(answer.status).toBe(502)
    expect(origin.requests()).toBe(times)
    expect(await gateway.accessLine(({ status }) => status === 502)).toMatchObject({
      failure: 'connection-lost',
      attempts: times,
    })
    await expectCalm(gateway)
  })

  it('makes the gateway send a PUT with Expect: 100-continue once', async () => {
    const origin = await startResettingOrigin()
    const gateway = await startGateway({ legacy: { url: origin.url } })
    const client = await connectRaw(gateway.port)
    client.send('PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n')
    expect(await client.receives('requestId')).toMatch(/^HTTP\/1\.1 502 /)
    expect(origin.requests()).toBe(1)
  })

  it('makes the gateway send a POST with an Idempotency-Key once, since the upstream may ignore the key', async () => {
    const origin = await startResettingOrigin()
    const gateway = await startGateway({ legacy: { url: origin.url } })
    const headers = { 'idempotency-key': 'k' }
    expect((await sendRequest({ port: gateway.port, method: 'POST', headers, body: 'x' })).status).toBe(502)
    expect(origin.requests()).toBe(1)
  })
})

describe('an upstream with two addresses', () => {
  it('gets the retry at the other address', async () => {
    const [good, bad] = [await startNamedOrigin('good'), await startResettingOrigin()]
    const gateway = await startGateway({ legacy: { urls: [bad.url, good.url] }, ejection: NO_EJECTION })
    for (let i = 0; i < 10; i++) expect((await sendRequest({ port: gateway.port })).status).toBe(200)
    expect(bad.requests()).toBeGreaterThanOrEqual(5)
    expect(good.requests()).toBe(10)
    await expectCalm(gateway)
  })

  it('gets a request whose connection was refused at the other address, even a POST with its complete body', async () => {
    const bodies: string[] = []
    const good = await startHttpOrigin((request, response) => {
      let body = ''
      request.on('data', (chunk) => {
        body += chunk
      })
      request.on('end', () => {
        bodies.push(body)
        response.end('ok')
      })
    })
    const gateway = await startGateway({
      legacy: { urls: ['http://127.0.0.1:1', good.url] },
      ejection: NO_EJECTION,
    })
    const body = 'x'.repeat(300_000)
    for (let i = 0; i < 4; i++)
      expect((await sendRequest({ port: gateway.port, method: 'POST', body })).status).toBe(200)
    expect(bodies).toEqual([body, body, body, body])
  })
})

describe('the retry budget', () => {
  it('limits the retries to a failing upstream to 20 percent of the requests and the saved credit', async () => {
    const origin = await startResettingOrigin()
    const gateway = await startGateway({
      legacy: { url: origin.url },
      retries: { budgetPercent: 20, minimumPerSecond: 0 },
    })
    const agent = keptAgent()
    for (let i = 0; i < 200; i++) expect((await sendRequest({ port: gateway.port, agent })).status).toBe(502)
    const retries = origin.requests() - 200
    expect(retries).toBeGreaterThanOrEqual(40)
    expect(retries).toBeLessThanOrEqual(40 + 10)
    expect(await gateway.metric('strangler_retries_total{context="unowned",side="legacy"}')).toBe(retries)
    await expectCalm(gateway)
  })

  it('of 0 percent allows no retry after the saved credit is spent', async () => {
    const origin = await startResettingOrigin()
    const gateway = await startGateway({
      legacy: { url: origin.url },
      retries: { budgetPercent: 0, minimumPerSecond: 0 },
    })
    for (let i = 0; i < 40; i++) await sendRequest({ port: gateway.port })
    expect(origin.requests()).toBe(40 + 10)
  })

  it('holds when half of all requests fail on every address (F6)', async () => {
    const flaky = () =>
      startRawOrigin((socket, _seen, number) =>
        number % 2 === 0 ? void socket.write(OK) : void socket.resetAndDestroy(),
      )
    const origins = [await flaky(), await flaky(), await flaky()]
    const gateway = await startGateway({
      legacy: { urls: origins.map(({ url }) => url) },
      retries: { budgetPercent: 20, minimumPerSecond: 0 },
      ejection: NO_EJECTION,
    })
    const agent = keptAgent()
    for (let i = 0; i < 300; i++) await sendRequest({ port: gateway.port, agent })
    const requestCount = origins.reduce((sum, origin) => sum + origin.requests(), 0)
    expect(requestCount).toBeLessThanOrEqual(300 * 1.2 + 10)
    await until(() => origins.every(({ connections }) => connections.filter(({ isClosed }) => !isClosed).length <= 2))
    await expectCalm(gateway)
  })
})
