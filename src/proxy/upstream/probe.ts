// Active health checks: `GET path` on one address, again and again, with its own connection.
import { Client } from 'undici'
import type { HealthCheck, Upstream } from '../../model/route.ts'

export type Probe = { readonly stop: () => void }

/**
 * Checks an address and reports each change of the verdict. An address counts as healthy until checks say otherwise.
 *
 * @param onVerdict called when the verdict changes, with why
 * @param onPass called after each check that passes, once a change of the verdict is reported
 */
export function startProbe(
  upstream: Upstream,
  url: string,
  onVerdict: (isHealthy: boolean, why: string) => void,
  onPass: () => void,
): Probe {
  const check = upstream.health
  if (check === undefined) return { stop: () => {} }

  const verdict = new Verdict(check)
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

/** Turns single results into a verdict that changes only after several in a row. */
class Verdict {
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
    const answer = await client.request({
      method: 'GET',
      path: check.path,
      headers: { 'user-agent': 'strangler-health-check' },
      signal: AbortSignal.timeout(check.timeoutMs),
    })
    await answer.body.dump()
    return answer.statusCode < 400 ? undefined : `health check answered ${answer.statusCode}`
  } catch (error) {
    return `health check failed: ${(error as { code?: string }).code ?? (error as Error).name}`
  } finally {
    await client.destroy().catch(() => {})
  }
}
