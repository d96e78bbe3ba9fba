// Which examples of a context are kept: told from what each is named by, so that none is read for it.
import { createHash } from 'node:crypto'
import type { StoredExample } from '../model/comparison-example.ts'
import {
  EXAMPLES_RETENTION_MS,
  MAX_DIFFERENCES_PER_CONTEXT,
  MAX_EXAMPLES_PER_DIFFERENCE,
} from '../model/comparison-store.ts'

export type ExampleId = {
  readonly at: number
  /** Digests of the difference's fingerprint and of the example: the same example is kept once. */
  readonly of: string
  readonly digest: string
}

export function idOf({ fingerprint, example }: StoredExample, text: string): ExampleId {
  return { at: example.at, of: digestOf(fingerprint), digest: digestOf(text) }
}

/** Names are whatever a map says: a digest goes into a file's name, at any length. */
export function digestOf(text: string): string {
  return createHash('sha256').update(text).digest('hex').slice(0, 24)
}

/**
 * What is kept of the examples of one context, the newest first, and what is not. `SAVE_EXAMPLES` in
 * redis/comparison-scripts.ts does the same.
 */
export function sift<Id extends ExampleId>(ids: readonly Id[], now: number): { kept: Id[]; surplus: Id[] } {
  const ofEach = new Map<string, number>()
  const [kept, surplus]: [Id[], Id[]] = [[], []]
  for (const id of ids.toSorted(newestFirst)) {
    const known = ofEach.get(id.of) ?? 0
    const isOneTooMany =
      known === MAX_EXAMPLES_PER_DIFFERENCE || (known === 0 && ofEach.size === MAX_DIFFERENCES_PER_CONTEXT)
    if (isOneTooMany || id.at <= now - EXAMPLES_RETENTION_MS) surplus.push(id)
    else {
      ofEach.set(id.of, known + 1)
      kept.push(id)
    }
  }
  return { kept, surplus }
}

/** Of the same time, in an order that all stores have. */
export function newestFirst(one: ExampleId, other: ExampleId): number {
  return other.at - one.at || (other.of + other.digest < one.of + one.digest ? -1 : 1)
}
