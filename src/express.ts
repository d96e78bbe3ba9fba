// The same gateway as an Express middleware, for a monolith that wants to be strangled from inside. The application is
// legacy: a request that is not sent away reaches it untouched. Forwarding is http-proxy-middleware's.
import { randomBytes } from 'node:crypto'
import http, { type ClientRequest, type IncomingMessage, type ServerResponse } from 'node:http'
import https from 'node:https'
import type { Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { createProxyMiddleware, type RequestHandler } from 'http-proxy-middleware'
import type { Registry } from 'prom-client'
import { ConfigError } from './config/config-error.ts'
import type { RoutesConfig } from './config/define-routes.ts'
import { compile } from './config/load/compile.ts'
import { checkConfig } from './config/load/load.ts'
import { formatMistakes, type Mistake } from './config/mistake.ts'
import { identityTrustMistakes } from './config/schema/identity-trust.ts'
import type { ValidConfig } from './config/schema/valid-config.ts'
import { validate } from './config/schema/validate.ts'
import { createFlags } from './entry/control-plane.ts'
import { systemClock, systemRandom } from './entry/runtime.ts'
import type { Decision, Identity } from './model/decision.ts'
import { FAILURES, type Failure } from './model/failures.ts'
import type { Outcome } from './model/outcome.ts'
import type { RequestHead } from './model/request-head.ts'
import type { FieldRules, RouteMatch, Upstream } from './model/route.ts'
import type { Snapshot } from './model/snapshot.ts'
import { peerAddress } from './proxy/downstream/peer-address.ts'
import { endAfterBody, writeError } from './proxy/downstream/respond-error.ts'
import { classifyError } from './proxy/forward/classify-error.ts'
import {
  applyRulesToObject,
  hopByHopOf,
  isLoop,
  requestHeaders,
  toFieldObject,
  userFields,
} from './proxy/forward/headers.ts'
import { mapHeadersBack, type PublicView, publicView } from './proxy/forward/map-back.ts'
import { failureForClient, mayFallBack } from './proxy/forward/may-repeat.ts'
import { rawHead, refuseEncodedSlash } from './proxy/handle-request.ts'
import { createAnonymousIds } from './proxy/policy/anonymous-id.ts'
import { type Access, createAuthenticate } from './proxy/policy/authenticate.ts'
import { decide, effectiveDecision } from './proxy/policy/decide.ts'
import { createIdentify, type Identify, identityOfUser } from './proxy/policy/identify.ts'
import { matchRoute } from './proxy/policy/match-route.ts'
import { upstreamPath } from './proxy/policy/path.ts'
import { readHead } from './proxy/policy/read-head.ts'
import { Refusal } from './proxy/policy/refusal.ts'
import { blamesTarget } from './proxy/upstream/health.ts'
import { type Address, Upstreams } from './proxy/upstream/upstreams.ts'
import { createTelemetry } from './telemetry/create-telemetry.ts'
import { continueTrace } from './telemetry/trace.ts'

/** The migration map without the monolith, which is the application itself. */
export type EmbeddedRoutes = Omit<RoutesConfig, 'legacy'>

export type EmbeddedOptions = {
  /** Flags in Unleash's client-features format; used where no Unleash is named. Default: `flags.json`. */
  readonly flags?: string
  readonly unleash?: { readonly url: string; readonly token: string; readonly appName: string }
  /** Signs the anonymous cookie; every process of the application needs the same. Default: one for this process. */
  readonly cookieSecret?: string
  readonly logLevel?: 'silent' | 'error' | 'warn' | 'info' | 'debug'
  /** Where Unleash's last flags are kept. Default: a folder for temporary files. */
  readonly stateDir?: string
}

export type Strangler = ((
  request: IncomingMessage,
  response: ServerResponse,
  next: (error?: unknown) => void,
) => void) & {
  /** Resolves once the map is compiled and the flags were looked for; rejects with the mistakes that needed a file. */
  readonly ready: Promise<void>
  /** The metrics, to be mounted where the application has its own. */
  readonly registry: Registry
  readonly close: () => Promise<void>
}

/**
 * Express middleware that sends requests away by the migration map: `app.use(strangler(routes))`, before any body
 * parser. Requests that come before `ready` stay with the application, and so do all requests if `ready` rejects;
 * only routes that ask for a token are then refused with 503.
 *
 * @throws {ConfigError} with every mistake of the map that can be found without reading a file
 */
export function strangler(routes: EmbeddedRoutes, options: EmbeddedOptions = {}): Strangler {
  const written = { ...routes, legacy: { url: 'http://127.0.0.1' } }
  const validated = validate(written)
  if (!validated.ok) throw new ConfigError('routes', validated.mistakes)
  const ineffective = withoutEffect(validated.config)
  if (ineffective.length > 0) throw new ConfigError('routes', ineffective)
  // Its PEM files are not read yet: it says which routes ask for a token, and nothing is sent by it.
  const unready = compile(validated.config)

  const { flags: file = 'flags.json', unleash, logLevel = 'warn', stateDir = tmpdir() } = options
  const random = systemRandom()
  const clock = systemClock
  const telemetry = createTelemetry({ accessLog: undefined, logLevel, clock, readings: () => readings() })
  const { events } = telemetry
  const upstreams = new Upstreams({ now: clock.now, events })
  const anonymousIds = createAnonymousIds(options.cookieSecret ?? randomBytes(32).toString('base64url'), random)
  const flags = createFlags(
    { flags: file, unleash: unleash && { ...unleash, environment: undefined }, stateDir },
    events,
    clock,
  )
  const identify: Identify = createIdentify(anonymousIds, random)
  const authenticate = createAuthenticate(clock, events)
  const isGuarded = unready.routes.some(({ auth }) => auth !== undefined)
  const viaName = `strangler-${random.hex(4)}`
  let snapshot: Snapshot | undefined

  const ready = start()
  ready.catch((error: unknown) => {
    const mistakes =
      error instanceof ConfigError ? error.mistakes.map((mistake) => formatMistakes([mistake])) : [String(error)]
    events.embeddingFailed({ mistakes })
  })

  return Object.assign(middleware, { ready, registry: telemetry.registry, close })

  async function start(): Promise<void> {
    const checked = await checkConfig(written, process.cwd())
    if (!checked.ok) throw new ConfigError('routes', checked.mistakes)
    const { warnings } = checked
    if (warnings.length > 0) events.configWarned({ file: 'routes', warnings: formatMistakes(warnings).split('\n') })
    const compiled = compile(checked.config)
    const wide = identityTrustMistakes(checked.config)
    if (wide.length > 0) {
      events.configDeprecated({ file: 'routes', mistakes: wide.map((mistake) => formatMistakes([mistake])) })
    }
    upstreams.apply(compiled)
    await flags.start()
    snapshot = compiled
  }

  async function close(): Promise<void> {
    upstreams.close()
    await flags.stop()
    await telemetry.close()
  }

  function readings() {
    const addresses = upstreams.readings()
    const { ageMs, isRefused, rejection } = flags.status()
    return {
      requestsInFlight: 0,
      flagAgeSeconds: ageMs && ageMs / 1000,
      isTokenRefused: isRefused,
      storeCutOffSeconds: 0,
      rejectedFiles: rejection === undefined ? [] : [rejection.file],
      isStateFolderWritable: undefined,
      connections: addresses,
      addresses,
      shadow: undefined,
    }
  }

  function middleware(request: IncomingMessage, response: ServerResponse, next: (error?: unknown) => void): unknown {
    if (snapshot === undefined && !isGuarded) return next()
    const { limits, identity: policy } = snapshot ?? unready
    // `app.use('/path', …)` cuts the path; what was asked is in originalUrl.
    const asked = (request as { originalUrl?: string }).originalUrl ?? request.url
    const raw = { ...rawHead(request), target: asked ?? '' }
    const head = readHead(raw, limits, policy.user?.header, policy.claimHeaders)
    if (snapshot === undefined) {
      // A token cannot be verified yet, or ever: its routes are refused, and no client states who it is to the others.
      if (head instanceof Refusal) return refuse(request, response, head)
      if (matchRoute(head, unready).route.auth !== undefined) return refuse(request, response, NOT_READY)
      removeClaims(request, unready)
      return next()
    }
    // What cannot be decided on stays the application's own affair, but where that would be a way around a token.
    if (head instanceof Refusal) return isGuarded ? refuse(request, response, head) : next()
    const arrived: Arrived = { request, response, next, head, match: matchRoute(head, snapshot), snapshot }
    const { auth } = arrived.match.route
    const access = auth && authenticate(head, auth)
    return access instanceof Promise
      ? access.then((settled) => (response.destroyed ? undefined : admit(arrived, settled))).catch(next)
      : admit(arrived, access)
  }

  type Arrived = {
    readonly request: IncomingMessage
    readonly response: ServerResponse
    readonly next: (error?: unknown) => void
    readonly head: RequestHead
    readonly match: RouteMatch
    readonly snapshot: Snapshot
  }

  /** The token holds, or none was asked for: whose the request is, and to which side it goes. */
  function admit(arrived: Arrived, access: Access): unknown {
    const { request, response, next, head, match, snapshot } = arrived
    if (access instanceof Refusal) return refuse(request, response, access)
    const asked = identify(head, snapshot, match.route)
    const identity = access === undefined ? asked : identityOfUser(asked, access)
    if (isGuarded) sayWhoAsks(request, identity, snapshot)
    const { context } = match.route
    if (context === undefined || isLoop(head.fields, viaName)) return next()
    const decision = decide({
      controls: snapshot.controls,
      head,
      route: match.route,
      identity,
      flags,
      health: upstreams,
    })
    const cookie = identity.isNew ? anonymousIds.setCookie(identity.key, identity.secure) : undefined
    const stay = () => {
      if (cookie !== undefined) response.appendHeader('Set-Cookie', cookie)
      return next()
    }
    if (decision.side === 'legacy') return stay()
    if (refuseEncodedSlash(head, match, decision, snapshot) !== undefined) return stay()
    const live = upstreams.of(context.service)
    const address = upstreams.pick(live)
    if (address === undefined) {
      return decision.fallback ? stay() : refuse(request, response, NOT_AVAILABLE)
    }
    if (request.readableDidRead) {
      return next(new Error('strangler() must be mounted before any body parser: the body was read already'))
    }
    return sendAway({ request, response, next: stay, cookie, head, identity, match, decision, address, snapshot })
  }

  function refuse(request: IncomingMessage, response: ServerResponse, refusal: Refusal): void {
    const requestId = random.hex(16)
    const arrivedAt = clock.now()
    writeError(response, refusal.failure, requestId, !request.complete, refusal.challenge, refusal.rule)
    endAfterBody(request, response)
    events.requestRefused({
      arrivedAt,
      finishedAt: clock.now(),
      failure: refusal.failure,
      requestId,
      peerAddress: peerAddress(request.socket),
      method: request.method,
      target: request.url,
      detail: refusal.detail,
    })
  }

  type Sending = {
    readonly request: IncomingMessage
    readonly response: ServerResponse
    /** Leaves the request to the application after all. */
    readonly next: () => void
    /** The new client's own id, to be added to whatever cookies the service sets. */
    readonly cookie: string | undefined
    readonly head: RequestHead
    readonly identity: Identity
    readonly match: RouteMatch
    readonly decision: Decision
    readonly address: Address
    readonly snapshot: Snapshot
  }

  /** Edits the request before http-proxy-middleware sees it, and takes the edits back if the application answers. */
  function sendAway(asked: Sending): void {
    const { request, response, next, head, identity, match, decision, address } = asked
    const service = (match.route.context as { service: Upstream }).service
    const untouched = { url: request.url, headers: request.headers }
    const { traceparent, traceId } = continueTrace(head.fields.traceparent, random)
    const rules = match.route.headers
    const added = { head, identity, snapshot: asked.snapshot, rules, viaName, traceparent }
    const fields = toFieldObject(requestHeaders(added, service, address.authority))
    if (head.body.kind === 'chunked') fields['transfer-encoding'] = 'chunked'
    request.headers = fields
    request.url = upstreamPath(head, match, 'service')
    const live = upstreams.of(service)
    let failure: Failure | undefined
    let hasFallenBack = false
    const fail = (error: unknown) => {
      const { timedOut, wasSent } = sending
      failure = response.headersSent ? 'response-broken' : (timedOut ?? classifyError(error, wasSent))
      if (blamesTarget(failure)) upstreams.failed(live, address, true, failure)
      const hasBody = head.body.kind !== 'none'
      const hasBodyBegun = hasBody && request.readableDidRead
      if (response.headersSent) {
        request.socket.destroy()
      } else if (decision.fallback && mayFallBack(failure, { method: head.method, hasBody, hasBodyBegun })) {
        hasFallenBack = true
        Object.assign(request, untouched)
        next()
      } else {
        failure = failureForClient(failure, 'service', head.method)
        writeError(response, failure, identity.requestId, !request.complete)
        endAfterBody(request, response)
      }
    }
    const askedAt = clock.now()
    const sending: Sent = {
      url: address.url,
      view: publicView(head, identity, asked.snapshot, match.route, service),
      rules: rules?.response,
      fail,
      cookie: asked.cookie,
      headAt: undefined,
      wasSent: false,
      timedOut: undefined,
      now: clock.now,
    }
    sent.set(request, sending)
    response.once('close', () => {
      const { headAt } = sending
      if (!response.writableFinished) failure ??= 'client-gone'
      if (failure === undefined && response.statusCode < 500) upstreams.succeeded(address)
      const outcome: Outcome = {
        status: response.headersSent ? response.statusCode : FAILURES['client-gone'].status,
        failure: hasFallenBack ? undefined : failure,
        cause: undefined,
        answeredBy: headAt === undefined ? undefined : address.answerer,
        upstreamMs: headAt && headAt - askedAt,
        upstreamTotalMs: clock.now() - askedAt,
        requestBytes: 0,
        responseBytes: 0,
        attempts: 1,
        retried: false,
        fallbackCause: hasFallenBack ? failure : undefined,
      }
      events.requestFinished({
        arrivedAt: askedAt,
        finishedAt: clock.now(),
        head,
        identity,
        route: match.route,
        decision: effectiveDecision(decision, outcome),
        outcome,
        traceId,
      })
    })
    // It reports some failures by event, some by next, some by both: sendAway hears of the first.
    proxyTo(service)(request as never, response as never, (error?: unknown) => failed(request, error))
  }
}

const NOT_AVAILABLE = new Refusal('unavailable', 'no address of the service is available')
const NOT_READY = new Refusal('unavailable', 'the map is not in use: no token can be verified')

/**
 * The application is told who asks as a service would be: what a client says in these headers is taken away, in any
 * spelling that Node tells apart, and what was verified is put there.
 */
function sayWhoAsks(request: IncomingMessage, identity: Identity, snapshot: Snapshot): void {
  removeClaims(request, snapshot)
  if (identity.kind !== 'user') return
  Object.assign(request.headers, toFieldObject(userFields(identity, snapshot.identity.user?.header)))
}

function removeClaims(request: IncomingMessage, { identity: policy }: Snapshot): void {
  for (const name of Object.keys(request.headers)) {
    const dashed = name.replaceAll('_', '-')
    if (policy.claimHeaders?.has(dashed)) delete request.headers[name]
  }
}

/** What a route can ask of the gateway at the edge and not of a middleware: said, rather than silently without effect. */
function withoutEffect({ contexts }: ValidConfig): Mistake[] {
  const message =
    'has no effect inside an application: leave it out, or put the gateway in front with "strangler serve"'
  return [...contexts].flatMap(([name, { routes }]) =>
    routes.flatMap(({ middleware, timeouts, maxBodyBytes, upgrade }, index) => {
      const set = { middleware: middleware.length > 0, timeouts, maxBodyBytes, upgrade }
      return Object.entries(set).flatMap(([key, value]) =>
        value === undefined || value === false
          ? []
          : [{ path: `contexts.${name}.routes[${index}].${key}`, found: '', message }],
      )
    }),
  )
}

/** Requests on their way: where to, and what to do if that fails. */
type Sent = {
  readonly url: string
  readonly fail: (error: unknown) => void
  readonly cookie: string | undefined
  /** By which the addresses in the service's response are mapped back. */
  readonly view: PublicView
  readonly rules: FieldRules | undefined
  readonly now: () => number
  /** When the service's response head came. */
  headAt: number | undefined
  /** The connection to the service was open, so that some of the request may have arrived. */
  wasSent: boolean
  timedOut: 'connect-timeout' | 'response-timeout' | undefined
}

const sent = new WeakMap<IncomingMessage, Sent>()

function failed(request: IncomingMessage, error: unknown): void {
  const sending = sent.get(request)
  sent.delete(request)
  sending?.fail(error)
}

const proxies = new WeakMap<Upstream, RequestHandler>()

/** One http-proxy-middleware for each service, with connections of its own. */
function proxyTo(service: Upstream): RequestHandler {
  let proxy = proxies.get(service)
  if (proxy === undefined) {
    proxy = createProxyMiddleware({
      target: service.urls[0] as string,
      router: (request) => sent.get(request)?.url as string,
      agent: agentFor(service),
      proxyTimeout: service.timeouts.headersMs,
      prependPath: false,
      // Its own plugins log, and answer errors with text that names the host.
      ejectPlugins: true,
      plugins: [
        (server) => {
          server.on('error', (error, request) => failed(request as IncomingMessage, error))
          server.on('proxyReq', (outgoing, request) => {
            const sending = sent.get(request as IncomingMessage)
            if (sending !== undefined) followConnection(outgoing, sending, service.timeouts.connectMs)
            setImmediate(flushHead, outgoing)
          })
          server.on('proxyRes', (answer, request) => {
            const sending = sent.get(request as IncomingMessage)
            if (sending !== undefined) sending.headAt = sending.now()
            if (sending !== undefined) mapHeadersBack(answer.headers, sending.view)
            if (sending?.rules !== undefined) applyRulesToObject(answer.headers, sending.rules)
            if (sending?.cookie !== undefined) {
              answer.headers['set-cookie'] = [...(answer.headers['set-cookie'] ?? []), sending.cookie]
            }
            for (const name of hopByHopOf(answer.headers.connection)) delete answer.headers[name]
          })
        },
      ],
    })
    proxies.set(service, proxy)
  }
  return proxy
}

/** Sends a head whose body has not arrived yet: a service may refuse an upload before it has the body. */
function flushHead(outgoing: ClientRequest): void {
  if (!outgoing.headersSent && !outgoing.destroyed) outgoing.flushHeaders()
}

/** Notes whether the connection opened, and which of its two waits timed out. The request has its socket by now. */
function followConnection(outgoing: ClientRequest, sending: Sent, connectMs: number): void {
  outgoing.once('timeout', () => {
    sending.timedOut ??= sending.wasSent ? 'response-timeout' : 'connect-timeout'
  })
  const socket = outgoing.socket as Socket
  if (outgoing.reusedSocket) {
    sending.wasSent = true
    return
  }
  const giveUp = () => {
    sending.timedOut ??= 'connect-timeout'
    outgoing.destroy()
  }
  const timer = connectMs > 0 ? setTimeout(giveUp, connectMs) : undefined
  socket.once('encrypted' in socket ? 'secureConnect' : 'connect', () => {
    sending.wasSent = true
    clearTimeout(timer)
  })
  outgoing.once('close', () => clearTimeout(timer))
}

function agentFor(service: Upstream): http.Agent {
  const shared = { keepAlive: true, maxSockets: service.connections, timeout: service.timeouts.idleMs }
  return service.urls[0]?.startsWith('https:') ? new https.Agent({ ...shared, ...service.tls }) : new http.Agent(shared)
}
