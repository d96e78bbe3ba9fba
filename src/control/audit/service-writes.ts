// How many writes the service of each context has answered since the context was last at 0 %: legacy does not have their
// data, which an operator must know before a rollback.
import type { FleetMember, ServiceWrites } from '../../model/fleet.ts'

/** Writes that the service has answered, by context, since the gateway started. */
export type WriteCounts = Readonly<Record<string, number>>

/** Counts for one gateway. Pure state: it is shown what counts now, with every report. */
export class WritesSinceZero {
  /** By context: the count when the context was last seen at 0 %; `isLowerBound` if it was never seen there. */
  readonly #starts = new Map<string, { count: number; isLowerBound: boolean; isAtZero: boolean; atZero: number }>()

  /**
   * @param counts since the start of the gateway
   * @param isAtZero whether a context sends nobody to its service by its percentage or its pin; undefined if unknown
   */
  observe(
    counts: WriteCounts,
    contexts: Iterable<string>,
    isAtZero: (context: string) => boolean | undefined,
  ): ServiceWrites {
    return Object.fromEntries(
      [...contexts].map((context) => [context, this.#since(context, counts, isAtZero(context))]),
    )
  }

  #since(context: string, counts: WriteCounts, seen: boolean | undefined) {
    const count = counts[context] ?? 0
    const known = this.#starts.get(context)
    // Before the flags are read nothing is known of the percentage.
    if (known === undefined && seen === undefined) return { count, isLowerBound: true }
    const isAtZero = seen === true
    const start = known ?? { count: 0, isLowerBound: !isAtZero, isAtZero, atZero: 0 }
    this.#starts.set(context, start)
    // At 0 % the count of the time before is kept: a rollback reports it. The next start forgets it.
    if (start.isAtZero && !isAtZero) {
      start.count = start.atZero
      start.isLowerBound = false
    }
    start.isAtZero = isAtZero
    if (isAtZero) start.atZero = count
    return { count: count - start.count, isLowerBound: start.isLowerBound }
  }
}

/**
 * The sum over a fleet.
 *
 * @param context null sums every context
 * @param isOutdated whether a member's last report is too old to be complete
 */
export function writesOfFleet(
  members: readonly FleetMember[],
  context: string | null,
  isOutdated: (member: FleetMember) => boolean,
): { readonly count: number; readonly isLowerBound: boolean } {
  const reports = members.flatMap(({ serviceWrites }) => {
    if (serviceWrites === undefined) return []
    if (context === null) return Object.values(serviceWrites)
    return Object.hasOwn(serviceWrites, context) ? [serviceWrites[context]!] : []
  })
  const isIncomplete = members.some((member) => member.serviceWrites === undefined || isOutdated(member))
  return {
    count: reports.reduce((sum, { count }) => sum + count, 0),
    isLowerBound: isIncomplete || reports.some(({ isLowerBound }) => isLowerBound),
  }
}
