// The report of this gateway, which the other gateways of the fleet receive with every heartbeat.

import type { FleetMember, Heartbeat } from '../../model/fleet.ts'
import type { Clock } from '../../model/ports.ts'
import type { Context } from '../../model/route.ts'
import type { StateStore } from '../../model/state-store.ts'
import type { Events } from '../../telemetry/events.ts'
import { type WriteCounts, WritesSinceZero } from '../audit/service-writes.ts'
import { contextStateAt } from '../context-state.ts'
import type { Flags } from '../flags/flags.ts'
import { LastMinute, type RequestCounts } from './last-minute.ts'

export type GatewayIdentity = {
  readonly id: string
  /** The process, new with each start. */
  readonly instance: string
  readonly version: string
  /** Milliseconds since 1970. */
  readonly startedAt: number
  /** The address of the admin API for other gateways. */
  readonly address: () => string
}

export type TrafficCounts = {
  /** Requests in flight, by context and side. */
  readonly inFlight: () => RequestCounts
  /** Requests since the start, by context and side. */
  readonly sinceStart: () => RequestCounts
  /** Writes that the service has answered with 2xx or 3xx since the start, by context. */
  readonly serviceWrites: () => WriteCounts
}

type OwnHeartbeatOptions = {
  readonly store: StateStore
  readonly clock: Clock
  readonly events: Events
  readonly flags: Flags
  readonly contexts: () => ReadonlyMap<string, Context>
  readonly traffic: TrafficCounts
  readonly self: GatewayIdentity
  /** The contexts in the kill file of this gateway. */
  readonly localKill: () => readonly string[]
  /** The generation in use. */
  readonly applied: () => number
}

/** A report of the previous process with this id may arrive this late, in milliseconds. Later reports are of a duplicate. */
const DUPLICATE_MS = 2500
const OWN_ID = 'give this one a state folder of its own without the file gateway-id, or a --name of its own'

export class OwnHeartbeat {
  readonly #options: OwnHeartbeatOptions
  readonly #lastMinute = new LastMinute()
  readonly #writes = new WritesSinceZero()
  /** By process: when another process with our id was noticed first. */
  readonly #sameId = new Map<string, number>()
  #isDuplicate = false

  constructor(options: OwnHeartbeatOptions) {
    this.#options = options
  }

  report(): Heartbeat {
    const { flags, contexts, self, traffic, clock, localKill, applied } = this.#options
    const { stale, ageMs, source } = flags.status()
    const percentages = Object.fromEntries(
      [...contexts()].map(([name, { flag }]) => [name, flags.percentage(flag).percentage]),
    )
    const isAtZero = (name: string) => this.#isAtZero(name, percentages[name])
    return {
      id: this.#isDuplicate ? `${self.id}~${self.instance}` : self.id,
      instance: self.instance,
      ...(this.#isDuplicate ? { duplicateOf: self.id } : {}),
      version: self.version,
      address: self.address(),
      startedAt: self.startedAt,
      applied: applied(),
      localKill: localKill(),
      percentages,
      flags: { source, stale, ageMs: ageMs ?? null },
      inFlight: traffic.inFlight(),
      lastMinute: this.#lastMinute.add(traffic.sinceStart(), clock.now()),
      serviceWrites: this.#writes.observe(traffic.serviceWrites(), contexts().keys(), isAtZero),
    }
  }

  /**
   * Notices a report with our own id from another process: the state folder was copied, or a name was given twice. The process
   * that was started later takes another id, so that both are listed.
   */
  noticeDuplicate({ id, instance, startedAt }: Heartbeat): void {
    const { self, clock, events, store } = this.#options
    if (this.#isDuplicate || id !== self.id || instance === undefined || instance === self.instance) return
    const since = this.#sameId.get(instance)
    if (since === undefined) return void this.#sameId.set(instance, clock.now())
    if (clock.now() - since < DUPLICATE_MS) return
    const isLater = startedAt === self.startedAt ? instance < self.instance : startedAt < self.startedAt
    if (!isLater) return
    this.#isDuplicate = true
    const error = new Error(`another gateway that runs has the id "${id}": ${OWN_ID}`)
    events.storeFailed({ location: store.status().location, error })
  }

  /** @returns undefined while the percentage is unknown */
  #isAtZero(context: string, percentage: number | null | undefined): boolean | undefined {
    const { store } = this.#options
    if (contextStateAt(store.current(), context, store.wallTime()).pin?.side === 'service') return false
    return percentage === null || percentage === undefined ? undefined : percentage === 0
  }
}

/** Why a duplicate has not converged; undefined for any other gateway. */
export function describeDuplicate({ duplicateOf }: FleetMember): string | undefined {
  return duplicateOf === undefined ? undefined : `has the id of "${duplicateOf}", which runs too: ${OWN_ID}`
}
