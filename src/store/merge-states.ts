// Merges two states that have diverged, such as after a failover of Redis that lost the newest writes. Pure functions.
import { type ContextState, EMPTY_CONTEXT, type LastChange, type SharedState } from '../model/shared-state.ts'
import { sortedJson } from './sorted-json.ts'

/**
 * Merges two states entry by entry. An entry is the kill switch or a context; the entry of the higher generation wins.
 * Commutative and idempotent.
 *
 * @returns one of the two states if it contains every entry of the other; otherwise a new state, of a generation above both
 */
export function mergeStates(a: SharedState, b: SharedState): SharedState {
  if (a === b) return a
  const [newer, older] = isStateNewer(a, b) ? [a, b] : [b, a]
  const kill = hasKillPriority(newer, older) ? newer : older
  const names = new Set([...Object.keys(newer.contexts), ...Object.keys(older.contexts)])
  const fromOlder = [...names].filter((name) => !hasContextPriority(contextOf(newer, name), contextOf(older, name)))
  const isComplete = kill === newer && fromOlder.length === 0
  if (isComplete && (newer.generation > older.generation || haveSameContent(newer, older))) return newer
  const contexts = { ...newer.contexts }
  for (const name of fromOlder) contexts[name] = contextOf(older, name)
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
 * Entries of a state that another state does not contain, one sentence each: for the log, the audit log and the status.
 *
 * @param isLoss whether the other state was made without the change
 */
export function lostEntries(from: SharedState, to: SharedState, isLoss: (change: LastChange) => boolean): string[] {
  const lost: string[] = []
  const { killChange } = from
  if (killChange !== undefined && !haveSameContent(killOf(from), killOf(to)) && isLoss(killChange))
    lost.push(`${killChange.verb} by ${killChange.by} (generation ${killChange.generation})`)
  for (const [name, { changed }] of Object.entries(from.contexts)) {
    if (changed === null || haveSameContent(contextOf(from, name), contextOf(to, name)) || !isLoss(changed)) continue
    lost.push(`${changed.verb} of ${name} by ${changed.by} (generation ${changed.generation})`)
  }
  return lost
}

/** The flags of the newer state, with the flags of the contexts that the older state wins. */
function mergeFlags(newer: SharedState, older: SharedState, fromOlder: readonly string[]): SharedState['flags'] {
  if (newer.flags === null || older.flags === null) return newer.flags ?? older.flags
  const flagNames = new Set(fromOlder.map((name) => contextOf(older, name).flip?.flag))
  const features = new Map(newer.flags.features.map((feature) => [feature.name, feature]))
  for (const feature of older.flags.features) if (flagNames.has(feature.name)) features.set(feature.name, feature)
  return { ...newer.flags, features: [...features.values()] }
}

function contextOf({ contexts }: SharedState, name: string): ContextState {
  return Object.hasOwn(contexts, name) ? (contexts[name] as ContextState) : EMPTY_CONTEXT
}

function isStateNewer(a: SharedState, b: SharedState): boolean {
  if (a.generation !== b.generation) return a.generation > b.generation
  return sortedJson(a) >= sortedJson(b)
}

/** At the same generation the state that sends all traffic to legacy wins: there may be an emergency. */
function hasKillPriority(a: SharedState, b: SharedState): boolean {
  const difference = killGeneration(a) - killGeneration(b)
  if (difference !== 0) return difference > 0
  if ((a.kill === null) !== (b.kill === null)) return a.kill !== null
  return sortedJson(killOf(a)) >= sortedJson(killOf(b))
}

function hasContextPriority(a: ContextState, b: ContextState): boolean {
  const difference = (a.changed?.generation ?? 0) - (b.changed?.generation ?? 0)
  if (difference !== 0) return difference > 0
  const isALegacy = a.pin?.side === 'legacy'
  const isBLegacy = b.pin?.side === 'legacy'
  if (isALegacy !== isBLegacy) return isALegacy
  return sortedJson(a) >= sortedJson(b)
}

/**
 * The generation of the last change of the kill switch. A gateway of the previous version does not record it: then the
 * highest possible generation is used, which is that of the state.
 */
function killGeneration({ kill, killChange, generation }: SharedState): number {
  if (killChange === undefined) return kill === null ? 0 : generation
  const isByThisChange = kill === null ? killChange.verb === 'revive' : kill.at === killChange.at
  return isByThisChange ? killChange.generation : generation
}

function killOf({ kill, killChange }: SharedState): unknown {
  return [kill, killChange]
}

function haveSameContent(a: unknown, b: unknown): boolean {
  return sortedJson(a) === sortedJson(b)
}
