// What is told of how things stand: of each context, of this gateway, and of the fleet as far as it can be heard.

import type { FleetMember, Heartbeat } from '../model/fleet.ts'
import type { FlagPercentage } from '../model/ports.ts'
import type { Context } from '../model/route.ts'
import type { SharedState } from '../model/shared-state.ts'
import type { UpstreamReading } from '../model/upstream-reading.ts'
import { WritesSinceZero } from './audit/service-writes.ts'
import { contextOf } from './commands/verbs.ts'
import type { ContextView, FleetView, StatusView, UpstreamView } from './control.ts'
import { EVERYTHING } from './controls.ts'
import type { ControlOptions } from './create-control.ts'
import { percentageAmong } from './flags/embedded/embedded-writer.ts'
import { type ExpectedPercentages, expectedPercentages, percentageLag } from './fleet/expected-percentages.ts'
import { isSilent, lagOf, SILENT_MS, silence } from './fleet/fleet.ts'
import { LastMinute } from './fleet/last-minute.ts'

export type Views = {
  readonly status: () => Promise<StatusView>
  readonly fleet: () => Promise<FleetView>
  /** What this gateway would say of itself now. */
  readonly report: () => Heartbeat
  /** Another gateway has said something: it is remembered for when it cannot be heard. */
  readonly hear: (member: FleetMember) => void
  /** A report with our own id that is not ours: the state folder was copied, or a name was given twice. */
  readonly noticeDuplicate: (report: Heartbeat) => void
}

/** A report of the process that had this id before may come late. */
const DUPLICATE_MS = 2500

/** As long as a store remembers who fell silent. */
const REMEMBERED_MS = 15 * 60_000

type Options = ControlOptions & {
  readonly localKill: () => readonly string[]
  readonly killFileProblems: () => readonly string[]
  readonly applied: () => number
}

