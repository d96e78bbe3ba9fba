import http from 'node:http'
import type { AddressInfo } from 'node:net'
import { describe, expect, it, onTestFinished } from 'vitest'
import { compile } from '../../config/load/compile.ts'
import { validate } from '../../config/schema/validate.ts'
import { startProbe } from './probe.ts'

const CHECK = { path: '/healthz?deep=1', intervalMs: 20, timeoutMs: 20, healthyAfter: 2, unhealthyAfter: 3 }
/** Where it counts which check was which: a busy machine must not make a failure of its own. */
const PATIENT = { ...CHECK, intervalMs: 250, timeoutMs: 250 }

/** A patient that answers one check after another as the script says; then as the script ended. */
async function probe(script: readonly (number | 'hang' | 'reset')[], check: object = CHECK) {
  const asked: http.IncomingMessage[] = []
  const server = http.createServer((request, response) => {
    const step = script[Math.min(asked.length, script.length - 1)]
    asked.push(request)
    if (step === 'reset') request.socket.resetAndDestroy()
    else if (step !== 'hang') response.writeHead(step as number).end('a body that nobody needs')
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  const validated = validate({ legacy: { url, health: check } })
  if (!validated.ok) throw new Error(JSON.stringify(validated.mistakes))
  const reports: { isHealthy: boolean; why: string; after: number }[] = []
  let told = () => {}
  const report = (isHealthy: boolean, why: string) => {
    reports.push({ isHealthy, why, after: asked.length })
    told()
  }
  const { stop } = startProbe(compile(validated.config).legacy, url, report, () => {})
  onTestFinished(() => {
    stop()
    server.closeAllConnections()
    server.close()
  })
  const reported = async (count: number) => {
    while (reports.length < count) await new Promise<void>((resolve) => (told = resolve))
    return reports
  }
  return { reported, asked, reports, stop }
}

describe('the active health check', () => {
  it('tells only of a verdict that changed, after so many results in a row', async () => {
    const { reported } = await probe([200, 500, 500, 200, 500, 500, 503, 200, 500, 200, 200], PATIENT)
    expect(await reported(2)).toEqual([
      { isHealthy: false, why: 'health check answered 503', after: 7 },
      { isHealthy: true, why: 'health check passed', after: 11 },
    ])
  })

  it('asks for the path with its query, as itself', async () => {
    const { reported, asked } = await probe([500])
    await reported(1)
    expect(asked[0]?.url).toBe('/healthz?deep=1')
    expect(asked[0]?.headers['user-agent']).toBe('strangler-health-check')
  })

  it('takes no answer in time, and no answer at all, for a failure', async () => {
    expect((await (await probe(['hang'], PATIENT)).reported(1))[0]).toMatchObject({ isHealthy: false, after: 3 })
    const [report] = await (await probe(['reset'], PATIENT)).reported(1)
    expect(report).toMatchObject({ isHealthy: false, after: 3 })
    expect(report?.why).toMatch(/^health check failed: \w+$/)
  })

  it('says nothing after it was stopped', async () => {
    const { reports, asked, stop } = await probe(['hang', 'hang', 'hang'])
    stop()
    await new Promise((resolve) => setTimeout(resolve, 150))
    expect(reports).toEqual([])
    expect(asked.length).toBeLessThanOrEqual(1)
  })

  it('does not exist where the upstream has none', () => {
    const validated = validate({ legacy: { url: 'http://127.0.0.1:1' } })
    if (!validated.ok) throw new Error('the config is not valid')
    const never = () => expect.unreachable()
    const { stop } = startProbe(compile(validated.config).legacy, 'http://127.0.0.1:1', never, never)
    stop()
  })
})
