// The gateway inside an Express application. The application is legacy: a request that does not go to a service reaches
// the application unchanged.
import { randomBytes } from 'node:crypto'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { tmpdir } from 'node:os'
import type { Registry } from 'prom-client'
import { ConfigError } from '../../config/config-error.ts'
import { compile } from '../../config/load/compile.ts'
import { formatMistakes } from '../../config/mistake.ts'
import { identityTrustMistakes } from '../../config/schema/identity-trust.ts'
import type { Flags } from '../../control/flags/flags.ts'
import type { RequestHead } from '../../model/request-head.ts'
import type { Snapshot } from '../../model/snapshot.ts'
import { rawHead } from '../../proxy/downstream/raw-head.ts'
import { refuse } from '../../proxy/downstream/refuse.ts'
import { isLoop } from '../../proxy/forward/headers.ts'
import { type AnonymousIds, createAnonymousIds } from '../../proxy/policy/anonymous-id.ts'
import { applyPolicy, type PolicySources } from '../../proxy/policy/apply-policy.ts'
import { type Authenticate, createAuthenticate } from '../../proxy/policy/authenticate.ts'
import { type Facts, gatherFacts } from '../../proxy/policy/gather-facts.ts'
import { createIdentify } from '../../proxy/policy/identify.ts'
import { matchRoute } from '../../proxy/policy/match-route.ts'
import { readHead } from '../../proxy/policy/read-head.ts'
import { Refusal } from '../../proxy/policy/refusal.ts'
import { Upstreams } from '../../proxy/upstream/upstreams.ts'
import { createTelemetry } from '../../telemetry/create-telemetry.ts'
import type { Events } from '../../telemetry/events.ts'
import { createFlags } from '../create-flags.ts'
import { systemClock, systemRandom } from '../runtime.ts'
import { checkEmbedded, validateEmbedded } from './embedded-config.ts'
import { removeIdentityHeaders, setIdentityHeaders } from './identity-headers.ts'
import type { EmbeddedOptions, EmbeddedRoutes } from './options.ts'
import { ServiceRequest, type ServiceRequestSources } from './service-request.ts'

/** Passes a request, or an error, to the next handler of the application. */
type Next = (error?: unknown) => void

/** The request that a call of the middleware is about. */
type MiddlewareCall = { readonly request: IncomingMessage; readonly response: ServerResponse; readonly next: Next }

const NOT_AVAILABLE = new Refusal('unavailable', 'no address of the service is available')
const NOT_READY = new Refusal('unavailable', 'the map is not in use: no token can be verified')

/** The parts of a data plane that the middleware uses. */
type EmbeddedPlane = ServiceRequestSources &
  PolicySources & { readonly flags: Flags; readonly authenticate: Authenticate; readonly anonymousIds: AnonymousIds }

export class EmbeddedGateway {
  /** Resolves when the map is in use; rejects with its mistakes. */
  readonly ready: Promise<void>
  readonly registry: Registry
  readonly #plane: EmbeddedPlane
  readonly #closeTelemetry: () => Promise<void>
  /** The map before its files are read: it names the routes that require a token, and sends no request. */
  readonly #unready: Snapshot
  /** Whether any route requires a token. */
  readonly #isGuarded: boolean
  #snapshot: Snapshot | undefined

  /** @throws {ConfigError} with every mistake of the map that can be found without reading a file */
  constructor(routes: EmbeddedRoutes, options: EmbeddedOptions) {
    this.#unready = compile(validateEmbedded(routes))
    this.#isGuarded = this.#unready.routes.some(({ auth }) => auth !== undefined)
    const telemetry = createTelemetry({
      accessLog: undefined,
      logLevel: options.logLevel ?? 'warn',
      clock: systemClock,
      readings: () => this.#readings(),
    })
    const { events } = telemetry
    this.registry = telemetry.registry
    this.#closeTelemetry = () => telemetry.close()
    this.#plane = createPlane(events, options)
    this.ready = this.#start(routes)
    this.ready.catch((error: unknown) => events.embeddingFailed({ mistakes: mistakesOf(error) }))
  }

