// The admin surface: health and metrics for machines, and the API for whoever has a token; on a port of its own and never
// proxied.
import { createServer, type Server } from 'node:http'
import type { AddressInfo, Socket } from 'node:net'
import express, { type ErrorRequestHandler, type Express, type RequestHandler } from 'express'
import type { Registry } from 'prom-client'
import proxyaddr from 'proxy-addr'
import type { Control } from '../../control/control.ts'
import type { ComparisonViews } from '../../model/comparison-views.ts'
import type { FileRejection } from '../../model/file-rejection.ts'
import type { Clock } from '../../model/ports.ts'
import type { Events } from '../../telemetry/events.ts'
import { givenToken, keptToken } from '../access/admin-token.ts'
import { bearerToken, createSignIn, INVALID, type SignIn } from '../access/sign-in.ts'
import { TurnedAway } from '../access/turned-away.ts'
import { createVerifyJwt, type FindKey, type JwtPolicy } from '../access/verify-jwt.ts'
import { API, type ExplainAsked, type Explained } from '../contract/contract.ts'
import { admitConnections } from './admit-connections.ts'
import { EventStreams } from './event-streams.ts'
import { hostGuard } from './host-guard.ts'
import { RememberedAnswers } from './idempotency.ts'
import { limitRequests } from './limit-requests.ts'
import { makeRoom } from './make-room.ts'
import { createMetricsPage, type MetricsPage } from './metrics-page.ts'
import { Refusal, sendRefusal } from './problem.ts'
import { API_ROUTES, OPEN_ROUTES } from './routes.ts'
import { securityHeaders } from './security-headers.ts'
import { type Api, noteRefusal, serveApi } from './serve-api.ts'

/** Whether this gateway should be sent traffic, and what it runs on. */
export type Readiness = {
  readonly status: 'starting' | 'ready' | 'draining'
  /** Of the config that routes new requests. */
  readonly edition: number
  /** Of the shared state that decides new requests. */
  readonly generation: number
  /** Everything is legacy's, by the kill switch or by this gateway's kill file. */
  readonly killed: boolean
  readonly store: {
    readonly kind: string
    readonly connected: boolean
    /** For how long it has not been reached: 0 while it is. */
    readonly cutOffSeconds: number
  }
  readonly stateFolder: {
    /** False from a write that the disk has refused until a later one succeeds. */
    readonly writable: boolean
    /** Of the error, such as `ENOSPC`; null while it is writable. */
    readonly code: string | null
    /** Milliseconds since 1970; null while it is writable. */
    readonly since: number | null
  }
  readonly flags: {
    readonly source: string
    /** Null while no flags were ever read. */
    readonly ageSeconds: number | null
    readonly stale: boolean
    /** Unleash does not accept the token: waiting does not help. */
    readonly refused: boolean
  }
  readonly upstreams: readonly {
    readonly name: string
    readonly available: number
    readonly addresses: number
  }[]
  /** Maps and flags files on disk whose content was rejected. */
  readonly rejectedFiles: readonly FileRejection[]
}

/** What the open routes use. */
export type AdminServices = { readonly metrics: MetricsPage; readonly readiness: () => Readiness }

/** What the API uses. */
export type ApiServices = {
  readonly control: Control
  /** Why this gateway would send a request where it would. */
  readonly explain: (asked: ExplainAsked) => Promise<Explained>
  /** What comparing the sides has found, on all gateways. */
  readonly comparisons: ComparisonViews
  readonly auth: AdminAuth
  readonly clock: Clock
  /** Whether every change must say why. */
  readonly requireReason: boolean
}

/** Who is let in. Without a token and without signed ones, the gateway makes a token of its own. */
export type AdminAuth = {
  /** Where the token is kept that the gateway makes. */
  readonly stateDir: string
  readonly token: string | undefined
  readonly jwt: JwtPolicy | undefined
  /** Finds the keys of `jwt`, where they are an issuer's. */
  readonly findKey: FindKey
}

