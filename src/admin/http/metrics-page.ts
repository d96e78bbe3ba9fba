// The metrics as text, collected at most once in a period: a scrape costs milliseconds of the thread that serves clients, and
// everybody who reaches the port may scrape.
import type { Registry } from 'prom-client'

export type MetricsPage = () => Promise<Buffer>

/** @param maxAgeMs for how long a page is served again; with 0 each scrape collects anew */
export function createMetricsPage(registry: Registry, maxAgeMs: number, now: () => number): MetricsPage {
  let page: Promise<Buffer> | undefined
  let collectedAt = Number.NEGATIVE_INFINITY

  return () => {
    if (maxAgeMs === 0) return collect()
    if (page !== undefined && now() - collectedAt < maxAgeMs) return page
    collectedAt = now()
    page = collect()
    page.catch(() => {
      page = undefined
    })
    return page
  }

  /** One buffer for all who scrape: a response refers to it and copies nothing. */
  async function collect(): Promise<Buffer> {
    return Buffer.from(await registry.metrics())
  }
}
