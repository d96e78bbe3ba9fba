// Who has applied what: this gateway's heartbeat, and the wait until all the others have said the same.

import type { FleetMember, Heartbeat } from '../../model/fleet.ts'
import type { Clock } from '../../model/ports.ts'
import type { Side } from '../../model/route.ts'
import type { StateStore } from '../../model/state-store.ts'
import { writesOfFleet } from '../audit/service-writes.ts'
import type { Convergence, Laggard } from '../control.ts'

export type Fleet = {
  readonly start: () => void
  /** Says at once what this gateway has applied; nothing before the start and after the end. */
  readonly tell: () => void
  /** Resolves when all that can be heard have, or the limit is up. Never rejects. */
  readonly converge: (expected: Expected, askedAt: number) => Promise<Convergence>
  readonly stop: () => Promise<void>
}

/** What a gateway must report to count as converged. */
export type Expected = {
  readonly generation: number
  /** Where a flip is waited for: the context and its percentage. */
  readonly flip?: { readonly context: string; readonly percentage: number } | undefined
  /** The side that a context, or with null every context, has left: what it is still answering is counted. */
  readonly left?: { readonly context: string | null; readonly side: Side } | undefined
  /** The context, or with null every context, whose writes to the service are summed. */
  readonly writesOf?: string | null | undefined
}

export type FleetOptions = {
  readonly store: StateStore
  readonly clock: Clock
  /** What this gateway would say now. */
  readonly report: () => Heartbeat
  /** How long laggards are waited for, in milliseconds. */
  readonly limitMs?: number
}

const BEAT_MS = 1000
/** From here on a gateway that says nothing is not waited for, only named. */
export const SILENT_MS = 3500
const LIMIT_MS = 5000
/** A word that was lost, and one who has left or fallen silent, is found so. */
const LOOK_EVERY_MS = 1000

export function createFleet({ store, clock, report, limitMs = LIMIT_MS }: FleetOptions): Fleet {
  let timer: NodeJS.Timeout | undefined
  return { start, tell, converge, stop }

  function start(): void {
    timer = setInterval(tell, BEAT_MS)
    timer.unref()
    tell()
  }

  /** A store that cannot be reached says so itself. */
  function tell(): void {
    if (timer !== undefined) void store.sendHeartbeat(report()).catch(() => {})
  }

  async function stop(): Promise<void> {
    clearInterval(timer)
    timer = undefined
    await store.removeMember(report().id).catch(() => {})
  }

  async function converge(expected: Expected, askedAt: number): Promise<Convergence> {
    let members = new Map<string, FleetMember>()
    let check = () => {}
    const forget = store.onHeartbeat((said) => {
      members.set(said.id, { ...said, silentMs: 0 })
      check()
    })
    const look = async () => {
      const there = await store.fleet()
      members = new Map(there.map((member) => [member.id, newer(member, members.get(member.id))]))
      check()
    }
    try {
      await look()
      const waits = () =>
        [...members.values()].some((one) => !isSilent(one) && lagOf(one, stillExpected(expected)) !== undefined)
      if (waits()) {
        await new Promise<void>((resolve) => {
          const looking = setInterval(() => void look().catch(() => {}), LOOK_EVERY_MS)
          const end = () => {
            clearInterval(looking)
            clearTimeout(limit)
            resolve()
          }
          const limit = setTimeout(end, limitMs)
          check = () => void (waits() || end())
        })
      }
    } catch (error) {
      return unknown(error, askedAt)
    } finally {
      forget()
    }
    return summary([...members.values()], stillExpected(expected), askedAt)
  }

  /** Who flips a context again takes over the wait for it. */
  function stillExpected({ flip, ...others }: Expected): Expected {
    if (flip === undefined) return others
    const { contexts } = store.current()
    const onRecord = Object.hasOwn(contexts, flip.context) ? contexts[flip.context]?.flip : undefined
    return (onRecord?.percentage ?? flip.percentage) === flip.percentage ? { ...others, flip } : others
  }

  function summary(members: readonly FleetMember[], expected: Expected, askedAt: number): Convergence {
    const laggards: Laggard[] = members.flatMap((member) => {
      const why = lagOf(member, expected)
      return why === undefined ? [] : [{ id: member.id, address: member.address, why }]
    })
    const inFlight = members.reduce((sum, member) => sum + underWay(member, expected), 0)
    const ms = Math.round(clock.now() - askedAt)
    const applied = members.length - laggards.length
    const convergence = { applied, of: members.length, ms, laggards, inFlight }
    if (expected.writesOf === undefined) return convergence
    return { ...convergence, serviceWrites: writesOfFleet(members, expected.writesOf, isSilent) }
  }

  function unknown(error: unknown, askedAt: number): Convergence {
    const why = `the store does not say who they are: ${error instanceof Error ? error.message : error}`
    const laggards = [{ id: 'unknown', address: 'unknown', why }]
    return { applied: 0, of: 0, ms: Math.round(clock.now() - askedAt), laggards, inFlight: 0 }
  }
}

/** Nobody waits for it, and what it said last is of the past. */
export function isSilent({ silentMs }: FleetMember): boolean {
  return silentMs >= SILENT_MS
}

export function silence({ silentMs }: FleetMember): string {
  return `silent for ${Math.round(silentMs / 1000)} s`
}

/** What was heard while the store was asked may be later than its answer. */
function newer(found: FleetMember, heard: FleetMember | undefined): FleetMember {
  return heard !== undefined && heard.applied > found.applied ? heard : found
}

export function lagOf(member: FleetMember, { generation, flip }: Expected): string | undefined {
  if (member.applied < generation) {
    return isSilent(member) ? silence(member) : `still at generation ${member.applied}`
  }
  if (flip === undefined) return undefined
  const has = member.percentages[flip.context]
  if (has === flip.percentage || has === undefined) return undefined
  return has === null ? 'its flag has no one percentage' : `still at ${has} %`
}

/** What a gateway was still doing on the side that was left, when it said that it has applied it. */
function underWay({ inFlight }: FleetMember, { left }: Expected): number {
  if (left === undefined) return 0
  const contexts = left.context === null ? Object.values(inFlight) : [inFlight[left.context]]
  return contexts.reduce((sum, counts) => sum + (counts?.[left.side] ?? 0), 0)
}
