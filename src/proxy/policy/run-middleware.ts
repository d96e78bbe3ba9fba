// A route's own Express middleware (helmet, cors, a rate limiter), run before the decision.
import type { IncomingMessage, ServerResponse } from 'node:http'
import express, { type Express, type RequestHandler } from 'express'
import type { RequestHead } from '../../model/request-head.ts'
import type { Route } from '../../model/route.ts'
import type { Snapshot } from '../../model/snapshot.ts'
import { applyChanges } from './middleware-changes.ts'

/**
 * Runs the route's middleware on Node's own request and response, inside an Express application so that `req.ip`,
 * `res.set` and the like are there. `trustsProxy` decides which X-Forwarded-For makes `req.ip`: a rate limiter must not
 * take all clients for the proxy.
 *
 * @returns the head to forward, with the changes that middleware made; undefined where a middleware answered
 * @throws what a middleware threw or passed to `next`, or an Error if the request cannot be forwarded as middleware left it
 */
export async function runMiddleware(
  route: Route,
  request: IncomingMessage,
  response: ServerResponse,
  head: RequestHead,
  snapshot: Pick<Snapshot, 'trustsProxy' | 'limits' | 'identity'>,
): Promise<RequestHead | undefined> {
  const before = { url: request.url, headers: { ...request.headers } }
  const goesOn = await new Promise<boolean>((resolve, reject) => {
    response.once('close', () => resolve(false))
    applicationOf(route, snapshot.trustsProxy)(request as never, response as never, (error?: unknown) =>
      error ? reject(error) : resolve(true),
    )
  })
  if (goesOn && request.readableDidRead) {
    throw new Error(
      `route "${route.pattern}": a middleware read the request body, which then cannot be forwarded; remove the body parser`,
    )
  }
  if (!goesOn || response.writableEnded) return undefined
  try {
    return applyChanges(head, before, request, snapshot)
  } catch (error) {
    const { message } = error as Error
    throw new Error(`route "${route.pattern}": a middleware left a request that is not valid: ${message}; correct it`)
  }
}

/** Fields that middleware and upstream each have their own lines of; of any other field the upstream's replaces ours. */
const SHARED_FIELDS = ['Set-Cookie', 'Vary'] as const

/** What middleware set and an upstream's response, written over it, would take away: as `[name, value, ...]`. */
export function sharedFields(response: ServerResponse): string[] {
  return SHARED_FIELDS.flatMap((name) => {
    const values = [response.getHeader(name) ?? []].flat()
    return values.flatMap((value) => [name, String(value)])
  })
}

const applications = new WeakMap<Route, Express>()

function applicationOf(route: Route, trustsProxy: (address: string) => boolean): Express {
  let application = applications.get(route)
  if (application === undefined) {
    application = express()
    application.disable('x-powered-by')
    application.set('trust proxy', trustsProxy)
    for (const middleware of route.middleware) application.use(middleware as unknown as RequestHandler)
    applications.set(route, application)
  }
  return application
}
