// The Express application of the admin server: guards, probes, the API, and a refusal for everything else.
import type { Socket } from 'node:net'
import express, { type ErrorRequestHandler, type Express, type RequestHandler } from 'express'
import type { Registry } from 'prom-client'
import type { Clock } from '../../model/ports.ts'
import type { Events } from '../../telemetry/events.ts'
import { createFileTokenCheck, createTokenCheck } from '../access/admin-token.ts'
import { TOKEN_INVALID } from '../access/challenges.ts'
import { RefusedCallers } from '../access/refused-callers.ts'
import { createSignIn, readCredentials, type SignIn } from '../access/sign-in.ts'
import { createVerifyJwt } from '../access/verify-jwt.ts'
import { API } from '../contract/api-paths.ts'
import { EventStreams } from './event-streams.ts'
import { hostGuard } from './host-guard.ts'
import { IdempotencyCache } from './idempotency.ts'
import { createMetricsPage } from './metrics-page.ts'
import { ApiRefusal, sendRefusal } from './problem.ts'
import { API_ROUTES, PROBE_ROUTES } from './routes.ts'
import { securityHeaders } from './security-headers.ts'
import { type Api, recordRefusal, serveApi } from './serve-api.ts'
import type { AdminAuth, ApiServices, Readiness } from './services.ts'

export type AdminAppOptions = {
  readonly registry: Registry
  readonly readiness: () => Readiness
  /** For how many milliseconds collected metrics are served again; 0 collects them for each scrape. */
  readonly metricsMaxAgeMs?: number
  /** The token that scrapes must carry; undefined serves metrics without a token. */
  readonly metricsToken?: string | undefined
  /** Addresses and ranges of proxies whose `X-Forwarded-For` names the client. */
  readonly trustedProxies?: readonly string[]
  readonly host: string
  /** Names that a Host header may carry besides IP addresses, `localhost` and the bound host. */
  readonly allowedHosts?: readonly string[]
  readonly events: Events
  /** Without it only health and metrics are served. */
  readonly api?: ApiServices
}

type AdminApp = {
  readonly app: Express
  /** Connections whose caller is not identified yet, the longest-waiting first. */
  readonly unidentified: ReadonlySet<Socket>
  readonly endStreams: () => number
  readonly close: () => void
}

export async function createAdminApp(options: AdminAppOptions): Promise<AdminApp> {
  const { host, allowedHosts = [], events } = options
  const api = options.api && (await createApi(options.api, events))
  const app = express()
  app.disable('x-powered-by')
  app.disable('etag')
  app.enable('strict routing')
  app.enable('case sensitive routing')
  app.use(securityHeaders)
  app.use(
    hostGuard([host, ...allowedHosts], (request, refusal) => api && recordRefusal(api.turnedAway, request, refusal)),
  )
  app.set('trust proxy', options.trustedProxies ?? [])
  mountProbes(app, options)
  if (api !== undefined) mountApi(app, api)
  refuseOtherMethods(app, api !== undefined)
  app.use((_request, response) => sendRefusal(response, new ApiRefusal('not-found')))
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
    turnedAway: new RefusedCallers(control, clock.now),
    idempotency: new IdempotencyCache(clock.now),
    requireReason,
  }
}

async function createSignInFor(
  { stateDir, token, jwt, findKey }: AdminAuth,
  clock: Clock,
  events: Events,
): Promise<SignIn> {
  const ownToken =
    token === undefined && jwt === undefined
      ? await createFileTokenCheck(stateDir, events, clock.now, terminal())
      : undefined
  return createSignIn({
    isToken: token === undefined ? ownToken : createTokenCheck(token),
    verifyJwt: jwt && createVerifyJwt(jwt, findKey, clock.wallTime),
    now: clock.now,
  })
}

/** The log goes to stdout and must not contain a token. Stderr is used only if both are a terminal, so a person reads it. */
function terminal(): ((sentence: string) => void) | undefined {
  return process.stderr.isTTY && process.stdout.isTTY
    ? (sentence) => void process.stderr.write(`strangler: ${sentence}\n`)
    : undefined
}

const METRICS_MAX_AGE_MS = 1_000

function mountProbes(app: Express, options: AdminAppOptions): void {
  const { registry, readiness, metricsMaxAgeMs = METRICS_MAX_AGE_MS, metricsToken } = options
  if (metricsToken !== undefined) app.get('/metrics', metricsGuard(metricsToken))
  const now = options.api?.clock.now ?? performance.now.bind(performance)
  const services = { metrics: createMetricsPage(registry, metricsMaxAgeMs, now), readiness }
  for (const { path, handle } of PROBE_ROUTES) app.get(path, (_request, response) => handle(services, response))
}

/** Refuses scrapes without the token for metrics. */
function metricsGuard(metricsToken: string): RequestHandler {
  const isMetricsToken = createTokenCheck(metricsToken)
  return async (request, response, next) => {
    const token = readCredentials(request.rawHeaders)
    if (token instanceof ApiRefusal) return sendRefusal(response, token)
    if (await isMetricsToken(token)) return next()
    sendRefusal(
      response,
      new ApiRefusal('invalid-token', 'metrics have a token of their own', { headers: TOKEN_INVALID }),
    )
  }
}

function mountApi(app: Express, api: Api): void {
  for (const route of API_ROUTES)
    app[route.method](`${API}${route.path}`, (request, response) => serveApi(api, route, request, response))
}

/** Answers 405, with the methods of the path in Allow (RFC 9110 section 15.5.6). */
function refuseOtherMethods(app: Express, hasApi: boolean): void {
  const rows = [
    ...PROBE_ROUTES.map(({ path }) => ({ path, method: 'get' })),
    ...(hasApi ? API_ROUTES.map(({ path, method }) => ({ path: `${API}${path}`, method })) : []),
  ]
  for (const [path, methods] of Map.groupBy(rows, (row) => row.path))
    app.all(path, (_request, response) => {
      const allow = methods.flatMap(({ method }) => (method === 'get' ? ['GET', 'HEAD'] : [method.toUpperCase()]))
      sendRefusal(response, new ApiRefusal('method-not-allowed', undefined, { headers: { Allow: allow.join(', ') } }))
    })
}

function reportBug(events: Events): ErrorRequestHandler {
  return (error: unknown, _request, response, next) => {
    if (isClientError(error)) return sendRefusal(response, new ApiRefusal('bad-request'))
    events.bug({ where: 'admin', error })
    if (response.headersSent) return next(error)
    sendRefusal(response, new ApiRefusal('bug'))
  }
}

/** Express gives a 4xx status to the error of a request that it cannot parse, such as a bad percent-encoding. */
function isClientError(error: unknown): boolean {
  return error instanceof Error && 'status' in error && Number(error.status) >= 400 && Number(error.status) < 500
}
