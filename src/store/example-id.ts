// The id of an example contains everything that decides whether the example is retained, so that no example is read for it.
import { createHash } from 'node:crypto'
import type { StoredExample } from '../model/comparison-example.ts'
import {
  EXAMPLES_RETENTION_MS,
  MAX_DIFFERENCES_PER_CONTEXT,
  MAX_EXAMPLES_PER_DIFFERENCE,
} from '../model/comparison-store.ts'

export type ExampleId = {
  /** The time of the example, in milliseconds since 1970. */
  readonly at: number
  /** Digest of the fingerprint of the difference. */
  readonly difference: string
  /** Digest of the example: the same example is stored once. */
  readonly digest: string
}

export function createExampleId({ fingerprint, example }: StoredExample, text: string): ExampleId {
  return { at: example.at, difference: digestOf(fingerprint), digest: digestOf(text) }
}

/** A digest that can be part of a file name, of a text of any length and with any characters. */
export function digestOf(text: string): string {
  return createHash('sha256').update(text).digest('hex').slice(0, 24)
}

/**
 * Selects the examples of one context that are retained, the newest first. The script `SAVE_EXAMPLES` in
 * redis/comparison-scripts.ts selects the same ones.
 *
 * @param now milliseconds since 1970
 */
export function selectExamples<Id extends ExampleId>(
  ids: readonly Id[],
  now: number,
): { retained: Id[]; surplus: Id[] } {
  const countByDifference = new Map<string, number>()
  const retained: Id[] = []
  const surplus: Id[] = []
  for (const id of ids.toSorted(newestFirst)) {
    const count = countByDifference.get(id.difference) ?? 0
    const isOverLimit =
      count === MAX_EXAMPLES_PER_DIFFERENCE || (count === 0 && countByDifference.size === MAX_DIFFERENCES_PER_CONTEXT)
    if (isOverLimit || id.at <= now - EXAMPLES_RETENTION_MS) surplus.push(id)
    else {
      countByDifference.set(id.difference, count + 1)
      retained.push(id)
    }
  }
  return { retained, surplus }
}

/** Examples of the same time have the same order in all stores. */
export function newestFirst(a: ExampleId, b: ExampleId): number {
  return b.at - a.at || (b.difference + b.digest < a.difference + a.digest ? -1 : 1)
}
