// Counts what came of each eligible request of one route in one stretch of time. Caps are here, where things are
// counted, so that what is merged later needs none.
import type { Comparison, Field, ShadowFailure, Shed, Uncomparable } from '../../model/comparison.ts'
import type { Counts, FieldCounts, Signature } from '../../model/comparison-counts.ts'
import { TOO_MANY } from '../../model/comparison-counts.ts'
import type { NoComparison } from '../worker/messages.ts'
import { signatureOf } from './noise.ts'

export type Counter = {
  /**
   * @param noise fields that are known as noise by now, which are not said in a signature: thirty of them would make
   * as many signatures as there are answers
   */
  readonly compared: (comparison: Comparison, at: number, noise: ReadonlySet<Field>) => void
  /** Legacy was asked twice. */
  readonly paired: (comparison: Comparison, at: number) => void
  /** So many ended without a comparison. */
  readonly uncompared: (ending: NoComparison, times?: number) => void
  /** A value of its own, that later counting does not change. */
  readonly counts: () => Counts
}

export type Caps = {
  /** Fields of one route; beyond that they are only counted. */
  readonly fields: number
  readonly signatures: number
  /** Fields in one signature. */
  readonly fieldsInSignature: number
}

export const DEFAULT_CAPS: Caps = { fields: 500, signatures: 200, fieldsInSignature: 16 }

export function createCounter(caps: Caps = DEFAULT_CAPS): Counter {
  let matched = 0
  let ignored = 0
  let pairs = 0
  let fieldsLeftOut = 0
  const differing = new Map<Signature, number>()
  const uncomparable = new Map<Uncomparable, number>()
  const shed = new Map<Shed, number>()
  const failed = new Map<ShadowFailure, number>()
  const fields = new Map<Field, { -readonly [K in keyof FieldCounts]: FieldCounts[K] }>()

  const see = (seen: readonly Field[], of: 'sides' | 'self', at: number): void => {
    for (const field of seen) {
      const known = fields.get(field)
      if (known !== undefined) {
        known[of]++
        known.firstSeen = Math.min(known.firstSeen, at)
        known.lastSeen = Math.max(known.lastSeen, at)
      } else if (fields.size < caps.fields) {
        fields.set(field, { sides: of === 'sides' ? 1 : 0, self: of === 'self' ? 1 : 0, firstSeen: at, lastSeen: at })
      } else fieldsLeftOut++
    }
  }

  return {
    compared: (comparison, at, noise) => {
      if (comparison.kind === 'uncomparable') return raise(uncomparable, comparison.reason)
      const seen = fieldsIn(comparison)
      if (seen.length === 0) {
        if (comparison.forgiven > 0) ignored++
        else matched++
        return
      }
      see(seen, 'sides', at)
      const telling = seen.filter((field) => !noise.has(field))
      const signature = comparison.more ? TOO_MANY : signatureOf(telling, caps.fieldsInSignature)
      const isKept = differing.has(signature) || differing.size < caps.signatures
      raise(differing, isKept ? signature : TOO_MANY)
    },
    paired: (comparison, at) => {
      // An uncomparable pair says nothing of how often legacy differs from itself.
      if (comparison.kind === 'uncomparable') return
      pairs++
      see(fieldsIn(comparison), 'self', at)
    },
    uncompared: ({ outcome, reason }, times) => {
      if (outcome === 'failed') raise(failed, reason, times)
      else if (outcome === 'shed') raise(shed, reason, times)
      else raise(uncomparable, reason, times)
    },
    counts: () => ({
      matched,
      ignored,
      pairs,
      fieldsLeftOut,
      differing: plain(differing),
      uncomparable: plain(uncomparable),
      shed: plain(shed),
      failed: plain(failed),
      fields: plain(new Map([...fields].map(([field, counts]) => [field, { ...counts }]))),
    }),
  }
}

export function fieldsIn(comparison: Extract<Comparison, { kind: 'compared' }>): Field[] {
  return comparison.differences.map(({ kind, path }): Field => `${kind} ${path}`)
}

function raise<K>(counts: Map<K, number>, key: K, by = 1): void {
  counts.set(key, (counts.get(key) ?? 0) + by)
}

function plain<K extends string, V>(counts: ReadonlyMap<K, V>): Record<K, V> {
  return Object.assign(Object.create(null), Object.fromEntries(counts)) as Record<K, V>
}
