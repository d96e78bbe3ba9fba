// What an edit of flags.json does to the flags in the store. Pure: who changed what since when is told by digests.
import { createHash } from 'node:crypto'
import type { EmbeddedFlag, EmbeddedFlags, SharedState } from '../../../model/shared-state.ts'
import { percentageAmong } from './embedded-writer.ts'

export type Seeded = {
  /** The flags with the edit in them; the same object where there was none. */
  readonly flags: EmbeddedFlags
  readonly edits: readonly Edit[]
}

export type Edit = {
  readonly flag: string
  readonly before: number | null
  readonly after: number | null
  /** What held against the edit, so that it was not taken over: a newer flip, or a freeze; null where nothing did. */
  readonly heldBy: 'flip' | 'freeze' | null
}

/** The key under which the digest of the segments is kept: no flag can have this name. */
const SEGMENTS = '/segments'

/**
 * Takes over what was edited in the file since it was last taken over. What was not edited stays as the store has it,
 * flipped or not; a flag that a flip moved after the edit stays as well, and is told as a conflict, once.
 *
 * @param editedAt when the file was written, by the store's clock
 * @param isFrozen whether a flag belongs to a context that is frozen: its edits are not taken over either
 */
export function seed(
  state: SharedState,
  file: EmbeddedFlags,
  editedAt: number,
  isFrozen: (flag: string) => boolean = () => false,
): Seeded {
  const flags = state.flags ?? { version: file.version, features: [] }
  const seeds: Record<string, string> = { ...flags.seeds }
  const features = new Map(flags.features.map((feature) => [feature.name, feature]))
  const edits: Edit[] = []

  const take = (name: string, next: EmbeddedFlag | undefined) => {
    const is = features.get(name)
    if (digestOf(is) === digestOf(next)) return
    const heldBy =
      is === undefined ? null : isFrozen(name) ? 'freeze' : flippedAt(state, name) > editedAt ? 'flip' : null
    const before = percentageAmong(flags, name).percentage
    const after = next === undefined ? null : percentageAmong(file, name).percentage
    edits.push({ flag: name, before, after, heldBy })
    if (heldBy !== null) return
    if (next === undefined) features.delete(name)
    else features.set(name, next)
  }

  for (const feature of file.features) {
    const digest = digestOf(feature)
    if (seeds[feature.name] === digest) continue
    take(feature.name, feature)
    seeds[feature.name] = digest
  }
  for (const name of Object.keys(seeds)) {
    if (name === SEGMENTS || file.features.some((feature) => feature.name === name)) continue
    take(name, undefined)
    delete seeds[name]
  }
  const segments = digestOf(file.segments ?? [])
  const hasNewSegments = seeds[SEGMENTS] !== segments
  seeds[SEGMENTS] = segments

  if (isSame(seeds, flags.seeds)) return { flags, edits: [] }
  const { segments: _, ...others } = flags
  const kept = hasNewSegments ? file.segments : flags.segments
  return {
    flags: { ...others, seeds, features: [...features.values()], ...(kept === undefined ? {} : { segments: kept }) },
    edits,
  }
}

/** When a context's flag was last flipped; never is long ago. */
function flippedAt(state: SharedState, flag: string): number {
  const flips = Object.values(state.contexts).map(({ flip }) =>
    flip?.flag === flag ? flip.at : Number.NEGATIVE_INFINITY,
  )
  return Math.max(Number.NEGATIVE_INFINITY, ...flips)
}

function isSame(seeds: Record<string, string>, before: EmbeddedFlags['seeds']): boolean {
  const names = Object.keys(seeds)
  return names.length === Object.keys(before ?? {}).length && names.every((name) => before?.[name] === seeds[name])
}

function digestOf(value: unknown): string {
  if (value === undefined) return ''
  return createHash('sha256').update(JSON.stringify(value)).digest('base64url').slice(0, 16)
}