export function createViews(options: Options): Views {
  const { store, clock, flags, contexts, self, traffic, localKill, applied } = options
  const isEmbedded = options.useFlags !== undefined
  const minute = new LastMinute()
  const writes = new WritesSinceZero()
  /** The others, as they last said, and when. */
  const lastHeard = new Map<string, { readonly member: FleetMember; readonly at: number }>()

  /** By process: when another one with our id was heard of first. */
  const sameId = new Map<string, number>()
  let isDuplicate = false

  return { status, fleet, report, hear, noticeDuplicate }

  async function status(): Promise<StatusView> {
    const state = await store.read().catch(() => store.current())
    const view = await fleet()
    return {
      gateway: report().id,
      generation: state.generation,
      kill: state.kill,
      localKill: localKill(),
      killFileProblems: options.killFileProblems(),
      rejectedFiles: options.rejectedFiles(),
      legacy: upstreamView(({ side }) => side === 'legacy'),
      store: store.status(),
      stateFolder: options.stateFolder(),
      flags: flags.status(),
      contexts: [...contexts().values()].map((context) => viewOf(context, state, view.members)),
      fleet: view,
    }
  }

  async function fleet(): Promise<FleetView> {
    const state = store.current()
    const { generation } = state
    const members = await store.fleet().then(remembered, silentSince)
    const percentages = percentagesInForce(state, members)
    return {
      generation,
      members: members.map((member) => {
        const lag = isSilent(member)
          ? silence(member)
          : (duplication(member) ?? lagOf(member, { generation }) ?? percentageLag(member, percentages))
        return { ...member, isConverged: lag === undefined, lag: lag ?? null }
      }),
    }
  }

  /** Of two processes with one id, the one that was started later takes another, so that both are listed. */
  function noticeDuplicate({ id, instance, startedAt }: Heartbeat): void {
    if (isDuplicate || id !== self.id || instance === undefined || instance === self.instance) return
    const since = sameId.get(instance)
    if (since === undefined) return void sameId.set(instance, clock.now())
    if (clock.now() - since < DUPLICATE_MS) return
    const isLater = startedAt === self.startedAt ? instance < self.instance : startedAt < self.startedAt
    if (!isLater) return
    isDuplicate = true
    const error = new Error(`another gateway that runs has the id "${id}": ${OWN_ID}`)
    options.events.storeTroubled({ location: store.status().location, error })
  }

  /** Embedded flags are part of the state, and so of its generation: each gateway that has applied it has them. */
  function percentagesInForce(state: SharedState, members: readonly FleetMember[]): ExpectedPercentages {
    return isEmbedded ? new Map() : expectedPercentages(state, members, store.wallTime())
  }

  function remembered(members: readonly FleetMember[]): readonly FleetMember[] {
    lastHeard.clear()
    members.forEach(hear)
    return members
  }

  /** Every restart of another gateway is a new id: who was not heard for long goes, or they would pile up. */
  function hear(member: FleetMember): void {
    const now = clock.now()
    for (const [id, { at }] of lastHeard) if (now - at > REMEMBERED_MS) lastHeard.delete(id)
    if (member.id !== self.id) lastHeard.set(member.id, { member, at: now })
  }

  /** Who cannot be heard just now is not forgotten: somebody may have to go there. */
  function silentSince(): readonly FleetMember[] {
    const silentFor = ({ silentMs }: FleetMember, at: number) => Math.max(SILENT_MS, silentMs + clock.now() - at)
    const others = [...lastHeard.values()].map(({ member, at }) => ({ ...member, silentMs: silentFor(member, at) }))
    return [{ ...report(), silentMs: 0 }, ...others]
  }

  function viewOf(context: Context, state: SharedState, members: readonly FleetMember[]): ContextView {
    const { name, owner, flag, service, rollback } = context
    const { pin, freeze, flip, shadow, changed } = contextOf(state, name, store.wallTime())
    const said = isEmbedded && state.flags !== null ? percentageAmong(state.flags, flag) : flags.percentage(flag)
    const { percentage } = said
    const local = localKill()
    const isKilled = state.kill !== null || local.includes(EVERYTHING) || local.includes(name)
    const lastMinute = { legacy: 0, service: 0 }
    for (const member of members) {
      if (isSilent(member)) continue
      lastMinute.legacy += member.lastMinute[name]?.legacy ?? 0
      lastMinute.service += member.lastMinute[name]?.service ?? 0
    }
    return {
      name,
      owner,
      flag,
      service: service.name,
      percentage,
      why: said.why ?? null,
      isForMatching: said.isForMatching ?? false,
      serving: isKilled ? 'legacy' : (pin?.side ?? byFlag(context, said)),
      pin,
      freeze,
      flip,
      shadow: shadow ?? null,
      generation: changed?.generation ?? 0,
      rollback,
      lastMinute,
      fallback: context.fallback,
      upstream: upstreamView((upstream) => upstream.side === 'service' && upstream.name === service.name),
    }
  }

  function upstreamView(isMeant: (upstream: UpstreamReading) => boolean): UpstreamView | undefined {
    const upstream = options.upstreams().find(isMeant)
    if (upstream === undefined) return undefined
    const now = store.wallTime()
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

  function byFlag(
    { flag, whenStale, staleAfterMs }: Context,
    { percentage, isForMatching }: FlagPercentage,
  ): ContextView['serving'] {
    const answer = flags.evaluate(flag, {})
    const isOld = whenStale === 'legacy' && flags.isOlderThan(staleAfterMs)
    if (answer === 'missing' || answer === 'stale' || isOld || percentage === 0) return 'legacy'
    return percentage === 100 && !isForMatching ? 'service' : 'split'
  }

  function report(): Heartbeat {
    const { stale, ageMs, source } = flags.status()
    const { inFlight, sinceStart, serviceWrites } = traffic
    const percentages = Object.fromEntries(
      [...contexts()].map(([name, { flag }]) => [name, flags.percentage(flag).percentage]),
    )
    return {
      id: isDuplicate ? `${self.id}~${self.instance}` : self.id,
      instance: self.instance,
      ...(isDuplicate ? { duplicateOf: self.id } : {}),
      version: self.version,
      address: self.address(),
      startedAt: self.startedAt,
      applied: applied(),
      localKill: localKill(),
      percentages,
      flags: { source, stale, ageMs: ageMs ?? null },
      inFlight: inFlight(),
      lastMinute: minute.add(sinceStart(), clock.now()),
      serviceWrites: writes.observe(serviceWrites(), contexts().keys(), (name) => isAtZero(name, percentages[name])),
    }
  }

  /** Undefined while the percentage is not known. */
  function isAtZero(context: string, percentage: number | null | undefined): boolean | undefined {
    if (contextOf(store.current(), context, store.wallTime()).pin?.side === 'service') return false
    return percentage === null || percentage === undefined ? undefined : percentage === 0
  }
}

const OWN_ID = 'give this one a state folder of its own without the file gateway-id, or a --name of its own'

function duplication({ duplicateOf }: FleetMember): string | undefined {
  return duplicateOf === undefined ? undefined : `has the id of "${duplicateOf}", which runs too: ${OWN_ID}`
}
