// The package's entry point for a monolith that is an Express application: the gateway as a middleware.
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Registry } from 'prom-client'
import { EmbeddedGateway } from './entry/embedded/embedded-gateway.ts'
import type { EmbeddedOptions, EmbeddedRoutes } from './entry/embedded/options.ts'

export type { EmbeddedOptions, EmbeddedRoutes } from './entry/embedded/options.ts'

export type Strangler = ((
  request: IncomingMessage,
  response: ServerResponse,
  next: (error?: unknown) => void,
) => void) & {
  /** Resolves when the map is compiled and the first attempt to read the flags has ended; rejects with a `ConfigError`. */
  readonly ready: Promise<void>
  /** The gateway's metrics, for the application's own metrics page. */
  readonly registry: Registry
  readonly close: () => Promise<void>
}

/**
 * Express middleware that sends requests to services by the migration map: `app.use(strangler(routes))`, before any
 * body parser. The application answers requests that arrive before `ready` resolves, and all requests if `ready`
 * rejects. Routes that require a token answer 503 during that time.
 *
 * @throws {ConfigError} with every mistake of the map that can be found without reading a file
 */
export function strangler(routes: EmbeddedRoutes, options: EmbeddedOptions = {}): Strangler {
  const gateway = new EmbeddedGateway(routes, options)
  const middleware = (request: IncomingMessage, response: ServerResponse, next: (error?: unknown) => void) =>
    gateway.handle(request, response, next)
  const { ready, registry } = gateway
  return Object.assign(middleware, { ready, registry, close: () => gateway.close() })
}
