// Merges an edited flags file into the flags in the store. Pure. Digests show which flags were edited since the last time.
import { createHash } from 'node:crypto'
import type { EmbeddedFlag, EmbeddedFlags, SharedState } from '../../../model/shared-state.ts'
import { percentageAmong } from './embedded-writer.ts'

type Seeded = {
  /** The flags with the edits; the same object if the file was not edited. */
  readonly flags: EmbeddedFlags
  readonly edits: readonly Edit[]
}

export type Edit = {
  readonly flag: string
  readonly before: number | null
  readonly after: number | null
  /** Why the edit was not taken over: a newer flip, or a freeze of the context; null if it was. */
  readonly heldBy: 'flip' | 'freeze' | null
}

/** The key of the digest of the segments. No flag can have this name. */
const SEGMENTS = '/segments'

/**
 * Takes over the flags that were edited in the file since the last time. The other flags stay as they are in the store, flipped or
 * not. A flag that was flipped after the edit stays too, and is reported as a conflict once.
 *
 * @param editedAt when the file was written, by the store's clock
 * @param isFrozen whether a flag belongs to a frozen context: its edits are not taken over either
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
    const current = features.get(name)
    if (digestOf(current) === digestOf(next)) return
    const heldBy = current === undefined ? null : holdOf(state, name, editedAt, isFrozen)
    edits.push({
      flag: name,
      before: percentageAmong(flags, name).percentage,
      after: next === undefined ? null : percentageAmong(file, name).percentage,
      heldBy,
    })
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
  const segmentDigest = digestOf(file.segments ?? [])
  const segments = seeds[SEGMENTS] === segmentDigest ? flags.segments : file.segments
  seeds[SEGMENTS] = segmentDigest

  if (isSame(seeds, flags.seeds)) return { flags, edits: [] }
  const { segments: _, ...others } = flags
  return {
    flags: { ...others, seeds, features: [...features.values()], ...(segments === undefined ? {} : { segments }) },
    edits,
  }
}

function holdOf(
  state: SharedState,
  flag: string,
  editedAt: number,
  isFrozen: (flag: string) => boolean,
): Edit['heldBy'] {
  if (isFrozen(flag)) return 'freeze'
  return lastFlipOf(state, flag) > editedAt ? 'flip' : null
}

/** When the flag was last flipped; negative infinity if it never was. */
function lastFlipOf(state: SharedState, flag: string): number {
  const times = Object.values(state.contexts).map(({ flip }) =>
    flip?.flag === flag ? flip.at : Number.NEGATIVE_INFINITY,
  )
  return Math.max(Number.NEGATIVE_INFINITY, ...times)
}

function isSame(seeds: Record<string, string>, previous: EmbeddedFlags['seeds']): boolean {
  const names = Object.keys(seeds)
  return names.length === Object.keys(previous ?? {}).length && names.every((name) => previous?.[name] === seeds[name])
}

function digestOf(value: unknown): string {
  if (value === undefined) return ''
  return createHash('sha256').update(JSON.stringify(value)).digest('base64url').slice(0, 16)
}
