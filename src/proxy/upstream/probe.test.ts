import http from 'node:http'
import type { AddressInfo } from 'node:net'
import { describe, expect, it, onTestFinished } from 'vitest'
import { compile } from '../../config/load/compile.ts'
import { validate } from '../../config/schema/validate.ts'
import { startProbe } from './probe.ts'

const CHECK = { path: '/healthz?deep=1', intervalMs: 20, timeoutMs: 20, healthyAfter: 2, unhealthyAfter: 3 }
/** For tests that count checks: slow enough that a busy machine does not cause failures. */
const PATIENT = { ...CHECK, intervalMs: 250, timeoutMs: 250 }

/** A server that answers each check with the next step of the script, and then with the last. */
async function probe(script: readonly (number | 'hang' | 'reset')[], check: object = CHECK) {
  const requests: http.IncomingMessage[] = []
  const server = http.createServer((request, response) => {
    const step = script[Math.min(requests.length, script.length - 1)]
    requests.push(request)
    if (step === 'reset') request.socket.resetAndDestroy()
    else if (step !== 'hang') response.writeHead(step as number).end('an unused body')
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  const validated = validate({ legacy: { url, health: check } })
  if (!validated.ok) throw new Error(JSON.stringify(validated.mistakes))
  const reports: { isHealthy: boolean; why: string; requestCount: number }[] = []
  let notify = () => {}
  const report = (isHealthy: boolean, why: string) => {
    reports.push({ isHealthy, why, requestCount: requests.length })
    notify()
  }
  const { stop } = startProbe(compile(validated.config).legacy, url, report, () => {})
  onTestFinished(() => {
    stop()
    server.closeAllConnections()
    server.close()
  })
  const reported = async (count: number) => {
    while (reports.length < count) await new Promise<void>((resolve) => (notify = resolve))
    return reports
  }
  return { reported, requests, reports, stop }
}

describe('an active health check', () => {
  it('reports only changes of the verdict, each after enough consecutive results', async () => {
    const { reported } = await probe([200, 500, 500, 200, 500, 500, 503, 200, 500, 200, 200], PATIENT)
    expect(await reported(2)).toEqual([
      { isHealthy: false, why: 'health check answered 503', requestCount: 7 },
      { isHealthy: true, why: 'health check passed', requestCount: 11 },
    ])
  })

  it('requests the path with its query under its own user agent', async () => {
    const { reported, requests } = await probe([500])
    await reported(1)
    expect(requests[0]?.url).toBe('/healthz?deep=1')
    expect(requests[0]?.headers['user-agent']).toBe('strangler-health-check')
  })

  it('counts a late response and a missing response as failures', async () => {
    expect((await (await probe(['hang'], PATIENT)).reported(1))[0]).toMatchObject({ isHealthy: false, requestCount: 3 })
    const [report] = await (await probe(['reset'], PATIENT)).reported(1)
    expect(report).toMatchObject({ isHealthy: false, requestCount: 3 })
    expect(report?.why).toMatch(/^health check failed: \w+$/)
  })

  it('reports nothing after it was stopped', async () => {
    const { reports, requests, stop } = await probe(['hang', 'hang', 'hang'])
    stop()
    await new Promise((resolve) => setTimeout(resolve, 150))
    expect(reports).toEqual([])
    expect(requests.length).toBeLessThanOrEqual(1)
  })

  it('does not run for an upstream without a health check', () => {
    const validated = validate({ legacy: { url: 'http://127.0.0.1:1' } })
    if (!validated.ok) throw new Error('the config is not valid')
    const never = () => expect.unreachable()
    const { stop } = startProbe(compile(validated.config).legacy, 'http://127.0.0.1:1', never, never)
    stop()
  })
})
