// Whether a gateway of the fleet has applied a change, by its last report. Pure.

import type { FleetMember } from '../../model/fleet.ts'
import type { Side } from '../../model/route.ts'

/** A gateway without a report for this long, in milliseconds, is silent: changes do not wait for it. */
export const SILENT_MS = 3500

/** The report of a gateway that has converged. */
export type Expected = {
  readonly generation: number
  /** The percentage that its flags must have; undefined if the change moves no percentage. */
  readonly flip?: { readonly context: string; readonly percentage: number } | undefined
  /** The side that a context, or with null every context, does not use any more: its requests in flight are counted. */
  readonly abandoned?: { readonly context: string | null; readonly side: Side } | undefined
  /** The context, or null for all, whose writes to the service are summed. */
  readonly writesOf?: string | null | undefined
}

export function isSilent({ silentMs }: FleetMember): boolean {
  return silentMs >= SILENT_MS
}

export function describeSilence({ silentMs }: FleetMember): string {
  return `silent for ${Math.round(silentMs / 1000)} s`
}

/** @returns why the gateway has not converged; undefined if it has */
export function lagOf(member: FleetMember, { generation, flip }: Expected): string | undefined {
  if (member.applied < generation) {
    return isSilent(member) ? describeSilence(member) : `still at generation ${member.applied}`
  }
  if (flip === undefined) return undefined
  const percentage = member.percentages[flip.context]
  if (percentage === flip.percentage || percentage === undefined) return undefined
  return percentage === null ? 'its flag has no single percentage' : `still at ${percentage} %`
}

/** Requests in flight on the abandoned side, as the gateway reported them when it had applied the change. */
export function inFlightOf({ inFlight }: FleetMember, { abandoned }: Expected): number {
  if (abandoned === undefined) return 0
  const contexts = abandoned.context === null ? Object.values(inFlight) : [inFlight[abandoned.context]]
  return contexts.reduce((sum, counts) => sum + (counts?.[abandoned.side] ?? 0), 0)
}
