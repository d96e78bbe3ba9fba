// The percentage that every gateway of a fleet should have of each context's flag, if Unleash is the authority. Pure.
import type { FleetMember } from '../../model/fleet.ts'
import type { SharedState } from '../../model/shared-state.ts'
import { contextStateAt } from '../context-state.ts'
import { isSilent } from './member-lag.ts'

/** By context; null if the flag has no single percentage. A context without a known percentage is left out. */
export type ExpectedPercentages = ReadonlyMap<string, number | null>

/** Unleash serves a percentage within this time after it was written, in milliseconds. */
export const SETTLED_MS = 2500

/**
 * The expected percentage is the last flip on record, unless Unleash was changed outside since. Otherwise it is the percentage of
 * the freshest gateway: the one that has read its flags last.
 *
 * The freshest gateway shows a change made outside if it has read its flags later than {@link SETTLED_MS} after the flip and has
 * another percentage. The 0 % of a rollback is not expected of any gateway: its pin is in force, and Unleash may not have it yet.
 *
 * @param now milliseconds since 1970, by the store's clock
 */
export function expectedPercentages(
  state: SharedState,
  members: readonly FleetMember[],
  now: number,
): ExpectedPercentages {
  const byFreshness = members
    .filter((member) => !isSilent(member) && hasFlags(member))
    .toSorted((left, right) => readAgoMs(left) - readAgoMs(right))
  const names = new Set(members.flatMap(({ percentages }) => Object.keys(percentages)))
  const expected = new Map<string, number | null>()
  for (const name of names) {
    const freshest = byFreshness.find(({ percentages }) => Object.hasOwn(percentages, name))
    const { flip } = contextStateAt(state, name, now)
    const isRecorded = flip !== null && flip.byRollback !== true
    if (isRecorded && (freshest === undefined || now - readAgoMs(freshest) < flip.at + SETTLED_MS))
      expected.set(name, flip.percentage)
    else if (freshest !== undefined) expected.set(name, freshest.percentages[name] ?? null)
  }
  return expected
}

/** @returns why a gateway decides by another percentage than expected; undefined if it does not */
export function percentageLag(member: FleetMember, expected: ExpectedPercentages): string | undefined {
  for (const [name, percentage] of expected) {
    const actual = member.percentages[name]
    if (actual === undefined || actual === percentage) continue
    if (!hasFlags(member)) return 'has never read its flags'
    const age = `from flags read ${Math.round(readAgoMs(member) / 1000)} s ago`
    const lag = actual === null ? 'at no single percentage' : `still at ${actual} %`
    return `${lag} instead of ${percentage === null ? 'no single percentage' : `${percentage} %`} for ${name}, ${age}`
  }
  return undefined
}

function hasFlags({ flags }: FleetMember): boolean {
  return !flags.stale && flags.ageMs !== null
}

function readAgoMs({ flags, silentMs }: FleetMember): number {
  return (flags.ageMs ?? Number.POSITIVE_INFINITY) + silentMs
}
