// Counts the writes that the service of each context has answered since the context was last at 0 %. Legacy lacks their data, which
// an operator must know before a rollback.
import type { FleetMember, ServiceWrites } from '../../model/fleet.ts'

/** Writes that the service has answered since the gateway started, by context. */
export type WriteCounts = Readonly<Record<string, number>>

type Start = {
  /** The count when the context was last at 0 %. */
  count: number
  /** The context was never observed at 0 %. */
  isLowerBound: boolean
  isAtZero: boolean
  /** The count of the last observation at 0 %. */
  countAtZero: number
}

/** The counts of one gateway. It observes the context with every report. */
export class WritesSinceZero {
  readonly #starts = new Map<string, Start>()

  /**
   * @param counts since the start of the gateway
   * @param isAtZero whether a context sends no request to its service, by its percentage or its pin; undefined if unknown
   */
  observe(
    counts: WriteCounts,
    contexts: Iterable<string>,
    isAtZero: (context: string) => boolean | undefined,
  ): ServiceWrites {
    return Object.fromEntries(
      [...contexts].map((context) => [context, this.#observeContext(context, counts, isAtZero(context))]),
    )
  }

  #observeContext(context: string, counts: WriteCounts, observed: boolean | undefined): ServiceWrites[string] {
    const count = counts[context] ?? 0
    const previous = this.#starts.get(context)
    // The percentage is unknown before the flags are read.
    if (previous === undefined && observed === undefined) return { count, isLowerBound: true }
    const isAtZero = observed === true
    const start = previous ?? { count: 0, isLowerBound: !isAtZero, isAtZero, countAtZero: 0 }
    this.#starts.set(context, start)
    // At 0 % the previous count stays: a rollback reports it. It is replaced when the context leaves 0 %.
    if (start.isAtZero && !isAtZero) {
      start.count = start.countAtZero
      start.isLowerBound = false
    }
    start.isAtZero = isAtZero
    if (isAtZero) start.countAtZero = count
    return { count: count - start.count, isLowerBound: start.isLowerBound }
  }
}

/**
 * The sum over a fleet.
 *
 * @param context null sums all contexts
 * @param isOutdated whether the last report of a member is too old to be complete
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
