// More load than the upstream can serve: the excess is refused at once, and accepted requests are served as usual.
import { spawn } from 'node:child_process'
import { describe, expect, it, onTestFinished } from 'vitest'
import { expectCalm } from '../kit/calm.ts'
import { startGateway } from '../kit/gateway.ts'
import { type Answer, quantile, sendRequest, startLoad } from '../kit/load.ts'
import { startHttpOrigin, startNamedOrigin, untilRequests } from '../kit/origin.ts'
import { startGatewayProcess } from '../kit/process.ts'
import { shop, TO_SERVICE } from '../kit/shop.ts'
import { until } from '../kit/until.ts'

const p99 = (answers: readonly Answer[]) =>
  quantile(
    answers.map(({ tookMs }) => tookMs),
    0.99,
  )

/** A service in its own process that can be frozen and killed; it prints its port and each request. */
async function startServiceProcess() {
  const script = `
    require('http').createServer((request, response) => {
      request.resume().on('end', () => {
        if (request.headers['x-id']) console.log('id ' + request.headers['x-id'])
        setTimeout(() => response.end('service'), Number(request.headers['x-delay'] ?? 0))
      })
    }).listen(0, '127.0.0.1', function () { console.log('port ' + this.address().port) })`
  const child = spawn(process.execPath, ['-e', script], { stdio: ['ignore', 'pipe', 'inherit'] })
  onTestFinished(() => void child.kill('SIGKILL'))
  let output = ''
  child.stdout.on('data', (chunk) => {
    output += chunk
  })
  await until(() => output.includes('port '))
  return {
    url: `http://127.0.0.1:${/port (\d+)/.exec(output)?.[1]}`,
    ids: () => output.match(/(?<=^id ).+$/gm) ?? [],
    signal: (signal: NodeJS.Signals) => void child.kill(signal),
  }
}

describe('a service that hangs (F7)', () => {
  it('holds as many requests as its pool and queue; the rest is refused in milliseconds, and other routes are not delayed', async () => {
    const [legacy, service] = [await startNamedOrigin('legacy'), await startServiceProcess()]
    const timeouts = { headersMs: 1000, queueMs: 5000 }
    const gateway = await startGatewayProcess(
      shop({
        legacy: legacy.url,
        service: { url: service.url, connections: 8, queue: 8, timeouts },
        fallback: false,
        with: { drain: { noticeMs: 0, limitMs: 1000 } },
      }),
      TO_SERVICE,
    )
    const sample = (state: string) =>
      gateway.metric(`strangler_connections{upstream="catalog",address="${service.url}",state="${state}"}`)
    let [quietMs, hungMs] = [0, Number.POSITIVE_INFINITY]
    // Other programs on this machine may delay a single run. A request that shares a resource with held ones waits in each run.
    for (let round = 0; round < 3 && hungMs >= Math.max(100, 2 * quietMs); round++) {
      const loadBefore = startLoad(4, () => ({ port: gateway.port, path: '/other' }))
      await until(() => loadBefore.answers.length >= 400)
      quietMs = p99((await loadBefore.stop()).answers)

      service.signal('SIGSTOP')
      const during = startLoad(4, () => ({ port: gateway.port, path: '/other' }))
      const held = Array.from({ length: 16 }, () => sendRequest({ port: gateway.port, path: '/products' }))
      await until(async () => (await sample('in_use')) === 8 && (await sample('waiting')) === 8)
      const refused: Answer[] = []
      for (let i = 0; i < 50; i++) refused.push(await sendRequest({ port: gateway.port, path: '/products' }))
      for (const answer of refused) expect(answer).toMatchObject({ status: 503, headers: { 'retry-after': '1' } })
      expect(
        quantile(
          refused.map(({ tookMs }) => tookMs),
          0.5,
        ),
      ).toBeLessThan(10)

      const [first] = await Promise.all(held.slice(0, 8))
      expect(first?.status).toBe(504)
      expect(first?.tookMs).toBeGreaterThan(950)
      expect(first?.tookMs).toBeLessThan(1250)
      const { failed, answers } = await during.stop()
      expect(failed).toEqual([])
      hungMs = p99(answers)

      service.signal('SIGCONT')
      await Promise.all(held)
      await until(async () => (await sendRequest({ port: gateway.port, path: '/products' })).body === 'service')
    }
    expect(hungMs).toBeLessThan(Math.max(100, 2 * quietMs))
    await expectCalm(gateway)
    expect(await sample('waiting')).toBe(0)
  })
})

