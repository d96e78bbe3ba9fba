// Active health checks: `GET path` on one address at an interval, each on a connection of its own.
import { Client } from 'undici'
import type { HealthCheck, Upstream } from '../../model/route.ts'

type Probe = { readonly stop: () => void }

/**
 * Checks an address and reports each change of the verdict. An address is healthy until the checks find it unhealthy.
 *
 * @param onVerdict called when the verdict changes, with the reason
 * @param onPass called after each check that passes, behind `onVerdict`
 */
export function startProbe(
  upstream: Upstream,
  url: string,
  onVerdict: (isHealthy: boolean, why: string) => void,
  onPass: () => void,
): Probe {
  const check = upstream.health
  if (check === undefined) return { stop: () => {} }

  const verdict = new HealthState(check)
  let isStopped = false
  let timer: NodeJS.Timeout | undefined
  const run = async () => {
    const failure = await runCheck(url, check, upstream)
    if (isStopped) return
    if (verdict.add(failure === undefined)) onVerdict(verdict.isHealthy, failure ?? 'health check passed')
    if (failure === undefined) onPass()
    timer = setTimeout(run, check.intervalMs)
    timer.unref()
  }
  void run()
  return {
    stop: () => {
      isStopped = true
      clearTimeout(timer)
    },
  }
}

/** Turns results into a verdict that changes only after several consecutive results. */
class HealthState {
  isHealthy = true
  #inRow = 0
  readonly #check: HealthCheck

  constructor(check: HealthCheck) {
    this.#check = check
  }

  /** @returns whether the verdict changed */
  add(passed: boolean): boolean {
    if (passed === this.isHealthy) {
      this.#inRow = 0
      return false
    }
    this.#inRow++
    if (this.#inRow < (passed ? this.#check.healthyAfter : this.#check.unhealthyAfter)) return false
    this.isHealthy = passed
    this.#inRow = 0
    return true
  }
}

/** @returns why the check failed, or undefined if it passed */
async function runCheck(url: string, check: HealthCheck, upstream: Upstream): Promise<string | undefined> {
  const client = new Client(url, {
    allowH2: false,
    pipelining: 0,
    connect: { timeout: check.timeoutMs, ...upstream.tls },
    headersTimeout: check.timeoutMs,
    bodyTimeout: check.timeoutMs,
  })
  try {
    const response = await client.request({
      method: 'GET',
      path: check.path,
      headers: { 'user-agent': 'strangler-health-check' },
      signal: AbortSignal.timeout(check.timeoutMs),
    })
    await response.body.dump()
    return response.statusCode < 400 ? undefined : `health check answered ${response.statusCode}`
  } catch (error) {
    return `health check failed: ${(error as { code?: string }).code ?? (error as Error).name}`
  } finally {
    await client.destroy().catch(() => {})
  }
}
