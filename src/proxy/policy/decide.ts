// The decision: which side answers a request, and why. Pure.
import type { Decision, FlagContext, Identity, Reason } from '../../model/decision.ts'
import { hostName } from '../../model/host-name.ts'
import type { Outcome } from '../../model/outcome.ts'
import type { FlagReader, HealthReader } from '../../model/ports.ts'
import type { RequestHead } from '../../model/request-head.ts'
import type { Context, Route } from '../../model/route.ts'
import type { Snapshot } from '../../model/snapshot.ts'
import { isRead } from '../forward/may-repeat.ts'

/** The head and the route of the request to decide. */
type DecisionFacts = {
  readonly head: RequestHead
  readonly match: { readonly route: Pick<Route, 'context'> }
}

/** The state in memory that a decision reads. */
type DecisionSources = { readonly flags: FlagReader; readonly upstreams: HealthReader }

/** Decides one request. Legacy answers whenever an input is missing, and the reason names that input. */
export function decide(
  { head, match }: DecisionFacts,
  identity: Identity,
  { controls }: Pick<Snapshot, 'controls'>,
  { flags, upstreams: health }: DecisionSources,
): Decision {
  const { context } = match.route
  if (context === undefined) return LEGACY.unowned
  if (controls.isKilled) return LEGACY.killed
  const pin = controls.pins.get(context.name)
  if (pin === 'legacy') return LEGACY.pinned
  if (pin === 'service') return toService(context, head.method, health, PINNED)
  if (context.whenStale === 'legacy' && flags.isOlderThan(context.staleAfterMs)) return LEGACY['flags-stale']
  if (identity.kind === 'none' && !flags.isFullyOn(context.flag)) return LEGACY['no-identity']

  switch (flags.evaluate(context.flag, flagContext(head, identity, context))) {
    case 'stale':
      return LEGACY['flags-stale']
    case 'missing':
      return LEGACY['flag-missing']
    case 'off':
      return LEGACY['flag-off']
    case 'on':
      return toService(context, head.method, health, FLAG_ON)
  }
}

/** The service answers, unless all its addresses are unavailable and legacy may answer this method instead. */
function toService(
  { fallback, service }: Context,
  method: string,
  health: HealthReader,
  decisions: ServiceDecisions,
): Decision {
  const mayFallBack = fallback === 'all' || (fallback === 'reads' && isRead(method))
  if (!mayFallBack) return decisions.withoutFallback
  return health.isAvailable(service) ? decisions.withFallback : LEGACY['service-unavailable']
}

/**
 * The Unleash context of a request: the user id, and the session id if the client has both. A service that evaluates the
 * flag for the same user, session or address gets the same result, because Unleash hashes the same value.
 */
export function flagContext(head: RequestHead, identity: Identity, context: Context): FlagContext {
  const fields: FlagContext = {
    remoteAddress: identity.clientAddress,
    properties: { context: context.name, method: head.method, host: hostName(head.host) },
  }
  if (identity.kind === 'user') {
    fields.userId = identity.key
    if (identity.session !== undefined) fields.sessionId = identity.session
  } else if (identity.kind !== 'none') fields.sessionId = identity.key
  return fields
}

type ServiceDecisions = { readonly withFallback: Decision; readonly withoutFallback: Decision }

const FLAG_ON = serviceDecisions('flag-on')
const PINNED = serviceDecisions('pinned')

function serviceDecisions(reason: Reason): ServiceDecisions {
  return {
    withFallback: { side: 'service', reason, fallback: true },
    withoutFallback: { side: 'service', reason, fallback: false },
  }
}

/** The decision that took effect: `fell-back` if legacy answered in place of the service. */
export function effectiveDecision(decision: Decision, outcome: Outcome): Decision {
  return outcome.fallbackCause === undefined ? decision : FELL_BACK
}

const FELL_BACK: Decision = { side: 'legacy', reason: 'fell-back', fallback: false }

/** Allocated once: a decision allocates nothing. */
const LEGACY = Object.fromEntries(
  (
    [
      'unowned',
      'killed',
      'pinned',
      'no-identity',
      'flags-stale',
      'flag-missing',
      'flag-off',
      'service-unavailable',
    ] as const satisfies Reason[]
  ).map((reason) => [reason, { side: 'legacy', reason, fallback: false }]),
) as Record<Exclude<Reason, 'flag-on' | 'fell-back'>, Decision>
