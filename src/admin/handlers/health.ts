// What machines ask without a token: whether it lives, whether it should be sent traffic, and what it counts.
import type { Response } from 'express'
import type { AdminServices } from '../server.ts'

/** That it answers is the answer: the event loop runs. */
export function sayAlive(_services: AdminServices, response: Response): void {
  response.json({ status: 'alive' })
}

export function sayReadiness({ readiness }: AdminServices, response: Response): void {
  const state = readiness()
  response.status(state.status === 'ready' ? 200 : 503).json(state)
}

export async function printMetrics({ registry }: AdminServices, response: Response): Promise<void> {
  response.set('Content-Type', registry.contentType).send(await registry.metrics())
}
