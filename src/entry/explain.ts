// The same identify, match and decide as a request meets, without a socket: for `strangler explain`. A composition
// root like gateway.ts, for a gateway that serves nobody.
import { ConfigError } from '../config/config-error.ts'
import { compile } from '../config/load/compile.ts'
import { loadConfig } from '../config/load/load.ts'
import type { Options } from '../config/options/options.ts'
import type { FlagTrace } from '../control/flags/flag-trace.ts'
import type { Flags } from '../control/flags/flags.ts'
import type { AuthPolicy } from '../model/auth.ts'
import { type Decision, type Identity, REASONS, type Reason } from '../model/decision.ts'
import { FAILURES, type Failure } from '../model/failures.ts'
import type { HealthReader } from '../model/ports.ts'
import type { RequestHead } from '../model/request-head.ts'
import type { AnonymousPolicy, Context, FieldRules, RouteMatch, Side } from '../model/route.ts'
import type { Snapshot } from '../model/snapshot.ts'
import { refuseEncodedSlash } from '../proxy/handle-request.ts'
import { decide, flagContext } from '../proxy/policy/decide.ts'
import { matchRoute } from '../proxy/policy/match-route.ts'
import { upstreamPath } from '../proxy/policy/path.ts'
import { readHead } from '../proxy/policy/read-head.ts'
import { Refusal } from '../proxy/policy/refusal.ts'
import { quietEvents } from '../telemetry/quiet-events.ts'
import { createFlags } from './control-plane.ts'
import { systemClock, systemRandom } from './runtime.ts'

/** A request to be explained. The first id that is given is its identity; a session counts beside a user too. */
export type ExplainRequest = {
  readonly method: string
  readonly target: string
  readonly host: string
  readonly address: string
  readonly user?: string | undefined
  readonly session?: string | undefined
  readonly anonymous?: string | undefined
}

export type Explained =
  | {
      readonly kind: 'refused'
      readonly request: string
      readonly failure: Failure
      readonly status: number
      readonly detail: string
    }
  | {
      readonly kind: 'decided'
      readonly request: string
      /** The normal form, which is decided on and sent on. */
      readonly path: string
      readonly route: string
      readonly context: { readonly name: string; readonly owner: string } | undefined
      /** The token that the route asks for, and who stands for it here; undefined where it asks for none. */
      readonly auth: { readonly issuer: string; readonly optional: boolean; readonly note: string } | undefined
      readonly identity: Identity
      /** What keeps a request from having this identity; undefined if nothing does. */
      readonly identityTrouble: string | undefined
      readonly flag: FlagTrace | undefined
      /** Why another program can get another bucket for the same client; undefined if nothing suggests it. */
      readonly hashWarning: string | undefined
      /** Why the flags could not be read; undefined if they could. */
      readonly flagTrouble: string | undefined
      readonly side: Side
      readonly reason: Reason
      readonly because: string
      readonly url: string
      readonly fallback: boolean
      /** Why the service cannot answer now; undefined if it can, or if legacy is chosen. */
      readonly serviceTrouble: string | undefined
      /** The header rules that apply, without their values, which may be secrets. Undefined where there are none. */
      readonly headers: { readonly request: ChangedFields; readonly response: ChangedFields } | undefined
    }

/** Names of header fields. */
type ChangedFields = { readonly set: readonly string[]; readonly removed: readonly string[] }

/**
 * Explains one request by the config and the flags as they are now. Health is a running gateway's knowledge, so every
 * address counts as available here.
 *
 * @throws {ConfigError} if the config cannot be used
 */
export async function explainRequest(options: Options, asked: ExplainRequest): Promise<Explained> {
  const loaded = await loadConfig(options.config)
  if (!loaded.ok) throw new ConfigError(options.config, loaded.mistakes)
  const snapshot = compile(loaded.config)
  const flags = createFlags(options, quietEvents, systemClock)
  await flags.start()
  try {
    return explainWith({ snapshot, flags, health: { isAvailable: () => true } }, asked)
  } finally {
    await flags.stop()
  }
}

/** What decides, as it is at one moment. */
export type DecisionSources = {
  readonly snapshot: Snapshot
  readonly flags: Flags
  readonly health: HealthReader
}

