// The metrics as text, collected at most once in a period: a scrape costs milliseconds of the thread that serves clients, and
// every client that reaches the port may scrape.
import type { Registry } from 'prom-client'

export type MetricsPage = () => Promise<Buffer>

/** @param maxAgeMs for how long a page is served again; 0 collects for each scrape */
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

  /** All responses share one buffer, so that concurrent scrapes need no copies. */
  async function collect(): Promise<Buffer> {
    return Buffer.from(await registry.metrics())
  }
}
