// Flags that were read by their names, which may be newer than the list of all flags.
import type { Evaluator } from '../evaluator.ts'
import type { Feature } from '../flag-repository.ts'

/**
 * Unleash builds the list that it serves once a second, and adds the time of a request. A list that was requested less than this
 * many milliseconds after a flag was read by its name may be older than that flag.
 */
const OLDEST_LIST_MS = 1400

export class NamedReads {
  readonly #reads = new Map<string, { readonly feature: Feature; readonly readAt: number }>()

  set(name: string, feature: Feature, readAt: number): void {
    this.#reads.set(name, { feature, readAt })
  }

  delete(name: string): void {
    this.#reads.delete(name)
  }

  /** Forgets the flags that a list contains at least as new. @param requestedAt when the list was requested */
  forgetOlderThan(requestedAt: number): void {
    for (const [name, { readAt }] of this.#reads) if (requestedAt - readAt >= OLDEST_LIST_MS) this.#reads.delete(name)
  }

  /** Replaces the flags of an older list, which the evaluator has just taken into use, before any evaluation. */
  restoreIn(evaluator: Evaluator): void {
    for (const { feature } of this.#reads.values()) void evaluator.takeOne(feature)
    if (this.#reads.size > 0) evaluator.forgetEtag()
  }
}
