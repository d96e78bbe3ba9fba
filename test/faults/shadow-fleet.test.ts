// The counts of comparisons survive faults of gateways and of Redis, and do not delay a gateway.
import { readFile } from 'node:fs/promises'
import http from 'node:http'
import { join } from 'node:path'
import { describe, expect, test, vi } from 'vitest'
import { INSPECTED, readHeaps } from '../kit/heap.ts'
import { sendRequest } from '../kit/load.ts'
import { startHttpOrigin, startNamedOrigin, startRawOrigin } from '../kit/origin.ts'
import { type GatewayProcess, startGatewayProcess } from '../kit/process.ts'
import { startRedis } from '../kit/redis.ts'
import { eligibleIn, readEndings, respondEqually } from '../kit/shadowed.ts'
import { until } from '../kit/until.ts'

// The comparing thread has the lowest priority: on a busy machine it starts late.
vi.setConfig({ testTimeout: 120_000 })

function mapOf(legacyUrl: string, serviceUrl: string, more: object = {}) {
  return {
    legacy: { url: legacyUrl },
    services: { catalog: { url: serviceUrl } },
    shadowing: { lagMs: 60_000, cpuShare: 1, underWay: 1000 },
    drain: { noticeMs: 0, limitMs: 3000 },
    contexts: {
      catalog: {
        owner: 'team-catalog',
        service: 'catalog',
        flag: 'migrate-catalog',
        routes: ['/products/:id'],
        shadow: { sample: 1 },
      },
    },
    ...more,
  }
}

const OFF = { 'migrate-catalog': 0 }
const AGENT = new http.Agent({ keepAlive: true })

async function askMany({ port }: GatewayProcess, count: number): Promise<void> {
  for (let i = 0; i < count; i += 10) {
    const batch = Array.from({ length: Math.min(10, count - i) }, (_, j) =>
      sendRequest({ port, path: `/products/${i + j}` }),
    )
    for (const { status } of await Promise.all(batch)) expect(status).toBe(200)
  }
}

async function metricsOf({ adminPort }: GatewayProcess): Promise<string> {
  return (await fetch(`http://127.0.0.1:${adminPort}/metrics`)).text()
}

type Parity = { readonly contexts: readonly { readonly context: string; readonly [more: string]: unknown }[] }

async function parityOf({ folder, adminPort }: GatewayProcess): Promise<string> {
  const token = (await readFile(join(folder, 'state', 'admin-token'), 'utf8')).trim()
  const headers = { authorization: `Bearer ${token}` }
  const answer = await fetch(`http://127.0.0.1:${adminPort}/api/v1/parity`, { headers })
  return JSON.stringify((await answer.json()) as Parity)
}

/** The first accounting that is reported for the context. */
function numberIn(parity: string, name: string): number {
  return Number(new RegExp(`"${name}":(\\d+)`).exec(parity)?.[1] ?? Number.NaN)
}

describe('two gateways that share one Redis', () => {
  test('count each request once in total, even after one gateway is gone', async () => {
    const redis = await startRedis()
    const [legacy, service] = await Promise.all([startHttpOrigin(respondEqually), startHttpOrigin(respondEqually)])
    const start = () =>
      startGatewayProcess(mapOf(legacy.url, service.url), { percentages: OFF, env: { REDIS_URL: redis.url } })
    const [first, second] = await Promise.all([start(), start()])
    await Promise.all([askMany(first, 150), askMany(second, 250)])
    await until(async () => {
      const parity = await parityOf(first)
      return numberIn(parity, 'eligible') === 400 && numberIn(parity, 'matched') === 400
    }, 60_000)
    expect(numberIn(await parityOf(second), 'eligible')).toBe(400)
    second.signal('SIGTERM')
    expect((await second.exited).code).toBe(0)
    await askMany(first, 50)
    await until(async () => numberIn(await parityOf(first), 'matched') === 450, 60_000)
    // Gateways report their counts repeatedly: the sum does not change.
    await new Promise((resolve) => setTimeout(resolve, 2500))
    expect(numberIn(await parityOf(first), 'eligible')).toBe(450)
    // A restarted gateway adds nothing to the earlier counts.
    const third = await start()
    await askMany(third, 10)
    await until(async () => numberIn(await parityOf(third), 'eligible') === 460, 60_000)
  })

  test('go on counting while Redis is away, and report the counts afterwards', async () => {
    const redis = await startRedis()
    const [legacy, service] = await Promise.all([startHttpOrigin(respondEqually), startHttpOrigin(respondEqually)])
    const gateway = await startGatewayProcess(mapOf(legacy.url, service.url), {
      percentages: OFF,
      env: { REDIS_URL: redis.url },
    })
    await askMany(gateway, 20)
    await until(async () => numberIn(await parityOf(gateway), 'matched') === 20, 60_000)
    redis.freeze()
    await askMany(gateway, 30)
    await until(async () => readEndings(await metricsOf(gateway)).matched === 50, 60_000)
    redis.thaw()
    await until(async () => numberIn(await parityOf(gateway), 'matched') === 50, 60_000)
  })
})

