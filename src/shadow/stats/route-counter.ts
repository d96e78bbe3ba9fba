// Counts the outcome of each eligible request of one route in one hour. Counting applies the caps, so that merging needs
// none and works in any order.

import type { Comparison, Field, ShadowFailure, Shed, Uncomparable } from '../../model/comparison.ts'
import { type Counts, type FieldCounts, type Signature, TOO_MANY } from '../../model/comparison-counts.ts'
import { signatureOf } from './noise.ts'

/** Why a request ended without a comparison. */
export type UncomparedOutcome =
  | { readonly outcome: 'failed'; readonly reason: ShadowFailure }
  | { readonly outcome: 'shed'; readonly reason: Shed }
  | { readonly outcome: 'uncomparable'; readonly reason: Uncomparable }

type CounterCaps = {
  /** Fields of one route; further fields only raise `fieldsLeftOut`. */
  readonly fields: number
  readonly signatures: number
  /** Fields in one signature. */
  readonly fieldsInSignature: number
}

export const DEFAULT_CAPS: CounterCaps = { fields: 500, signatures: 200, fieldsInSignature: 16 }

type FieldCounter = { -readonly [K in keyof FieldCounts]: FieldCounts[K] }

export class RouteCounter {
  readonly #caps: CounterCaps
  readonly #differing = new Map<Signature, number>()
  readonly #uncomparable = new Map<Uncomparable, number>()
  readonly #shed = new Map<Shed, number>()
  readonly #failed = new Map<ShadowFailure, number>()
  readonly #fields = new Map<Field, FieldCounter>()
  #matched = 0
  #ignored = 0
  #pairs = 0
  #fieldsLeftOut = 0

  constructor(caps: CounterCaps = DEFAULT_CAPS) {
    this.#caps = caps
  }

  /**
   * @param time milliseconds since 1970
   * @param noiseFields fields that are known as noise; signatures leave them out, because thirty of them would make nearly as
   * many signatures as there are comparisons
   */
  recordComparison(comparison: Comparison, time: number, noiseFields: ReadonlySet<Field>): void {
    if (comparison.kind === 'uncomparable') {
      increase(this.#uncomparable, comparison.reason)
      return
    }
    const fields = differingFields(comparison)
    if (fields.length === 0) {
      if (comparison.forgiven > 0) this.#ignored++
      else this.#matched++
      return
    }
    this.#recordFields(fields, 'sides', time)
    const notNoise = fields.filter((field) => !noiseFields.has(field))
    const signature = comparison.more ? TOO_MANY : signatureOf(notNoise, this.#caps.fieldsInSignature)
    const hasRoom = this.#differing.has(signature) || this.#differing.size < this.#caps.signatures
    increase(this.#differing, hasRoom ? signature : TOO_MANY)
  }

  /**
   * Counts a comparison of two answers of legacy to one request. An uncomparable pair is not counted: it does not show how
   * often legacy differs from itself.
   */
  recordPair(comparison: Comparison, time: number): void {
    if (comparison.kind === 'uncomparable') return
    this.#pairs++
    this.#recordFields(differingFields(comparison), 'self', time)
  }

  /** Counts requests that ended without a comparison. */
  recordUncompared({ outcome, reason }: UncomparedOutcome, times = 1): void {
    if (outcome === 'failed') increase(this.#failed, reason, times)
    else if (outcome === 'shed') increase(this.#shed, reason, times)
    else increase(this.#uncomparable, reason, times)
  }

  /** A copy, which later counting does not change. */
  counts(): Counts {
    return {
      matched: this.#matched,
      ignored: this.#ignored,
      pairs: this.#pairs,
      fieldsLeftOut: this.#fieldsLeftOut,
      differing: recordOf(this.#differing),
      uncomparable: recordOf(this.#uncomparable),
      shed: recordOf(this.#shed),
      failed: recordOf(this.#failed),
      fields: recordOf(new Map([...this.#fields].map(([field, counter]) => [field, { ...counter }]))),
    }
  }

  #recordFields(fields: readonly Field[], column: 'sides' | 'self', time: number): void {
    for (const field of fields) {
      const counter = this.#fields.get(field)
      if (counter !== undefined) {
        counter[column]++
        counter.firstSeen = Math.min(counter.firstSeen, time)
        counter.lastSeen = Math.max(counter.lastSeen, time)
      } else if (this.#fields.size < this.#caps.fields) {
        this.#fields.set(field, { sides: 0, self: 0, firstSeen: time, lastSeen: time, [column]: 1 })
      } else this.#fieldsLeftOut++
    }
  }
}

export function differingFields(comparison: Extract<Comparison, { kind: 'compared' }>): Field[] {
  return comparison.differences.map(({ kind, path }): Field => `${kind} ${path}`)
}

function increase<K>(counts: Map<K, number>, key: K, by = 1): void {
  counts.set(key, (counts.get(key) ?? 0) + by)
}

/** Without a prototype: a path can contain any name of a body, `__proto__` included. */
function recordOf<K extends string, V>(counts: ReadonlyMap<K, V>): Record<K, V> {
  return Object.assign(Object.create(null), Object.fromEntries(counts)) as Record<K, V>
}
