// Two states that have grown apart, such as after a fail-over of Redis that lost the newest writes, become one. Pure.
import { type ContextState, EMPTY_CONTEXT, type LastChange, type SharedState } from '../model/shared-state.ts'
import { sortedJson } from './sorted-json.ts'

/**
 * Merges two states entry by entry. An entry is the kill switch, or a context; the one of the higher generation is
 * taken, and a lower one never replaces it. Commutative and idempotent.
 *
 * @returns one of the two where it has every entry of the other; otherwise a new state, of a generation above both
 */
export function mergeStates(one: SharedState, other: SharedState): SharedState {
  if (one === other) return one
  const [newer, older] = isFirst(one, other) ? [one, other] : [other, one]
  const kill = isFirstKill(newer, older) ? newer : older
  const names = new Set([...Object.keys(newer.contexts), ...Object.keys(older.contexts)])
  const fromOlder = [...names].filter((name) => !isFirstContext(contextIn(newer, name), contextIn(older, name)))
  const isComplete = kill === newer && fromOlder.length === 0
  if (isComplete && (newer.generation > older.generation || sameText(newer, older))) return newer
  const contexts = { ...newer.contexts }
  for (const name of fromOlder) contexts[name] = contextIn(older, name)
  return {
    ...newer,
    generation: newer.generation + 1,
    kill: kill.kill,
    ...(kill.killChange === undefined ? {} : { killChange: kill.killChange }),
    contexts,
    flags: mergeFlags(newer, older, fromOlder),
  }
}

/**
 * Entries of a state that another state does not have, in words: for the log, the audit log and the status.
 *
 * @param isLoss whether the change was not followed by the one that the other state has
 */
export function lostEntries(
  before: SharedState,
  after: SharedState,
  isLoss: (change: LastChange) => boolean,
): string[] {
  const lost: string[] = []
  const { killChange } = before
  if (killChange !== undefined && !sameText(killOf(before), killOf(after)) && isLoss(killChange))
    lost.push(`${killChange.verb} by ${killChange.by} (generation ${killChange.generation})`)
  for (const [name, { changed }] of Object.entries(before.contexts)) {
    if (changed === null || sameText(contextIn(before, name), contextIn(after, name)) || !isLoss(changed)) continue
    lost.push(`${changed.verb} of ${name} by ${changed.by} (generation ${changed.generation})`)
  }
  return lost
}

/** The flags of the newer state, with those of the contexts that are taken from the older one. */
function mergeFlags(newer: SharedState, older: SharedState, fromOlder: readonly string[]): SharedState['flags'] {
  if (newer.flags === null || older.flags === null) return newer.flags ?? older.flags
  const taken = new Set(fromOlder.map((name) => contextIn(older, name).flip?.flag))
  const features = new Map(newer.flags.features.map((feature) => [feature.name, feature]))
  for (const feature of older.flags.features) if (taken.has(feature.name)) features.set(feature.name, feature)
  return { ...newer.flags, features: [...features.values()] }
}

function contextIn({ contexts }: SharedState, name: string): ContextState {
  return Object.hasOwn(contexts, name) ? (contexts[name] as ContextState) : EMPTY_CONTEXT
}

function isFirst(one: SharedState, other: SharedState): boolean {
  if (one.generation !== other.generation) return one.generation > other.generation
  return sortedJson(one) >= sortedJson(other)
}

/** At the same generation the one that keeps people with legacy is taken: it may be an emergency. */
function isFirstKill(one: SharedState, other: SharedState): boolean {
  const difference = killGeneration(one) - killGeneration(other)
  if (difference !== 0) return difference > 0
  if ((one.kill === null) !== (other.kill === null)) return one.kill !== null
  return sortedJson(killOf(one)) >= sortedJson(killOf(other))
}

function isFirstContext(one: ContextState, other: ContextState): boolean {
  const difference = (one.changed?.generation ?? 0) - (other.changed?.generation ?? 0)
  if (difference !== 0) return difference > 0
  const [isOneLegacy, isOtherLegacy] = [one, other].map(({ pin }) => pin?.side === 'legacy')
  if (isOneLegacy !== isOtherLegacy) return isOneLegacy === true
  return sortedJson(one) >= sortedJson(other)
}

/**
 * The generation in which the kill switch was last changed. A gateway of the previous version does not record it: then it
 * is any up to that of the state, and the highest is taken.
 */
function killGeneration({ kill, killChange, generation }: SharedState): number {
  if (killChange === undefined) return kill === null ? 0 : generation
  const isByThisChange = kill === null ? killChange.verb === 'revive' : kill.at === killChange.at
  return isByThisChange ? killChange.generation : generation
}

function killOf({ kill, killChange }: SharedState): unknown {
  return [kill, killChange]
}

function sameText(one: unknown, other: unknown): boolean {
  return sortedJson(one) === sortedJson(other)
}
