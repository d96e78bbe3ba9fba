import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { createTelemetry, type Telemetry } from './create-telemetry.ts'
import { quietReadings, refusalFacts, requestFacts } from './facts.test-kit.ts'

let folder: string
let path: string
let telemetry: Telemetry

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'telemetry-'))
  path = join(folder, 'access.log')
  telemetry = createTelemetry({
    accessLog: path,
    logLevel: 'silent',
    clock: { now: () => performance.now(), wallTime: () => 1_753_000_000_000 },
    readings: () => quietReadings,
  })
})
afterEach(async () => {
  await telemetry.close()
  rmSync(folder, { recursive: true })
})

async function lines(): Promise<Record<string, unknown>[]> {
  await telemetry.close()
  const text = readFileSync(path, 'utf8')
  return text
    .split('\n')
    .slice(0, -1)
    .map((line) => JSON.parse(line))
}

test('every request has one line and one count, also a refused one', async () => {
  telemetry.events.requestFinished(requestFacts())
  telemetry.events.requestRefused(refusalFacts({ method: 'GET', target: '/\r\n{"forged":1}?token=x' }))
  expect(await lines()).toMatchObject([
    { level: 'info', time: 1_753_000_000_000, status: 200 },
    { level: 'info', status: 400, failure: 'malformed', path: '/\r\n{"forged":1}?token=***' },
  ])
  const metrics = await telemetry.registry.metrics()
  expect(metrics).toMatch(/strangler_requests_total\{.*\} 1/)
  expect(metrics).toContain('strangler_refusals_total{failure="malformed"} 1')
})

test('a failure of the upstream or of the gateway is a warning, and a failure of the client is not', async () => {
  for (const failure of ['connect-refused', 'overloaded', 'client-gone'] as const)
    telemetry.events.requestFinished(requestFacts({ outcome: { failure } }))
  expect((await lines()).map(({ level }) => level)).toEqual(['warn', 'warn', 'info'])
})

test('a tunnel is counted when it opens, and logged with its bytes when it closes', async () => {
  const facts = requestFacts({ outcome: { status: 101 } })
  telemetry.events.upgradeOpened(facts)
  telemetry.events.upgradeClosed({ ...facts, bytesIn: 10, bytesOut: 20 })
  expect(await lines()).toMatchObject([{ status: 101, requestBytes: 10, responseBytes: 20 }])
  expect(await telemetry.registry.metrics()).toContain('strangler_upgrades_total 1')
})
