// The table of everything the admin surface answers.
import type { Express, Response } from 'express'
import { sendProblem } from './problem.ts'
import type { AdminServices } from './server.ts'

export type AdminRoute = {
  readonly method: 'get' | 'post' | 'put' | 'patch' | 'delete'
  readonly path: string
  readonly handle: (services: AdminServices, response: Response) => void | Promise<void>
}

export const ROUTES: readonly AdminRoute[] = [
  { method: 'get', path: '/livez', handle: sayAlive },
  { method: 'get', path: '/readyz', handle: sayReadiness },
  { method: 'get', path: '/metrics', handle: printMetrics },
]

/** Mounts the table; a method that a path does not have is 405 with what it has. */
export function mountRoutes(app: Express, routes: readonly AdminRoute[], services: AdminServices): void {
  for (const { method, path, handle } of routes) app[method](path, (_request, response) => handle(services, response))
  for (const path of new Set(routes.map((route) => route.path)))
    app.all(path, (_request, response) => {
      response.set('Allow', allowed(routes.filter((route) => route.path === path)))
      sendProblem(response, 405, 'The method is not allowed here')
    })
}

function allowed(routes: readonly AdminRoute[]): string {
  return routes.flatMap(({ method }) => (method === 'get' ? ['GET', 'HEAD'] : [method.toUpperCase()])).join(', ')
}

/** That it answers is the answer: the event loop runs. */
function sayAlive(_services: AdminServices, response: Response): void {
  response.json({ status: 'alive' })
}

function sayReadiness({ readiness }: AdminServices, response: Response): void {
  const state = readiness()
  const isReady = state.status === 'ready' && state.generation !== undefined
  response.status(isReady ? 200 : 503).json({ ...state, generation: state.generation ?? null })
}

async function printMetrics({ registry }: AdminServices, response: Response): Promise<void> {
  response.set('Content-Type', registry.contentType).send(await registry.metrics())
}
