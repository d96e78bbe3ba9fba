// Sends the heartbeats of this gateway, and waits until the other gateways have reported that they applied a change.

import type { FleetMember, Heartbeat } from '../../model/fleet.ts'
import type { Clock } from '../../model/ports.ts'
import type { StateStore } from '../../model/state-store.ts'
import { writesOfFleet } from '../audit/service-writes.ts'
import type { Convergence, Laggard } from '../control.ts'
import { type Expected, inFlightOf, isSilent, lagOf } from './member-lag.ts'
import { MemberReports } from './member-reports.ts'

type FleetOptions = {
  readonly store: StateStore
  readonly clock: Clock
  /** The report of this gateway now. */
  readonly report: () => Heartbeat
  /** How long a change waits for laggards, in milliseconds. Default: 5000. */
  readonly limitMs?: number
}

const HEARTBEAT_EVERY_MS = 1000
const LIMIT_MS = 5000

export class Fleet {
  readonly #store: StateStore
  readonly #clock: Clock
  readonly #report: () => Heartbeat
  readonly #limitMs: number
  #timer: NodeJS.Timeout | undefined

  constructor({ store, clock, report, limitMs = LIMIT_MS }: FleetOptions) {
    this.#store = store
    this.#clock = clock
    this.#report = report
    this.#limitMs = limitMs
  }

  start(): void {
    this.#timer = setInterval(() => this.sendHeartbeat(), HEARTBEAT_EVERY_MS)
    this.#timer.unref()
    this.sendHeartbeat()
  }

  /** Reports at once; not before the start and not after the end. The store reports its own failures. */
  sendHeartbeat(): void {
    if (this.#timer !== undefined) void this.#store.sendHeartbeat(this.#report()).catch(() => {})
  }

  async stop(): Promise<void> {
    clearInterval(this.#timer)
    this.#timer = undefined
    await this.#store.removeMember(this.#report().id).catch(() => {})
  }

  /**
   * Resolves when every gateway that is not silent has converged, or at the limit. Never rejects.
   *
   * @param startedAt when the change was requested, by the monotonic clock
   */
  async converge(expected: Expected, startedAt: number): Promise<Convergence> {
    const reports = new MemberReports(this.#store)
    const isMet = () => reports.members.every((member) => isSilent(member) || !this.#lags(member, expected))
    try {
      await reports.read()
      await reports.waitUntil(isMet, this.#limitMs)
    } catch (error) {
      return this.#unknownFleet(error, startedAt)
    } finally {
      reports.close()
    }
    return this.#summarize(reports.members, this.#stillExpected(expected), startedAt)
  }

  #lags(member: FleetMember, expected: Expected): boolean {
    return lagOf(member, this.#stillExpected(expected)) !== undefined
  }

  /** After another flip of the context, the later flip waits for its percentage, and this one does not. */
  #stillExpected({ flip, ...others }: Expected): Expected {
    if (flip === undefined) return others
    const { contexts } = this.#store.current()
    const recorded = Object.hasOwn(contexts, flip.context) ? contexts[flip.context]?.flip : undefined
    return (recorded?.percentage ?? flip.percentage) === flip.percentage ? { ...others, flip } : others
  }

  #summarize(members: readonly FleetMember[], expected: Expected, startedAt: number): Convergence {
    const laggards: Laggard[] = members.flatMap((member) => {
      const why = lagOf(member, expected)
      return why === undefined ? [] : [{ id: member.id, address: member.address, why }]
    })
    const inFlight = members.reduce((sum, member) => sum + inFlightOf(member, expected), 0)
    const applied = members.length - laggards.length
    const convergence = { applied, of: members.length, ms: this.#msSince(startedAt), laggards, inFlight }
    if (expected.writesOf === undefined) return convergence
    return { ...convergence, serviceWrites: writesOfFleet(members, expected.writesOf, isSilent) }
  }

  #unknownFleet(error: unknown, startedAt: number): Convergence {
    const why = `the store cannot list the gateways: ${error instanceof Error ? error.message : error}`
    const laggards = [{ id: 'unknown', address: 'unknown', why }]
    return { applied: 0, of: 0, ms: this.#msSince(startedAt), laggards, inFlight: 0 }
  }

  #msSince(startedAt: number): number {
    return Math.round(this.#clock.now() - startedAt)
  }
}
