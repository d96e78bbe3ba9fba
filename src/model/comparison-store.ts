// The seam between what comparing finds and where it is kept: memory, a folder, or Redis. One contract test
// (test/contract/comparison-store.test.ts) says what each must do.
import type { RouteCounts } from './comparison-counts.ts'
import type { StoredExample } from './comparison-example.ts'

/** Counts are forgotten so long after the end of their stretch, in milliseconds. */
export const COUNTS_RETENTION_MS = 7 * 24 * 3_600_000
/** Examples that are as old are forgotten, in milliseconds. */
export const EXAMPLES_RETENTION_MS = 7 * 24 * 3_600_000
/** Of one difference: the newest. */
export const MAX_EXAMPLES_PER_DIFFERENCE = 3
/**
 * Differences of one context that have examples; beyond that the one whose newest example is oldest goes, with all that
 * it has.
 */
export const MAX_DIFFERENCES_PER_CONTEXT = 500

/**
 * What comparing finds, of a whole fleet. Methods reject with `StoreUnavailable` if the store does not answer within
 * its limit; none is ever called on a request's path. What could not be read again, such as half a comparison, is
 * refused as a whole before anything of it is written; what is found and cannot be read is left out, and told.
 *
 * It can be lost, with Redis or with the folder, and nobody puts it back: what is lost is found again.
 */
export type ComparisonStore = {
  /**
   * Puts these in the place of what the same writer has said of the same routes and stretches: what is said twice is
   * counted once, so that who lost the answer says it again. Stretches that are forgotten already are not taken.
   *
   * @param writer unlike any other, and new with each start; not empty
   */
  readonly saveCounts: (writer: string, counts: readonly RouteCounts[]) => Promise<void>
  /**
   * Of all writers, merged by `mergeCounts`: one for each context, route and stretch, sorted by these.
   *
   * @param query.from milliseconds since 1970: stretches that begin earlier are left out
   * @param query.except a writer whose counts are left out
   */
  readonly counts: (query: {
    readonly context?: string | undefined
    readonly from: number
    readonly except?: string | undefined
  }) => Promise<readonly RouteCounts[]>
  /** The same example twice is kept once. */
  readonly saveExamples: (examples: readonly StoredExample[]) => Promise<void>
  /** The newest first. */
  readonly examples: (query: {
    readonly context?: string | undefined
    readonly fingerprint?: string | undefined
  }) => Promise<readonly StoredExample[]>
}
