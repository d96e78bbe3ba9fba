// Decodes content codings within limits; a body that grows too much is a decompression bomb. Synchronous: it runs in a worker.
import { brotliDecompressSync, gunzipSync, inflateRawSync, inflateSync, zstdDecompressSync } from 'node:zlib'
import type { CompareLimits } from './compare-limits.ts'

type Decoded =
  | { readonly kind: 'decoded'; readonly bytes: Uint8Array }
  /** The bytes are not in the coding that the field names. */
  | { readonly kind: 'malformed' }
  | { readonly kind: 'uncomparable'; readonly reason: 'bomb' | 'too-large' | 'unknown-coding' }

/** @param coding the Content-Encoding field, or `''`: codings in the order in which they were applied */
export function decodeBody(
  bytes: Uint8Array,
  coding: string,
  limits: Pick<CompareLimits, 'maxDecodedBytes' | 'maxRatio'>,
): Decoded {
  const codings = coding
    .toLowerCase()
    .split(',', MAX_LISTED)
    .map((name) => name.trim())
    .filter((name) => name !== '' && name !== 'identity')
  if (codings.length > MAX_CODINGS) return { kind: 'uncomparable', reason: 'unknown-coding' }
  let decoded = bytes
  for (const name of codings.reverse()) {
    const decode = Object.hasOwn(DECODERS, name) ? DECODERS[name as keyof typeof DECODERS] : undefined
    if (decode === undefined) return { kind: 'uncomparable', reason: 'unknown-coding' }
    // Responses to HEAD and 304 responses name a coding and have no body.
    if (decoded.length === 0) continue
    const byRatio = Math.max(bytes.length * limits.maxRatio, ALWAYS_ALLOWED_BYTES)
    const maxBytes = Math.min(byRatio, limits.maxDecodedBytes)
    try {
      decoded = decode(decoded, { maxOutputLength: maxBytes })
    } catch (error) {
      if (!isTooLarge(error)) return { kind: 'malformed' }
      return { kind: 'uncomparable', reason: byRatio < limits.maxDecodedBytes ? 'bomb' : 'too-large' }
    }
  }
  if (decoded.length > limits.maxDecodedBytes) return { kind: 'uncomparable', reason: 'too-large' }
  return { kind: 'decoded', bytes: decoded }
}

type Decode = (bytes: Uint8Array, options: { maxOutputLength: number }) => Uint8Array

const DECODERS = {
  gzip: gunzipSync,
  'x-gzip': gunzipSync,
  deflate: inflateEither,
  br: brotliDecompressSync,
  zstd: zstdDecompressSync,
} as const satisfies Record<string, Decode>

/** RFC 9110 section 8.4.1.2 requires the zlib format; some servers send the bare stream, and browsers accept both. */
function inflateEither(bytes: Uint8Array, options: { maxOutputLength: number }): Uint8Array {
  try {
    return inflateSync(bytes, options)
  } catch (error) {
    if (isTooLarge(error)) throw error
    return inflateRawSync(bytes, options)
  }
}

function isTooLarge(error: unknown): boolean {
  return error instanceof RangeError && (error as NodeJS.ErrnoException).code === 'ERR_BUFFER_TOO_LARGE'
}

/** Bodies up to this size may have any ratio: a long list of equal members compresses well. */
const ALWAYS_ALLOWED_BYTES = 1024 * 1024

/** More codings are only used by nested decompression bombs. */
const MAX_CODINGS = 2
const MAX_LISTED = 16
