// A valid config becomes what a request meets. Pure: no files, no clock, nothing kept from the last time.
import type { Context, Route } from '../model/route.ts'
import type { Snapshot } from '../model/snapshot.ts'
import { type Claimed, compileMatch } from './match.ts'
import { compileTrust } from './trust.ts'
import type { ValidConfig, ValidIdentity, ValidRoute } from './valid-config.ts'

/** Builds the snapshot's config side; whoever publishes it adds the generation. TLS must be PEM text by now. */
export function compile(valid: ValidConfig): Omit<Snapshot, 'generation'> {
  const { legacy, services, limits, retries, ejection, drain } = valid
  const contexts = new Map<string, Context>()
  const claimed: Claimed[] = []
  for (const { routes, ...written } of valid.contexts.values()) {
    // Validation has seen that the service exists.
    const context: Context = { ...written, service: services.get(written.service)! }
    contexts.set(context.name, context)
    for (const route of routes) claimed.push({ written: route, route: compileRoute(route, context, limits.bodyBytes) })
  }
  return {
    legacy,
    services,
    contexts,
    routes: claimed.map(({ route }) => route),
    match: compileMatch(claimed, unownedRoute(limits.bodyBytes), valid.matching),
    trustsProxy: compileTrust(valid.trustedProxies),
    identity: compileIdentity(valid.identity),
    limits,
    retries,
    ejection,
    drain,
  }
}

function compileRoute(written: ValidRoute, context: Context, bodyBytes: number): Route {
  return {
    pattern: written.pattern.text,
    context,
    rewrite: written.rewrite,
    timeouts: written.timeouts,
    maxBodyBytes: written.maxBodyBytes ?? bodyBytes,
    upgrade: written.upgrade,
    middleware: written.middleware,
  }
}

/** What no context owns is the monolith's, and it is given everything it always had, WebSockets included. */
function unownedRoute(bodyBytes: number): Route {
  return {
    pattern: 'unowned',
    context: undefined,
    rewrite: undefined,
    timeouts: undefined,
    maxBodyBytes: bodyBytes,
    upgrade: true,
    middleware: [],
  }
}

function compileIdentity({ user, session, anonymous }: ValidIdentity): Snapshot['identity'] {
  return {
    user: user === undefined ? undefined : { header: user.header, trusts: compileTrust(user.trust) },
    session,
    anonymous,
  }
}
