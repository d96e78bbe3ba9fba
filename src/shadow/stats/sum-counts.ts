import { type Counts, NO_COUNTS } from '../../model/comparison-counts.ts'
import { mergeCounts } from '../../model/merge-counts.ts'

/** The sum of counts of several hours, threads or gateways; `NO_COUNTS` for an empty list. */
export function sumCounts(parts: readonly Counts[]): Counts {
  return parts.reduce(mergeCounts, NO_COUNTS)
}
