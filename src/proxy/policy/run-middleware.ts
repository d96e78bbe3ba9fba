// A route's own Express middleware (helmet, cors, a rate limiter), run before the decision.
import type { IncomingMessage, ServerResponse } from 'node:http'
import express, { type Express, type RequestHandler } from 'express'
import type { RequestHead } from '../../model/request-head.ts'
import type { Route } from '../../model/route.ts'
import type { Snapshot } from '../../model/snapshot.ts'
import { applyChanges } from './middleware-changes.ts'

/**
 * Runs the route's middleware on Node's own request and response, inside an Express application that adds `req.ip`,
 * `res.set` and so on. `trustsProxy` selects the address of `req.ip` from X-Forwarded-For: a rate limiter must see the
 * client and not the proxy.
 *
 * @returns the head to forward, with the changes that middleware made; undefined if a middleware answered
 * @throws the error of a middleware, or an Error if the changed request cannot be forwarded
 */
export async function runMiddleware(
  route: Route,
  request: IncomingMessage,
  response: ServerResponse,
  head: RequestHead,
  snapshot: Pick<Snapshot, 'trustsProxy' | 'limits' | 'identity'>,
): Promise<RequestHead | undefined> {
  const original = { url: request.url, headers: { ...request.headers } }
  const isPassed = await new Promise<boolean>((resolve, reject) => {
    response.once('close', () => resolve(false))
    applicationOf(route, snapshot.trustsProxy)(request as never, response as never, (error?: unknown) =>
      error ? reject(error) : resolve(true),
    )
  })
  if (isPassed && request.readableDidRead) {
    throw new Error(
      `route "${route.pattern}": a middleware read the request body, which then cannot be forwarded; remove the body parser`,
    )
  }
  if (!isPassed || response.writableEnded) return undefined
  try {
    return applyChanges(head, original, request, snapshot)
  } catch (error) {
    const { message } = error as Error
    throw new Error(
      `route "${route.pattern}": a middleware changed the request to one that is not valid: ${message}; correct the middleware`,
    )
  }
}

/** Fields of which the client receives the lines of middleware and of the upstream. Of other fields the upstream's win. */
const SHARED_FIELDS = ['Set-Cookie', 'Vary'] as const

/** The lines of middleware that the upstream's response would overwrite, as `[name, value, ...]`. */
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