  /** Sends the request to a service, refuses it, or leaves it to the application. */
  handle(request: IncomingMessage, response: ServerResponse, next: Next): unknown {
    const snapshot = this.#snapshot
    if (snapshot === undefined && !this.#isGuarded) return next()
    const call: MiddlewareCall = { request, response, next }
    // Express removes the prefix of `app.use('/path', …)` from `url`; `originalUrl` has the whole target.
    const { originalUrl } = request as { originalUrl?: string }
    const head = readHead(rawHead(request, originalUrl), snapshot ?? this.#unready)
    if (snapshot === undefined) return this.#handleUnready(call, head)
    // The application handles a request that the gateway cannot read, unless that would bypass the check of a token.
    if (head instanceof Refusal) return this.#isGuarded ? this.#refuse(call, head) : next()
    const facts = gatherFacts(head, matchRoute(head, snapshot), this.#plane)
    return facts instanceof Promise
      ? facts.then((settled) => (response.destroyed ? undefined : this.#proceed(call, settled, snapshot))).catch(next)
      : this.#proceed(call, facts, snapshot)
  }

  async close(): Promise<void> {
    this.#plane.upstreams.close()
    await this.#plane.flags.stop()
    await this.#closeTelemetry()
  }

  async #start(routes: EmbeddedRoutes): Promise<void> {
    const { config, warnings } = await checkEmbedded(routes)
    const { events, upstreams, flags } = this.#plane
    if (warnings.length > 0) events.configWarned({ file: 'routes', warnings: formatMistakes(warnings).split('\n') })
    const compiled = compile(config)
    const deprecations = identityTrustMistakes(config)
    if (deprecations.length > 0) {
      const mistakes = deprecations.map((mistake) => formatMistakes([mistake]))
      events.configDeprecated({ file: 'routes', mistakes })
    }
    upstreams.apply(compiled)
    await flags.start()
    this.#snapshot = compiled
  }

  /** Before the map is in use no token can be verified: its routes are refused, and other requests lose identity headers. */
  #handleUnready(call: MiddlewareCall, head: RequestHead | Refusal): unknown {
    if (head instanceof Refusal) return this.#refuse(call, head)
    if (matchRoute(head, this.#unready).route.auth !== undefined) return this.#refuse(call, NOT_READY)
    removeIdentityHeaders(call.request, this.#unready)
    return call.next()
  }

  #proceed(call: MiddlewareCall, facts: Facts | Refusal, snapshot: Snapshot): unknown {
    if (facts instanceof Refusal) return this.#refuse(call, facts)
    const { request, response, next } = call
    const { upstreams, anonymousIds, viaName } = this.#plane
    const policy = applyPolicy(facts, snapshot, this.#plane)
    const { identity, route, decision } = policy
    if (this.#isGuarded) setIdentityHeaders(request, identity, snapshot)
    if (route.context === undefined || isLoop(policy.head.fields, viaName)) return next()
    const cookie = identity.isNew ? anonymousIds.setCookie(identity.key, identity.secure) : undefined
    const stay = () => {
      if (cookie !== undefined) response.appendHeader('Set-Cookie', cookie)
      return next()
    }
    if (decision.side === 'legacy' || policy.refusal !== undefined) return stay()
    const address = upstreams.selectAddress(upstreams.get(route.context.service))
    if (address === undefined) return decision.fallback ? stay() : this.#refuse(call, NOT_AVAILABLE)
    if (request.readableDidRead) {
      return next(new Error('strangler() must be mounted before any body parser: the body was read already'))
    }
    return new ServiceRequest(this.#plane, { request, response, policy, address, cookie, stay }).send()
  }

  #refuse({ request, response }: MiddlewareCall, refusal: Refusal): void {
    refuse(this.#plane, request, response, refusal, this.#plane.now(), request.complete)
  }

  #readings() {
    const { upstreams, flags } = this.#plane
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
}

function createPlane(events: Events, options: EmbeddedOptions): EmbeddedPlane {
  const { flags: file = 'flags.json', unleash, stateDir = tmpdir(), cookieSecret } = options
  const clock = systemClock
  const random = systemRandom()
  const anonymousIds = createAnonymousIds(cookieSecret ?? randomBytes(32).toString('base64url'), random)
  const flagOptions = { flags: file, unleash: unleash && { ...unleash, environment: undefined }, stateDir }
  return {
    events,
    random,
    now: clock.now,
    upstreams: new Upstreams({ now: clock.now, events }),
    flags: createFlags(flagOptions, events, clock),
    identify: createIdentify(anonymousIds, random),
    authenticate: createAuthenticate(clock, events),
    anonymousIds,
    viaName: `strangler-${random.hex(4)}`,
  }
}

function mistakesOf(error: unknown): string[] {
  return error instanceof ConfigError ? error.mistakes.map((mistake) => formatMistakes([mistake])) : [String(error)]
}
