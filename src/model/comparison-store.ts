// The port for stored comparisons, implemented by memory, file and Redis stores. test/contract/comparison-store.test.ts tests
// every implementation.
import type { RouteCounts } from './comparison-counts.ts'
import type { StoredExample } from './comparison-example.ts'

/** How long counts are kept after the end of their period, in milliseconds. */
export const COUNTS_RETENTION_MS = 7 * 24 * 3_600_000
/** How long examples are kept, in milliseconds. */
export const EXAMPLES_RETENTION_MS = 7 * 24 * 3_600_000
/** Only the newest examples of a difference are kept. */
export const MAX_EXAMPLES_PER_DIFFERENCE = 3
/**
 * The number of differences of one context that have examples. Above it, the store deletes all examples of the difference whose
 * newest example is the oldest.
 */
export const MAX_DIFFERENCES_PER_CONTEXT = 500

export type CountsQuery = {
  readonly context?: string | undefined
  /** Milliseconds since 1970: periods that begin earlier are left out. */
  readonly from: number
  /** A writer whose counts are left out. */
  readonly except?: string | undefined
}

export type ExamplesQuery = { readonly context?: string | undefined; readonly fingerprint?: string | undefined }

/**
 * The comparisons of a whole fleet. Methods reject with `StoreUnavailable` if the store does not answer within its limit. No
 * request waits for them. Input that could not be read again is rejected as a whole before anything of it is written; stored
 * data that cannot be read is skipped and reported.
 *
 * The data can be lost with Redis or with the folder. It is not restored: later comparisons replace it.
 */
export type ComparisonStore = {
  /**
   * Replaces the counts of this writer for these routes and periods. It can be repeated: a writer that has lost the answer sends
   * the same counts again. Periods beyond the retention are ignored.
   *
   * @param writer unique, and new with each start of a process; not empty
   */
  readonly saveCounts: (writer: string, counts: readonly RouteCounts[]) => Promise<void>
  /**
   * Returns the counts of all writers, merged by `mergeCounts` and sorted by context, route and period.
   */
  readonly counts: (query: CountsQuery) => Promise<readonly RouteCounts[]>
  /** Adds examples. An example that the store already has is not added again. */
  readonly saveExamples: (examples: readonly StoredExample[]) => Promise<void>
  /** Returns examples, newest first. */
  readonly examples: (query: ExamplesQuery) => Promise<readonly StoredExample[]>
}
