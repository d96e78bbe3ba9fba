import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { quietReadings, requestFacts } from '../facts.test-kit.ts'
import { parseExposition, type Series } from './exposition.test-kit.ts'
import { Metrics } from './metrics.ts'
import type { Readings } from './readings.ts'

let readings: Readings
let metrics: Metrics
let lost: number

beforeEach(() => {
  readings = quietReadings
  lost = 0
  metrics = new Metrics({ readings: () => readings, linesLost: () => lost })
})
afterEach(() => void metrics.close())

async function scrape(): Promise<Series[]> {
  return parseExposition(await metrics.registry.metrics())
}

async function value(name: string, labels: Record<string, string> = {}): Promise<number | undefined> {
  const matches = (await scrape()).filter(
    (series) => series.name === name && Object.entries(labels).every(([key, value]) => series.labels[key] === value),
  )
  return matches.length === 0 ? undefined : matches.reduce((sum, series) => sum + series.value, 0)
}

test('a request is counted by its decision and by the status that the client received', async () => {
  metrics.requestFinished(requestFacts())
  metrics.requestFinished(requestFacts({ outcome: { status: 404 } }))
  metrics.requestFinished(requestFacts({ context: null, decision: { side: 'legacy', reason: 'unowned' } }))
  const labels = { context: 'catalog', side: 'service', reason: 'flag-on', method: 'GET' }
  expect(await value('strangler_requests_total', { ...labels, status_class: '2xx' })).toBe(1)
  expect(await value('strangler_requests_total', { ...labels, status_class: '4xx' })).toBe(1)
  expect(await value('strangler_requests_total', { context: 'unowned', side: 'legacy', reason: 'unowned' })).toBe(1)
})

test('durations are in seconds, and the time of the gateway is separate', async () => {
  metrics.requestFinished(requestFacts())
  const labels = { context: 'catalog', side: 'service' }
  expect(await value('strangler_request_duration_seconds_sum', labels)).toBeCloseTo(0.0031, 9)
  expect(await value('strangler_upstream_duration_seconds_sum', labels)).toBeCloseTo(0.002, 9)
  expect(await value('strangler_gateway_overhead_seconds_sum', labels)).toBeCloseTo(0.0002, 9)
  expect(await value('strangler_request_duration_seconds_bucket', { ...labels, le: '0.0025' })).toBe(0)
  expect(await value('strangler_request_duration_seconds_bucket', { ...labels, le: '0.005' })).toBe(1)
})

test('a request without a response of the upstream does not count for the time of the gateway', async () => {
  const outcome = {
    status: 504,
    failure: 'response-timeout',
    upstreamMs: undefined,
    upstreamTotalMs: undefined,
  } as const
  metrics.requestFinished(requestFacts({ outcome, finishedAt: 15_100 }))
  expect(await value('strangler_gateway_overhead_seconds_count')).toBeUndefined()
  expect(await value('strangler_failures_total', { failure: 'response-timeout', side: 'service' })).toBe(1)
})

test('retries, fallbacks, refusals and missing flags are counted', async () => {
  metrics.requestFinished(requestFacts({ outcome: { retried: true, fallbackCause: 'connect-refused' } }))
  metrics.requestRefused('bad-host')
  metrics.flagMissing('catalog')
  expect(await value('strangler_retries_total', { context: 'catalog', side: 'service' })).toBe(1)
  expect(await value('strangler_fallbacks_total', { context: 'catalog', failure: 'connect-refused' })).toBe(1)
  expect(await value('strangler_refusals_total', { failure: 'bad-host' })).toBe(1)
  expect(await value('strangler_flag_missing_total', { context: 'catalog' })).toBe(1)
})

