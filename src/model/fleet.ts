// The members of a fleet, and the heartbeat that each of them sends.
import type { Side } from './route.ts'

/** What a gateway says of itself with every heartbeat. */
export type Heartbeat = {
  /** The same after a restart with the same state folder; of the previous version, new with each start. */
  readonly id: string
  /** The process, new with each start; not there in a report of the previous version. */
  readonly instance?: string
  /** The id that another gateway has too, which runs: the folder was copied, or the name was given twice. */
  readonly duplicateOf?: string
  readonly version: string
  /** Its admin surface, such as `http://10.0.0.7:8081`. */
  readonly address: string
  readonly startedAt: number
  /** The generation of the state that its requests are decided by. */
  readonly applied: number
  /** What its own kill file sends to legacy: contexts, or `*` for all. */
  readonly localKill: readonly string[]
  /** The percentage that it has of each context's flag; null where the flag has no single one. */
  readonly percentages: Readonly<Record<string, number | null>>
  readonly flags: { readonly source: string; readonly stale: boolean; readonly ageMs: number | null }
  /** Requests that are being answered, by context and side, as `applied` was applied. */
  readonly inFlight: Readonly<Record<string, Readonly<Record<Side, number>>>>
  /** Requests of the last minute by context and side. */
  readonly lastMinute: Readonly<Record<string, Readonly<Record<Side, number>>>>
  /** Absent in the reports of gateways before version 0.2. */
  readonly serviceWrites?: ServiceWrites
}

/**
 * By context: the writes that the service has answered with 2xx or 3xx since the context was last at 0 %, on one gateway.
 * `isLowerBound` if the gateway started after that.
 */
export type ServiceWrites = Readonly<Record<string, { readonly count: number; readonly isLowerBound: boolean }>>

/** A gateway of the fleet. `silentMs` is since its last heartbeat, by the store's clock. */
export type FleetMember = Heartbeat & { readonly silentMs: number }
