// The percentage that every gateway of a fleet should have of each context's flag, where an Unleash is the authority. Pure.
import type { FleetMember } from '../../model/fleet.ts'
import type { SharedState } from '../../model/shared-state.ts'
import { contextOf } from '../commands/verbs.ts'
import { isSilent } from './fleet.ts'

/** By context; null where the flag has no single percentage. A context without a known value is not there. */
export type ExpectedPercentages = ReadonlyMap<string, number | null>

/** Unleash serves what was written to it within this time, in milliseconds. */
export const SETTLED_MS = 2500

/**
 * The last flip on record, unless Unleash was changed outside since; otherwise the value of the freshest gateway.
 *
 * The freshest gateway is the one that has read its flags last. It shows a change outside if it has read them later than
 * {@link SETTLED_MS} after the flip and has another value. The 0 of a rollback is expected of no gateway: its pin is in
 * force, and Unleash may not have it yet.
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
    .toSorted((one, other) => readAgoMs(one) - readAgoMs(other))
  const names = new Set(members.flatMap(({ percentages }) => Object.keys(percentages)))
  const expected = new Map<string, number | null>()
  for (const name of names) {
    const freshest = byFreshness.find(({ percentages }) => Object.hasOwn(percentages, name))
    const { flip } = contextOf(state, name, now)
    const isOnRecord = flip !== null && flip.byRollback !== true
    if (isOnRecord && (freshest === undefined || now - readAgoMs(freshest) < flip.at + SETTLED_MS))
      expected.set(name, flip.percentage)
    else if (freshest !== undefined) expected.set(name, freshest.percentages[name] ?? null)
  }
  return expected
}

/** @returns why a gateway decides by other percentages than expected; undefined if it does not */
export function percentageLag(member: FleetMember, expected: ExpectedPercentages): string | undefined {
  for (const [name, percentage] of expected) {
    const actual = member.percentages[name]
    if (actual === undefined || actual === percentage) continue
    if (!hasFlags(member)) return 'has never read its flags'
    const age = `from flags read ${Math.round(readAgoMs(member) / 1000)} s ago`
    const is = actual === null ? 'at no single percentage' : `still at ${actual} %`
    return `${is} instead of ${percentage === null ? 'no single percentage' : `${percentage} %`} for ${name}, ${age}`
  }
  return undefined
}

function hasFlags({ flags }: FleetMember): boolean {
  return !flags.stale && flags.ageMs !== null
}

function readAgoMs({ flags, silentMs }: FleetMember): number {
  return (flags.ageMs ?? Number.POSITIVE_INFINITY) + silentMs
}
