// The product: which side answers a request, and why. It reads like the policy and is pure.
import type { Decision, FlagContext, Identity, Reason } from '../../model/decision.ts'
import { hostName } from '../../model/host-name.ts'
import type { Outcome } from '../../model/outcome.ts'
import type { FlagReader, HealthReader } from '../../model/ports.ts'
import type { RequestHead } from '../../model/request-head.ts'
import type { Context, Route } from '../../model/route.ts'
import type { Controls } from '../../model/snapshot.ts'
import { isRead } from '../forward/may-repeat.ts'

export type DecisionInput = {
  readonly controls: Controls
  readonly head: RequestHead
  readonly route: Route
  readonly identity: Identity
  readonly flags: FlagReader
  readonly health: HealthReader
}

/** Decides one request. Whatever is unknown is legacy, and the reason says so. */
export function decide({ controls, head, route, identity, flags, health }: DecisionInput): Decision {
  const context = route.context
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

/** To the service, unless none of its addresses is available and legacy may answer this method instead. */
function toService({ fallback, service }: Context, method: string, health: HealthReader, because: Because): Decision {
  const mayFallBack = fallback === 'all' || (fallback === 'reads' && isRead(method))
  if (!mayFallBack) return because.withoutFallback
  return health.isAvailable(service) ? because.withFallback : LEGACY['service-unavailable']
}

/**
 * The Unleash context of a request: the user id and the session id where the client has both. A service behind us that asks Unleash with the same user, session or address gets
 * the same answer, because the same evaluation hashes the same value.
 */
export function flagContext(head: RequestHead, identity: Identity, context: Context): FlagContext {
  const asked: FlagContext = {
    remoteAddress: identity.clientAddress,
    properties: { context: context.name, method: head.method, host: hostName(head.host) },
  }
  if (identity.kind === 'user') {
    asked.userId = identity.key
    if (identity.session !== undefined) asked.sessionId = identity.session
  } else if (identity.kind !== 'none') asked.sessionId = identity.key
  return asked
}

type Because = { readonly withFallback: Decision; readonly withoutFallback: Decision }

const FLAG_ON = because('flag-on')
const PINNED = because('pinned')

function because(reason: Reason): Because {
  return {
    withFallback: { side: 'service', reason, fallback: true },
    withoutFallback: { side: 'service', reason, fallback: false },
  }
}

/** The decision as it came out: a request that fell back was legacy's in the end, and its reason says so. */
export function effectiveDecision(decision: Decision, outcome: Outcome): Decision {
  return outcome.fallbackCause === undefined ? decision : FELL_BACK
}

const FELL_BACK: Decision = { side: 'legacy', reason: 'fell-back', fallback: false }

/** Made once: a decision allocates nothing. */
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
