// What machines ask without a token: whether it lives, whether it should be sent traffic, and what it counts.
import type { Response } from 'express'
import { Registry } from 'prom-client'
import type { AdminServices } from '../http/server.ts'

/** That it answers is the answer: the event loop runs. */
export function sayAlive(_services: AdminServices, response: Response): void {
  response.json({ status: 'alive' })
}

export function sayReadiness({ readiness }: AdminServices, response: Response): void {
  const state = readiness()
  response.status(state.status === 'ready' ? 200 : 503).json(state)
}

export async function printMetrics({ metrics }: AdminServices, response: Response): Promise<void> {
  const page = await metrics()
  // The scraper may have gone while the metrics were collected.
  if (!response.destroyed) response.set('Content-Type', METRICS_TYPE).send(page)
}

/** The text format of Prometheus. */
const METRICS_TYPE = Registry.PROMETHEUS_CONTENT_TYPE