/** Explains one request by what decides in a gateway that runs. */
export function explainWith({ snapshot, flags, health }: DecisionSources, asked: ExplainRequest): Explained {
  const request = `${asked.method} ${asked.target}`
  const head = headOf(asked, snapshot)
  if (head instanceof Refusal) return refused(request, head)
  const match = matchRoute(head, snapshot)
  const { route } = match
  const identity = identityOf(asked, route.anonymous ?? snapshot.identity.anonymous)
  if (route.auth !== undefined && !route.auth.optional && asked.user === undefined) {
    const detail = `the route asks for a token of ${route.auth.issuer}; say --user ID for one whose sub is ID`
    return refused(request, new Refusal('unauthenticated', detail))
  }
  const decision = decide({ controls: snapshot.controls, head, route, identity, flags, health })
  const slash = refuseEncodedSlash(head, match, decision, snapshot)
  if (slash !== undefined) return refused(request, slash)
  const { context } = route
  const flag = context && flags.trace(context.flag, flagContext(head, identity, context))
  return {
    kind: 'decided',
    request,
    path: head.path,
    route: route.pattern,
    context: context && { name: context.name, owner: context.owner },
    auth: route.auth && explainAuth(route.auth, asked.user),
    identity,
    identityTrouble: identityTrouble(asked, snapshot, route.auth !== undefined),
    flag,
    hashWarning: flag && hashWarningOf(flag),
    flagTrouble: flags.status().trouble,
    side: decision.side,
    reason: decision.reason,
    because: REASONS[decision.reason],
    url: urlOf(head, match, decision.side, snapshot),
    fallback: decision.fallback,
    serviceTrouble: serviceTrouble(decision, context, health),
    headers: route.headers && {
      request: changedFields(route.headers.request),
      response: changedFields(route.headers.response),
    },
  }
}

function serviceTrouble({ side }: Decision, context: Context | undefined, health: HealthReader): string | undefined {
  if (side !== 'service' || context === undefined || health.isAvailable(context.service)) return undefined
  return `no address of "${context.service.name}" is available: this request is answered 503 until a health check passes`
}

function changedFields(rules: FieldRules | undefined): ChangedFields {
  const set = (rules?.set ?? []).filter((_, index) => index % 2 === 0)
  const lower = new Set(set.map((name) => name.toLowerCase()))
  return { set, removed: [...(rules?.names ?? [])].filter((name) => !lower.has(name)) }
}

function explainAuth({ issuer, optional }: AuthPolicy, user: string | undefined) {
  const note =
    user === undefined
      ? `a token of ${issuer} is taken, and none is asked for`
      : `--user stands for a verified token of ${issuer} with this sub`
  return { issuer, optional, note }
}

function refused(request: string, { failure, detail }: Refusal): Explained {
  return { kind: 'refused', request, failure, status: FAILURES[failure].status, detail }
}

function headOf({ method, target, host, address }: ExplainRequest, snapshot: Snapshot): RequestHead | Refusal {
  const raw = {
    method,
    target,
    majorVersion: 1,
    minorVersion: 1,
    rawHeaders: ['Host', host],
    peerAddress: address,
    secure: false,
  } as const
  return readHead(raw, snapshot.limits, undefined)
}

function identityOf({ address, user, session, anonymous }: ExplainRequest, policy: AnonymousPolicy): Identity {
  const shared = { clientAddress: address, secure: false, requestId: '', isNew: false }
  if (user !== undefined) return { ...shared, kind: 'user', key: user, session }
  if (session !== undefined) return { ...shared, kind: 'session', key: session }
  if (anonymous !== undefined) return { ...shared, kind: 'anonymous', key: anonymous }
  switch (policy) {
    case 'legacy':
      return { ...shared, kind: 'none', key: '' }
    case 'ip':
      return { ...shared, kind: 'address', key: address }
    case 'cookie':
      return { ...shared, kind: 'anonymous', key: systemRandom().hex(16), isNew: true }
  }
}

function identityTrouble(
  { user, session }: ExplainRequest,
  { identity }: Snapshot,
  hasAuth: boolean,
): string | undefined {
  const missing = [
    user !== undefined && !hasAuth && identity.user === undefined
      ? 'no request has a user: the config has no identity.user'
      : undefined,
    session !== undefined && identity.session === undefined
      ? 'no request has a session: the config has no identity.session'
      : undefined,
  ]
  return missing.filter((sentence) => sentence !== undefined).join('; ') || undefined
}

/** SDKs agree on the hash of ASCII text only: some hash the bytes of UTF-8, unleash-client for Node hashes code units. */
function hashWarningOf({ strategies }: FlagTrace): string | undefined {
  const isAscii = (text: string) => /^\p{ASCII}*$/u.test(text)
  const hashed = strategies.flatMap(({ rollout }) => (rollout?.bucket === undefined ? [] : [rollout]))
  const risky = hashed.find(({ groupId, value = '' }) => !isAscii(`${groupId}${value}`))
  if (risky === undefined) return undefined
  return `"${risky.groupId}:${risky.value}" has characters outside ASCII: an Unleash SDK of another language can compute another bucket for it`
}

function urlOf(head: RequestHead, match: RouteMatch, side: Side, snapshot: Snapshot): string {
  const upstream = side === 'service' ? match.route.context?.service : snapshot.legacy
  return `${upstream?.urls[0] ?? ''}${upstreamPath(head, match, side)}`
}
