// Compiles a valid config into a snapshot. Pure: it reads no files and no clock, and keeps no state.
import { createHash } from 'node:crypto'
import { type AuthPolicy, USER_ID_HEADER } from '../../model/auth.ts'
import type { Context, FieldRules, HeaderRules, InverseRewrite, Route } from '../../model/route.ts'
import { NO_CONTROLS, type Snapshot } from '../../model/snapshot.ts'
import type {
  HeaderRule,
  ValidAuth,
  ValidConfig,
  ValidHeaders,
  ValidIdentity,
  ValidRoute,
  ValidUnowned,
} from '../schema/valid-config.ts'
import { type CompiledRoute, compileMatch } from './match.ts'
import { compileTrust } from './trust.ts'
import { invertRewrite } from './unrewrite.ts'

/** Returns the snapshot of a config without operators' overrides. PEM files must already be text. */
export function compile(valid: ValidConfig): Snapshot {
  const { legacy, unowned, services, limits, retries, ejection, drain, shadowing } = valid
  const contexts = new Map<string, Context>()
  const claimed: CompiledRoute[] = []
  for (const { routes, ...written } of valid.contexts.values()) {
    // Validation guarantees that the service exists.
    const context: Context = { ...written, service: services.get(written.service)! }
    contexts.set(context.name, context)
    const unrewrites = routes.map(invertRewrite)
    for (const [index, route] of routes.entries())
      claimed.push({
        written: route,
        route: compileRoute(route, context, limits.bodyBytes, inverseRewritesFor(routes, index, unrewrites)),
      })
  }
  const routes = claimed.map(({ route }) => route)
  return {
    generation: 0,
    edition: 1,
    controls: NO_CONTROLS,
    legacy,
    services,
    contexts,
    routes,
    match: compileMatch(claimed, unownedRoute(unowned, limits.bodyBytes), valid.matching),
    trustsProxy: compileTrust(valid.trustedProxies),
    identity: compileIdentity(valid.identity, routes),
    limits,
    retries,
    ejection,
    drain,
    shadowing,
  }
}

/** Returns the inverse rewrite of the route, then those of the other routes of the context on the same host. */
function inverseRewritesFor(
  routes: readonly ValidRoute[],
  own: number,
  unrewrites: readonly (InverseRewrite | undefined)[],
): InverseRewrite[] {
  const host = routes[own]?.host
  const others = unrewrites.filter((_, i) => i !== own && (routes[i]?.host === undefined || routes[i].host === host))
  return [unrewrites[own], ...others].filter((unrewrite) => unrewrite !== undefined)
}

function compileRoute(
  written: ValidRoute,
  context: Context,
  bodyBytes: number,
  unrewrites: readonly InverseRewrite[],
): Route {
  return {
    pattern: written.pattern.text,
    context,
    rewrite: written.rewrite,
    inverseRewrites: unrewrites,
    timeouts: written.timeouts,
    maxBodyBytes: written.maxBodyBytes ?? bodyBytes,
    upgrade: written.upgrade,
    allowEncodedSlashes: written.allowEncodedSlashes,
    anonymous: written.anonymous,
    middleware: written.middleware,
    headers: compileHeaders(written.headers),
    auth: written.auth && compileAuth(written.auth),
    shadow: written.shadow,
  }
}

function compileHeaders(written: ValidHeaders | undefined): HeaderRules | undefined {
  const request = compileRules(written?.request)
  const response = compileRules(written?.response)
  return request === undefined && response === undefined ? undefined : { request, response }
}

function compileRules(rules: ReadonlyMap<string, HeaderRule> | undefined): FieldRules | undefined {
  if (rules === undefined || rules.size === 0) return undefined
  const set = [...rules.values()].flatMap(({ name, value }) => (value === undefined ? [] : [name, value]))
  return { names: new Set(rules.keys()), set }
}

/** The id is a hash of the policy, which may contain a secret: the id itself may appear in logs. */
function compileAuth({ path: _path, ...policy }: ValidAuth): AuthPolicy {
  const id = createHash('sha256').update(JSON.stringify(policy)).digest('base64url')
  return { ...policy, id }
}

/** The route of all paths that no context owns: the monolith's, including WebSockets. */
function unownedRoute({ headers, middleware }: ValidUnowned, bodyBytes: number): Route {
  return {
    pattern: 'unowned',
    context: undefined,
    rewrite: undefined,
    inverseRewrites: [],
    timeouts: undefined,
    maxBodyBytes: bodyBytes,
    upgrade: true,
    allowEncodedSlashes: undefined,
    anonymous: undefined,
    middleware,
    headers: compileHeaders(headers),
    auth: undefined,
    shadow: undefined,
  }
}

function compileIdentity({ user, session, anonymous }: ValidIdentity, routes: readonly Route[]): Snapshot['identity'] {
  return {
    user: user === undefined ? undefined : { header: user.header, trusts: compileTrust(user.trust) },
    session,
    anonymous,
    claimHeaders: claimHeaders(routes),
  }
}

/** The claim headers of all routes: a client must not send on one route a header that another route's service trusts. */
function claimHeaders(routes: readonly Route[]): ReadonlySet<string> | undefined {
  const policies = routes.flatMap(({ auth }) => auth ?? [])
  if (policies.length === 0) return undefined
  const headers = policies.flatMap(({ claims }) => claims.map(({ header }) => header))
  return new Set([USER_ID_HEADER, ...headers].map((header) => header.toLowerCase()))
}
