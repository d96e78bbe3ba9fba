// Limits on the cost of a comparison. Applications repeat input of clients in their responses, so bodies are not trusted.

export type CompareLimits = {
  /** Bytes of one body, decoded. */
  readonly maxDecodedBytes: number
  /** Decoded bytes per received byte; above it the body is a decompression bomb. Text compresses to a tenth, JSON to a thirtieth. */
  readonly maxRatio: number
  /** Levels of nesting: the comparison is recursive. */
  readonly maxDepth: number
  /** Values, elements or lines in one body. */
  readonly maxNodes: number
  /** Differences listed for one comparison. */
  readonly maxDifferences: number
}

export const DEFAULT_LIMITS: CompareLimits = {
  maxDecodedBytes: 8 * 1024 * 1024,
  maxRatio: 200,
  maxDepth: 128,
  maxNodes: 250_000,
  maxDifferences: 64,
}
