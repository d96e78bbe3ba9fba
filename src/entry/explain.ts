// Applies the policy to a request that is described and not sent: for `strangler explain`. A composition root like
// gateway.ts, without a listener.
import type { ExplainRequest, Explanation } from '../admin/contract/explanation.ts'
import { ConfigError } from '../config/config-error.ts'
import { compile } from '../config/load/compile.ts'
import { loadConfig } from '../config/load/load.ts'
import type { Options } from '../config/options/options.ts'
import type { FlagTrace } from '../control/flags/flag-trace.ts'
import type { Flags } from '../control/flags/flags.ts'
import type { AuthPolicy } from '../model/auth.ts'
import { type Decision, type Identity, REASONS } from '../model/decision.ts'
import { FAILURES } from '../model/failures.ts'
import type { HealthReader } from '../model/ports.ts'
import type { RequestHead } from '../model/request-head.ts'
import type { AnonymousPolicy, Context, FieldRules } from '../model/route.ts'
import type { Snapshot } from '../model/snapshot.ts'
import { applyPolicy, type Policy } from '../proxy/policy/apply-policy.ts'
import { flagContext } from '../proxy/policy/decide.ts'
import { gatherFacts } from '../proxy/policy/gather-facts.ts'
import type { Identify } from '../proxy/policy/identify.ts'
import { matchRoute } from '../proxy/policy/match-route.ts'
import { upstreamPath } from '../proxy/policy/path.ts'
import { readHead } from '../proxy/policy/read-head.ts'
import { Refusal } from '../proxy/policy/refusal.ts'
import { upstreamFor } from '../proxy/policy/upstream-for.ts'
import { quietEvents } from '../telemetry/quiet-events.ts'
import { createFlags } from './create-flags.ts'
import { systemClock, systemRandom } from './runtime.ts'

type Decided = Extract<Explanation, { kind: 'decided' }>

/**
 * Explains one request with the current config and flags. Only a running gateway knows the health of upstreams, so
 * every address counts as available.
 *
 * @throws {ConfigError} if the config cannot be used
 */
export async function explainRequest(options: Options, request: ExplainRequest): Promise<Explanation> {
  const loaded = await loadConfig(options.config)
  if (!loaded.ok) throw new ConfigError(options.config, loaded.mistakes)
  const snapshot = compile(loaded.config)
  const flags = createFlags(options, quietEvents, systemClock)
  await flags.start()
  try {
    return explainWith({ snapshot, flags, health: { isAvailable: () => true } }, request)
  } finally {
    await flags.stop()
  }
}

/** The state that a decision reads, at one moment. */
type ExplainSources = {
  readonly snapshot: Snapshot
  readonly flags: Flags
  readonly health: HealthReader
}

/** Explains one request with the state of a running gateway. */
export function explainWith(sources: ExplainSources, request: ExplainRequest): Explanation {
  const { snapshot, flags, health } = sources
  const requestLine = `${request.method} ${request.target}`
  const policy = policyOf(sources, request)
  const refusal = policy instanceof Refusal ? policy : policy.refusal
  if (refusal !== undefined || policy instanceof Refusal) return refused(requestLine, refusal as Refusal)
  const { head, identity, route, decision } = policy
  const { context } = route
  const flag = context && flags.trace(context.flag, flagContext(head, identity, context))
  return {
    kind: 'decided',
    request: requestLine,
    path: head.path,
    route: route.pattern,
    context: context && { name: context.name, owner: context.owner },
    auth: route.auth && explainAuth(route.auth, request.user),
    identity,
    identityTrouble: identityTrouble(request, snapshot, route.auth !== undefined),
    flag,
    hashWarning: flag && hashWarningOf(flag),
    flagTrouble: flags.status().trouble,
    side: decision.side,
    reason: decision.reason,
    because: REASONS[decision.reason],
    url: urlOf(policy),
    fallback: decision.fallback,
    serviceTrouble: serviceTrouble(decision, context, health),
    headers: route.headers && {
      request: changedFields(route.headers.request),
      response: changedFields(route.headers.response),
    },
  }
}

/** The policy that a real request meets, with the given ids in place of its fields and its token. */
function policyOf({ snapshot, flags, health }: ExplainSources, request: ExplainRequest): Policy | Refusal {
  const head = headOf(request, snapshot)
  if (head instanceof Refusal) return head
  const authenticate = (_head: RequestHead, policy: AuthPolicy) => refuseWithoutUser(policy, request.user)
  const facts = gatherFacts(head, matchRoute(head, snapshot), { authenticate })
  if (facts instanceof Refusal) return facts
  const identify: Identify = (_head, { identity }, route) => identityOf(request, route?.anonymous ?? identity.anonymous)
  return applyPolicy(facts, snapshot, { identify, flags, upstreams: health })
}

function serviceTrouble({ side }: Decision, context: Context | undefined, health: HealthReader): string | undefined {
  if (side !== 'service' || context === undefined || health.isAvailable(context.service)) return undefined
  return `no address of "${context.service.name}" is available: this request is answered 503 until a health check passes`
}

function changedFields(rules: FieldRules | undefined): NonNullable<Decided['headers']>['request'] {
  const set = (rules?.set ?? []).filter((_, index) => index % 2 === 0)
  const lower = new Set(set.map((name) => name.toLowerCase()))
  return { set, removed: [...(rules?.names ?? [])].filter((name) => !lower.has(name)) }
}

function explainAuth({ issuer, optional }: AuthPolicy, user: string | undefined) {
  const note =
    user === undefined
      ? `the route accepts a token of ${issuer} and does not require one`
      : `--user stands for a verified token of ${issuer} with this sub`
  return { issuer, optional, note }
}

/** A given user counts as the user of a valid token. */
function refuseWithoutUser({ issuer, optional }: AuthPolicy, user: string | undefined): Refusal | undefined {
  if (optional || user !== undefined) return undefined
  return new Refusal(
    'unauthenticated',
    `the route requires a token of ${issuer}; add --user ID for a token with the sub ID`,
  )
}

function refused(request: string, { failure, detail }: Refusal): Explanation {
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
  return readHead(raw, snapshot)
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

function urlOf({ head, match, route, decision, snapshot }: Policy): string {
  const { urls } = upstreamFor(route, decision.side, snapshot)
  return `${urls[0] ?? ''}${upstreamPath(head, match, decision.side)}`
}
