// Routes for machines, without a token: liveness, readiness and metrics.
import type { Response } from 'express'
import { Registry } from 'prom-client'
import type { ProbeServices } from '../http/services.ts'

/** A response shows that the event loop runs, so the content is constant. */
export function showLiveness(_services: ProbeServices, response: Response): void {
  response.json({ status: 'alive' })
}

export function showReadiness({ readiness }: ProbeServices, response: Response): void {
  const state = readiness()
  response.status(state.status === 'ready' ? 200 : 503).json(state)
}

export async function showMetrics({ metrics }: ProbeServices, response: Response): Promise<void> {
  const page = await metrics()
  // The scraper may have disconnected while the metrics were collected.
  if (!response.destroyed) response.set('Content-Type', METRICS_TYPE).send(page)
}

/** The text format of Prometheus. */
const METRICS_TYPE = Registry.PROMETHEUS_CONTENT_TYPE
