// The gateways of the fleet, with those that cannot be reached while the store is away.

import type { FleetMember, Heartbeat } from '../../model/fleet.ts'
import type { Clock } from '../../model/ports.ts'
import type { StateStore } from '../../model/state-store.ts'
import type { FleetView } from '../control.ts'
import type { FlagAuthority } from '../flags/flag-authority.ts'
import { percentageLag } from './expected-percentages.ts'
import { describeSilence, isSilent, lagOf, SILENT_MS } from './member-lag.ts'
import { describeDuplicate } from './own-heartbeat.ts'

type FleetMembersOptions = {
  readonly store: StateStore
  readonly clock: Clock
  readonly authority: FlagAuthority
  /** The report of this gateway now. */
  readonly report: () => Heartbeat
  /** The id of this gateway. */
  readonly id: string
}

/** A store remembers a silent gateway for as long. */
const REMEMBERED_MS = 15 * 60_000

export class FleetMembers {
  readonly #options: FleetMembersOptions
  /** The other gateways by id: their last reports, and when they arrived. */
  readonly #lastReports = new Map<string, { readonly member: FleetMember; readonly receivedAt: number }>()

  constructor(options: FleetMembersOptions) {
    this.#options = options
  }

  async view(): Promise<FleetView> {
    const { store, authority } = this.#options
    const state = store.current()
    const { generation } = state
    const members = await store.fleet().then(
      (read) => this.#rememberAll(read),
      () => this.#remembered(),
    )
    const percentages = authority.expectedPercentages(state, members)
    const lag = (member: FleetMember) =>
      isSilent(member)
        ? describeSilence(member)
        : (describeDuplicate(member) ?? lagOf(member, { generation }) ?? percentageLag(member, percentages))
    return {
      generation,
      members: members.map((member) => {
        const why = lag(member)
        return { ...member, isConverged: why === undefined, lag: why ?? null }
      }),
    }
  }

  /** A restarted gateway may have a new id: reports are forgotten after a time, or they would pile up. */
  remember(member: FleetMember): void {
    const now = this.#options.clock.now()
    for (const [id, { receivedAt }] of this.#lastReports)
      if (now - receivedAt > REMEMBERED_MS) this.#lastReports.delete(id)
    if (member.id !== this.#options.id) this.#lastReports.set(member.id, { member, receivedAt: now })
  }

  #rememberAll(members: readonly FleetMember[]): readonly FleetMember[] {
    this.#lastReports.clear()
    for (const member of members) this.remember(member)
    return members
  }

  /** While the store is away the other gateways count as silent, and are still listed: an operator may have to go there. */
  #remembered(): readonly FleetMember[] {
    const { clock, report } = this.#options
    const others = [...this.#lastReports.values()].map(({ member, receivedAt }) => {
      const silentMs = Math.max(SILENT_MS, member.silentMs + clock.now() - receivedAt)
      return { ...member, silentMs }
    })
    return [{ ...report(), silentMs: 0 }, ...others]
  }
}
