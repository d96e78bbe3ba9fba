// The members of a fleet, and the heartbeat that each of them sends.
import type { Side } from './route.ts'

/** The report that a gateway sends with every heartbeat. */
export type Heartbeat = {
  /** The same after a restart with the same state folder. In reports of the previous version, new with each start. */
  readonly id: string
  /** The process: new with each start. Absent in reports of the previous version. */
  readonly instance?: string
  /** The id, if another running gateway has it too: the state folder was copied, or the name was given twice. */
  readonly duplicateOf?: string
  readonly version: string
  /** The address of its admin listener, such as `http://10.0.0.7:8081`. */
  readonly address: string
  readonly startedAt: number
  /** The generation of the state that decides its requests. */
  readonly applied: number
  /** The contexts that its own kill file sends to legacy; `*` stands for all. */
  readonly localKill: readonly string[]
  /** The percentage of each context's flag; null if the flag has no single percentage. */
  readonly percentages: Readonly<Record<string, number | null>>
  readonly flags: { readonly source: string; readonly stale: boolean; readonly ageMs: number | null }
  /** Requests in flight by context and side, at the time of the heartbeat. */
  readonly inFlight: Readonly<Record<string, Readonly<Record<Side, number>>>>
  /** Requests of the last minute by context and side. */
  readonly lastMinute: Readonly<Record<string, Readonly<Record<Side, number>>>>
  /** Absent in the reports of gateways before version 0.2. */
  readonly serviceWrites?: ServiceWrites
}

/**
 * The writes of each context that the service has answered with 2xx or 3xx on one gateway since the context was last at 0 %.
 * `isLowerBound` if the gateway has started since then.
 */
export type ServiceWrites = Readonly<Record<string, { readonly count: number; readonly isLowerBound: boolean }>>

/** A gateway of the fleet. `silentMs` is the time since its last heartbeat, by the clock of the store. */
export type FleetMember = Heartbeat & { readonly silentMs: number }