test('writes that the service accepted are counted; reads, failures and writes to legacy are not', () => {
  const request = (method: string, status: number, decision = {}) => {
    const facts = requestFacts({ outcome: { status }, decision })
    metrics.requestFinished({ ...facts, head: { ...facts.head, method } })
  }
  for (const method of ['POST', 'PUT', 'PATCH', 'DELETE', 'PROPPATCH']) request(method, 201)
  request('POST', 303)
  for (const method of ['GET', 'HEAD', 'OPTIONS']) request(method, 200)
  for (const status of [404, 503]) request('POST', status)
  request('POST', 201, { side: 'legacy', reason: 'flag-off' })
  expect(metrics.serviceWrites()).toEqual({ catalog: 6 })
})

test('an upgrade is counted as a request, and as open until it is closed', async () => {
  const facts = requestFacts({ outcome: { status: 101 } })
  metrics.upgradeOpened(facts)
  expect(await value('strangler_requests_total', { status_class: '1xx' })).toBe(1)
  expect(await value('strangler_upgrades_open')).toBe(1)
  metrics.upgradeClosed()
  expect(await value('strangler_upgrades_open')).toBe(0)
  expect(await value('strangler_upgrades_total')).toBe(1)
})

test('readings are read at each scrape', async () => {
  expect(await value('strangler_flag_age_seconds')).toBeUndefined()
  const address = { upstream: 'catalog', address: 'http://127.0.0.1:3001' }
  readings = {
    requestsInFlight: 3,
    flagAgeSeconds: 1.5,
    isTokenRefused: true,
    storeCutOffSeconds: 4,
    rejectedFiles: ['flags'],
    isStateFolderWritable: false,
    connections: [{ ...address, open: 5, inUse: 2, waiting: 1 }],
    addresses: [{ ...address, available: false }],
    shadow: undefined,
  }
  lost = 7
  expect(await value('strangler_config_rejected', { file: 'flags' })).toBe(1)
  expect(await value('strangler_config_rejected', { file: 'map' })).toBe(0)
  expect(await value('strangler_requests_in_flight')).toBe(3)
  expect(await value('strangler_state_folder_writable')).toBe(0)
  expect(await value('strangler_flag_age_seconds')).toBe(1.5)
  expect(await value('strangler_connections', { state: 'in_use' })).toBe(2)
  expect(await value('strangler_address_available', address)).toBe(0)
  expect(await value('strangler_access_log_lost_total')).toBe(7)
})

describe('a client cannot create a time series', () => {
  // The attack: a scanner with a hundred thousand paths, methods of its own and odd statuses fills Prometheus.
  test('with 100,000 scanner paths', async () => {
    for (const [method, status] of [
      ['GET', 200],
      ['FOO', 999],
      ['get', 0],
    ] as const)
      metrics.requestFinished(requestFacts({ context: null, head: { method }, outcome: { status } }))
    const seriesCount = (await scrape()).length
    for (let i = 0; i < 100_000; i++) {
      const head = { path: `/wp-${i}.php`, query: `?x=${i}`, method: i % 2 ? `M${i}` : 'GET' }
      metrics.requestFinished(requestFacts({ context: null, head, outcome: { status: i % 2 ? 1000 + i : 200 } }))
    }
    expect((await scrape()).length).toBe(seriesCount)
    expect(await value('strangler_requests_total', { method: 'OTHER' })).toBe(50_002)
  })
})

test('every metric has a prefix of the gateway or of the process, and a valid format', async () => {
  metrics.requestFinished(requestFacts())
  for (const { name } of await scrape()) expect(name).toMatch(/^(strangler|process|nodejs)_/)
})

test('the delay of an idle event loop is nearly zero', async () => {
  await new Promise((resolve) => setTimeout(resolve, 150))
  expect(await value('strangler_event_loop_delay_seconds', { quantile: '0.5' })).toBeLessThan(0.015)
})

test('two gateways in one process have separate counts', async () => {
  const other = new Metrics({ readings: () => quietReadings, linesLost: () => 0 })
  other.requestFinished(requestFacts())
  other.close()
  expect(await value('strangler_requests_total')).toBeUndefined()
})
