// A context as status shows it.

import type { FleetMember } from '../../model/fleet.ts'
import type { FlagPercentage } from '../../model/ports.ts'
import type { Context, Side } from '../../model/route.ts'
import type { SharedState } from '../../model/shared-state.ts'
import type { UpstreamReading } from '../../model/upstream-reading.ts'
import { contextStateAt } from '../context-state.ts'
import type { ContextView, UpstreamView } from '../control.ts'
import { EVERYTHING } from '../controls.ts'
import type { FlagAuthority } from '../flags/flag-authority.ts'
import type { Flags } from '../flags/flags.ts'
import { isSilent } from '../fleet/member-lag.ts'

type ContextViewInput = {
  readonly state: SharedState
  readonly members: readonly FleetMember[]
  readonly authority: FlagAuthority
  /** The contexts in the kill file of this gateway. */
  readonly localKill: readonly string[]
  readonly upstreams: readonly UpstreamReading[]
  /** Milliseconds since 1970, by the store's clock. */
  readonly now: number
}

export function viewContext(context: Context, input: ContextViewInput): ContextView {
  const { state, members, authority, localKill, upstreams, now } = input
  const { name, owner, flag, service, rollback, fallback } = context
  const { pin, freeze, flip, shadow, changed } = contextStateAt(state, name, now)
  const flagPercentage = authority.percentageIn(state, flag)
  const isKilled = state.kill !== null || localKill.includes(EVERYTHING) || localKill.includes(name)
  const isOwn = (upstream: UpstreamReading) => upstream.side === 'service' && upstream.name === service.name
  return {
    name,
    owner,
    flag,
    service: service.name,
    percentage: flagPercentage.percentage,
    why: flagPercentage.why ?? null,
    isForMatching: flagPercentage.isForMatching ?? false,
    serving: isKilled ? 'legacy' : (pin?.side ?? servingByFlag(context, flagPercentage, authority.flags)),
    pin,
    freeze,
    flip,
    shadow: shadow ?? null,
    generation: changed?.generation ?? 0,
    rollback,
    lastMinute: lastMinuteOf(name, members),
    fallback,
    upstream: viewUpstream(upstreams.find(isOwn), now),
  }
}

/** @returns undefined if this gateway does not know the upstream */
export function viewUpstream(upstream: UpstreamReading | undefined, now: number): UpstreamView | undefined {
  if (upstream === undefined) return undefined
  const { addresses, unavailable } = upstream
  return {
    addresses,
    available: addresses - unavailable.length,
    unavailable: unavailable.map(({ address, why, forMs, endsInMs }) => ({
      address,
      why,
      since: Math.round(now - forMs),
      until: endsInMs === null ? null : Math.round(now + endsInMs),
    })),
  }
}

/** Requests of the last minute on all gateways that report. */
function lastMinuteOf(name: string, members: readonly FleetMember[]): Record<Side, number> {
  const counts = { legacy: 0, service: 0 }
  for (const member of members) {
    if (isSilent(member)) continue
    counts.legacy += member.lastMinute[name]?.legacy ?? 0
    counts.service += member.lastMinute[name]?.service ?? 0
  }
  return counts
}

function servingByFlag(
  { flag, whenStale, staleAfterMs }: Context,
  { percentage, isForMatching }: FlagPercentage,
  flags: Flags,
): ContextView['serving'] {
  const answer = flags.evaluate(flag, {})
  const isOld = whenStale === 'legacy' && flags.isOlderThan(staleAfterMs)
  if (answer === 'missing' || answer === 'stale' || isOld || percentage === 0) return 'legacy'
  return percentage === 100 && !isForMatching ? 'service' : 'split'
}