describe('a service that is killed at 25 % (F3)', () => {
  it('costs no GET; POSTs in progress fail, later ones get 503 until the service is back, and none arrives twice', async () => {
    const service = await startServiceProcess()
    const atLegacy: string[] = []
    const legacy = await startHttpOrigin((request, response) => {
      request.resume().on('end', () => {
        if (request.headers['x-id'] !== undefined) atLegacy.push(String(request.headers['x-id']))
        response.end('legacy')
      })
    })
    const gateway = await startGateway(shop({ legacy: legacy.url, service: service.url }), {
      percentages: { 'migrate-catalog': 25 },
    })
    const person = (number: number) => ({ cookie: `sid=${number % 200}` })
    const gets = startLoad(8, (number) => ({ port: gateway.port, path: '/products', headers: person(number) }))
    const posts = startLoad(8, (number) => ({
      port: gateway.port,
      path: '/products',
      method: 'POST',
      body: 'order',
      headers: { ...person(number), 'x-id': String(number), 'x-delay': '10' },
    }))
    await until(() => gets.answers.length > 300 && posts.answers.length > 100)
    expect(gets.answers.some(({ body }) => body === 'service')).toBe(true)
    service.signal('SIGKILL')
    const soFar = gets.answers.length
    await until(() => gets.answers.length > soFar + 300)
    const [got, posted] = [await gets.stop(), await posts.stop()]
    expect(got.failed).toEqual([])
    const underWay = posted.failed.filter(({ status }) => status === 502)
    expect(underWay.length).toBeLessThanOrEqual(8)
    // A write does not fall back; the client may send it again.
    const later = posted.failed.filter((answer) => !underWay.includes(answer))
    expect(later.length).toBeGreaterThan(0)
    for (const answer of later)
      expect(answer).toMatchObject({ status: 503, headers: { 'retry-after': expect.anything() } })
    const seen = [...service.ids(), ...atLegacy]
    expect(new Set(seen).size).toBe(seen.length)
    expect(await gateway.accessLine(({ reason }) => reason === 'service-unavailable')).toBeDefined()
    await expectCalm(gateway)
  })
})

describe('four times the load that the upstream can serve (F8)', () => {
  it('is served at no less than 80 % of the peak, and normal load recovers at once afterwards', async () => {
    const origin = await startHttpOrigin((_request, response) => void setTimeout(() => response.end('ok'), 20))
    const gateway = await startGatewayProcess({
      legacy: { url: origin.url, connections: 8, queue: 8, timeouts: { queueMs: 500 } },
      drain: { noticeMs: 0, limitMs: 1000 },
    })
    const served = (answers: readonly Answer[]) => answers.filter(({ status }) => status === 200)
    const during = async (clients: number) => {
      const load = startLoad(clients, () => ({ port: gateway.port }), 0)
      const startedAt = performance.now()
      await until(() => performance.now() - startedAt > 2500)
      const { answers } = await load.stop()
      return { answers, perSecond: served(answers).length / ((performance.now() - startedAt) / 1000) }
    }
    const peak = await during(8)
    expect(served(peak.answers)).toHaveLength(peak.answers.length)
    const memory = await gateway.memory()
    const over = await during(32)
    for (const { status, error } of over.answers) {
      expect([200, 503]).toContain(status)
      expect(error).toBeUndefined()
    }
    expect(over.answers.length).toBeGreaterThan(served(over.answers).length)
    expect(over.perSecond).toBeGreaterThan(0.8 * peak.perSecond)
    expect(p99(served(over.answers))).toBeLessThan(500)
    expect(await gateway.memory()).toBeLessThan(memory + 64 * 1_048_576)
    const loadAfter = startLoad(8, () => ({ port: gateway.port }), 0)
    await until(() => loadAfter.answers.length > 100)
    expect((await loadAfter.stop()).failed).toEqual([])
    await expectCalm(gateway)
  })
})

describe('a queue of length 0', () => {
  it('refuses a request at once if no connection is free', async () => {
    const origin = await startHttpOrigin(() => {})
    const gateway = await startGateway({
      legacy: { url: origin.url, connections: 1, queue: 0, timeouts: { headersMs: 300 } },
    })
    const held = sendRequest({ port: gateway.port })
    await untilRequests(origin, 1)
    expect(await sendRequest({ port: gateway.port })).toMatchObject({ status: 503 })
    expect((await held).status).toBe(504)
    await expectCalm(gateway)
  })
})
