// What comparing may cost. Bodies come from applications, and what an application repeats comes from anybody.

export type CompareLimits = {
  /** Bytes of one body, decoded. */
  readonly maxDecodedBytes: number
  /** Decoded bytes for each byte that came, beyond which it is a bomb. Text compresses to a tenth, JSON to a thirtieth. */
  readonly maxRatio: number
  /** Levels of nesting. The walk over two bodies calls itself for each. */
  readonly maxDepth: number
  /** Values, elements or lines in one body. */
  readonly maxNodes: number
  /** Fields listed for one comparison. */
  readonly maxDifferences: number
}

export const DEFAULT_LIMITS: CompareLimits = {
  maxDecodedBytes: 8 * 1024 * 1024,
  maxRatio: 200,
  maxDepth: 128,
  maxNodes: 250_000,
  maxDifferences: 64,
}