export type AdminOptions = {
  readonly registry: Registry
  readonly readiness: () => Readiness
  /** For how long the metrics are served again before they are collected anew; 0 collects them for each scrape. */
  readonly metricsMaxAgeMs?: number
  /** The token without which no metrics are served; undefined serves them to everybody. */
  readonly metricsToken?: string | undefined
  /** Addresses and ranges of proxies whose `X-Forwarded-For` names the client. */
  readonly trustedProxies?: readonly string[]
  readonly host: string
  /** 0 takes any free port. */
  readonly port: number
  /** Names that a Host header may carry besides IP addresses, `localhost` and the bound host. */
  readonly allowedHosts?: readonly string[]
  readonly events: Events
  /** Without it there is no API: only health and metrics are served. */
  readonly api?: ApiServices
}

export type Admin = {
  readonly port: number
  /** Draining: ends the streams of changes, each behind an event. @returns how many there were */
  readonly endStreams: () => number
  readonly close: () => Promise<void>
}

export type AdminApp = {
  readonly app: Express
  /** Connections whose caller is not identified yet, the longest-waiting first. */
  readonly unidentified: ReadonlySet<Socket>
  readonly endStreams: () => number
  readonly close: () => void
}

/** Rejects if the port cannot be had; the error carries the `code`, such as `EADDRINUSE`. */
export async function startAdmin(options: AdminOptions): Promise<Admin> {
  const { app, unidentified, endStreams, close } = await adminApp(options)
  const server = createServer(LIMITS)
  limitRequests(server, app, MOST_PIPELINED)
  makeRoom(server, { ...MOST_CONNECTIONS, isShared: trustOf(options.trustedProxies), unidentified })
  const closeWaiting = admitConnections(server, ADMISSION, performance.now.bind(performance))
  server.setTimeout(SILENT_MS)
  try {
    await listening(server, options.host, options.port)
    server.on('error', (error) => options.events.acceptFailed({ what: 'admin', error }))
  } catch (error) {
    close()
    throw error
  }
  const { address, port } = server.address() as AddressInfo
  options.events.listening({ what: 'admin', address, port })
  return {
    port,
    endStreams,
    close: () => {
      close()
      closeWaiting()
      return closed(server)
    },
  }
}

export async function adminApp(options: AdminOptions): Promise<AdminApp> {
  const { host, allowedHosts = [], events } = options
  const api = options.api && (await createApi(options.api, events))
  const app = express()
  app.disable('x-powered-by')
  app.disable('etag')
  app.enable('strict routing')
  app.enable('case sensitive routing')
  app.use(securityHeaders)
  app.use(
    hostGuard([host, ...allowedHosts], (request, refusal) => api && noteRefusal(api.turnedAway, request, refusal)),
  )
  const { registry, readiness, metricsMaxAgeMs = METRICS_MAX_AGE_MS, metricsToken, trustedProxies = [] } = options
  app.set('trust proxy', trustedProxies)
  if (metricsToken !== undefined) app.get('/metrics', metricsGuard(metricsToken))
  const now = options.api?.clock.now ?? performance.now.bind(performance)
  const services = { metrics: createMetricsPage(registry, metricsMaxAgeMs, now), readiness }
  for (const { path, handle } of OPEN_ROUTES) app.get(path, (_request, response) => handle(services, response))
  if (api !== undefined) mountApi(app, api)
  refuseOtherMethods(app, api !== undefined)
  app.use((_request, response) => sendRefusal(response, new Refusal('not-found')))
  app.use(reportBug(events))
  const close = () => {
    api?.tools.streams.close()
    api?.turnedAway.close()
  }
  const endStreams = () => api?.tools.streams.end() ?? 0
  return { app, unidentified: api?.unidentified ?? new Set(), endStreams, close }
}

