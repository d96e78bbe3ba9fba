// The admin surface: health and metrics for machines, on a port of its own and never proxied. The verbs that change
// things join the same table of routes.
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import express, { type ErrorRequestHandler, type Express } from 'express'
import type { Registry } from 'prom-client'
import type { Events } from '../telemetry/events.ts'
import { hostGuard } from './host-guard.ts'
import { sendProblem } from './problem.ts'
import { mountRoutes, ROUTES } from './routes.ts'
import { securityHeaders } from './security-headers.ts'

/** Whether this gateway should be sent traffic, and what it runs on. */
export type Readiness = {
  readonly status: 'starting' | 'ready' | 'draining'
  /** Of the snapshot in use; undefined while there is none, and then the gateway is not ready. */
  readonly generation: number | undefined
  readonly flags: {
    readonly source: string
    /** Null while no flags were ever read. */
    readonly ageSeconds: number | null
    readonly stale: boolean
  }
  readonly upstreams: readonly {
    readonly name: string
    readonly available: number
    readonly addresses: number
  }[]
}

/** What a handler may use. */
export type AdminServices = { readonly registry: Registry; readonly readiness: () => Readiness }

export type AdminOptions = AdminServices & {
  readonly host: string
  /** 0 takes any free port. */
  readonly port: number
  /** Names that a Host header may carry besides IP addresses, `localhost` and the bound host. */
  readonly allowedHosts?: readonly string[]
  readonly events: Events
}

export type Admin = { readonly port: number; readonly close: () => Promise<void> }

/** Rejects if the port cannot be had; the error carries the `code`, such as `EADDRINUSE`. */
export async function startAdmin(options: AdminOptions): Promise<Admin> {
  const server = createServer(LIMITS, adminApp(options))
  server.maxConnections = 256
  await listening(server, options.host, options.port)
  const { address, port } = server.address() as AddressInfo
  options.events.listening({ what: 'admin', address, port })
  return { port, close: () => closed(server) }
}

export function adminApp({ host, allowedHosts = [], events, ...services }: AdminOptions): Express {
  const app = express()
  app.disable('x-powered-by')
  app.disable('etag')
  app.enable('strict routing')
  app.enable('case sensitive routing')
  app.use(securityHeaders)
  app.use(hostGuard([host, ...allowedHosts]))
  mountRoutes(app, ROUTES, services)
  app.use((_request, response) => sendProblem(response, 404, 'There is nothing here'))
  app.use(reportBug(events))
  return app
}

/** Small requests only, and nobody may dawdle. */
const LIMITS = {
  maxHeaderSize: 8 * 1024,
  headersTimeout: 5_000,
  requestTimeout: 10_000,
  keepAliveTimeout: 5_000,
  connectionsCheckingInterval: 1_000,
  requireHostHeader: true,
} as const

function reportBug(events: Events): ErrorRequestHandler {
  return (error: unknown, _request, response, next) => {
    if (isClientError(error)) return sendProblem(response, 400, 'The request is not valid')
    events.bug({ where: 'admin', error })
    if (response.headersSent) return next(error)
    sendProblem(response, 500, 'The admin surface failed')
  }
}

/** Express marks what it could not parse, such as a bad percent-encoding, with a 4xx status. */
function isClientError(error: unknown): boolean {
  return error instanceof Error && 'status' in error && Number(error.status) >= 400 && Number(error.status) < 500
}

function listening(server: Server, host: string, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject)
    server.listen(port, host, () => {
      server.off('error', reject)
      resolve()
    })
  })
}

function closed(server: Server): Promise<void> {
  return new Promise((resolve) => {
    server.close(() => resolve())
    server.closeAllConnections()
  })
}