describe('a gateway that stops', () => {
  test('while copies are in progress stops in time and counts each copy as shed', async () => {
    const redis = await startRedis()
    const legacy = await startHttpOrigin(respondEqually)
    const hangs = await startRawOrigin(() => {})
    const start = () =>
      startGatewayProcess(mapOf(legacy.url, hangs.url), { percentages: OFF, env: { REDIS_URL: redis.url } })
    const [first, second] = await Promise.all([start(), start()])
    await askMany(first, 40)
    const from = performance.now()
    first.signal('SIGTERM')
    expect(await first.exited).toEqual({ code: 0, signal: null })
    expect(performance.now() - from).toBeLessThan(6000)
    const parity = await parityOf(second)
    expect([numberIn(parity, 'eligible'), numberIn(parity, 'shed')]).toEqual([40, 40])
  })

  test('while Redis does not answer stops in time', async () => {
    const redis = await startRedis()
    const [legacy, service] = await Promise.all([startHttpOrigin(respondEqually), startHttpOrigin(respondEqually)])
    const gateway = await startGatewayProcess(mapOf(legacy.url, service.url), {
      percentages: OFF,
      env: { REDIS_URL: redis.url },
    })
    await askMany(gateway, 10)
    redis.freeze()
    // Longer than one attempt: attempts that would wait for each other have accumulated by now.
    const frozenUntil = performance.now() + 12_000
    while (performance.now() < frozenUntil) {
      await askMany(gateway, 10)
      await new Promise((resolve) => setTimeout(resolve, 300))
    }
    const from = performance.now()
    gateway.signal('SIGTERM')
    await gateway.exited
    expect(performance.now() - from).toBeLessThan(8000)
  })
})

test('fifty thousand different URLs take no more memory at the end than in between', async () => {
  const MEBIBYTE = 1024 * 1024
  const [legacy, service] = await Promise.all([startNamedOrigin('legacy'), startNamedOrigin('service')])
  const gateway = await startGatewayProcess(mapOf(legacy.url, service.url), { percentages: OFF, node: INSPECTED })
  let requestCount = 0
  const clients = async (to: number) => {
    const client = async () => {
      while (requestCount < to) {
        const { status } = await sendRequest({
          port: gateway.port,
          path: `/products/item-${requestCount}?q=${requestCount++}`,
          agent: AGENT,
        })
        expect(status).toBe(200)
      }
    }
    await Promise.all(Array.from({ length: 16 }, client))
    await until(async () => {
      const text = await metricsOf(gateway)
      return eligibleIn(text) === to && Object.values(readEndings(text)).reduce((sum, count) => sum + count, 0) === to
    }, 30_000)
  }
  await clients(25_000)
  const between = await readHeaps(gateway)
  const memory = await gateway.memory()
  await clients(50_000)
  const heaps = await readHeaps(gateway)
  // Heaps of the gateway and of its comparing thread: 40 bytes for each URL would exceed the limit.
  expect(heaps).toHaveLength(2)
  for (const [thread, bytes] of heaps.entries()) expect(bytes - (between[thread] ?? 0)).toBeLessThan(1_000_000)
  // Memory outside the heaps, after both have collected their garbage.
  expect(((await gateway.memory()) - memory) / MEBIBYTE).toBeLessThan(48)
  const lines = (await metricsOf(gateway)).split('\n').filter((line) => line.includes('strangler_shadow'))
  expect(lines.length).toBeLessThan(200)
})