async function createApi(services: ApiServices, events: Events): Promise<Api> {
  const { control, explain, comparisons, auth, clock, requireReason } = services
  return {
    tools: { control, explain, comparisons, streams: new EventStreams(control, clock.wallTime) },
    signIn: await createSignInFor(auth, clock, events),
    unidentified: new Set(),
    turnedAway: new TurnedAway(control, clock.now),
    remembered: new RememberedAnswers(clock.now),
    requireReason,
  }
}

async function createSignInFor(
  { stateDir, token, jwt, findKey }: AdminAuth,
  clock: Clock,
  events: Events,
): Promise<SignIn> {
  const kept =
    token === undefined && jwt === undefined ? await keptToken(stateDir, events, clock.now, terminal()) : undefined
  return createSignIn({
    isToken: token === undefined ? kept : givenToken(token),
    verifyJwt: jwt && createVerifyJwt(jwt, findKey, clock.wallTime),
    now: clock.now,
  })
}

/** Lets scrapes through that carry the token for metrics. */
function metricsGuard(token: string): RequestHandler {
  const isToken = givenToken(token)
  return async (request, response, next) => {
    const given = bearerToken(request.rawHeaders)
    if (given instanceof Refusal) return sendRefusal(response, given)
    if (await isToken(given)) return next()
    sendRefusal(response, new Refusal('invalid-token', 'the metrics have a token of their own', { headers: INVALID }))
  }
}

function trustOf(trustedProxies: readonly string[] = []): (address: string) => boolean {
  const trust = proxyaddr.compile([...trustedProxies])
  return (address) => trust(address, 0)
}

/** The log goes to stdout; a token must not reach it, and stderr is shown only where a person reads it. */
function terminal(): ((sentence: string) => void) | undefined {
  return process.stderr.isTTY && process.stdout.isTTY
    ? (sentence) => void process.stderr.write(`strangler: ${sentence}\n`)
    : undefined
}

function mountApi(app: Express, api: Api): void {
  for (const route of API_ROUTES)
    app[route.method](`${API}${route.path}`, (request, response) => serveApi(api, route, request, response))
}

/** A method that a path does not have is 405 with what it has. */
function refuseOtherMethods(app: Express, hasApi: boolean): void {
  const rows = [
    ...OPEN_ROUTES.map(({ path }) => ({ path, method: 'get' })),
    ...(hasApi ? API_ROUTES.map(({ path, method }) => ({ path: `${API}${path}`, method })) : []),
  ]
  for (const [path, methods] of Map.groupBy(rows, (row) => row.path))
    app.all(path, (_request, response) => {
      const allow = methods.flatMap(({ method }) => (method === 'get' ? ['GET', 'HEAD'] : [method.toUpperCase()]))
      sendRefusal(response, new Refusal('method-not-allowed', undefined, { headers: { Allow: allow.join(', ') } }))
    })
}

/** Small requests only, and nobody may dawdle. */
const LIMITS = {
  maxHeaderSize: 16 * 1024,
  headersTimeout: 5_000,
  requestTimeout: 10_000,
  keepAliveTimeout: 5_000,
  connectionsCheckingInterval: 1_000,
  requireHostHeader: true,
} as const

/** Above a burst, 250 connections a second: each costs the thread that serves clients 0.1 ms and 20 kB. */
const ADMISSION = { burst: 64, everyMs: 4, waiting: 1_024 } as const
const MOST_CONNECTIONS = { inAll: 256, ofAddress: 96 } as const
/** Requests of a connection that wait behind the one under way. */
const MOST_PIPELINED = 7
const METRICS_MAX_AGE_MS = 1_000

/** A connection on which nothing moves: longer than a change takes that waits for an Unleash and for the whole fleet. */
const SILENT_MS = 60_000

function reportBug(events: Events): ErrorRequestHandler {
  return (error: unknown, _request, response, next) => {
    if (isClientError(error)) return sendRefusal(response, new Refusal('bad-request'))
    events.bug({ where: 'admin', error })
    if (response.headersSent) return next(error)
    sendRefusal(response, new Refusal('bug'))
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
