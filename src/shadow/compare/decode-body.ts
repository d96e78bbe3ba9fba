// Undoes content codings, within limits: what grows out of proportion is a bomb, and nothing is decoded twice to find
// out. Synchronous, as it runs in a worker.
import { brotliDecompressSync, gunzipSync, inflateRawSync, inflateSync, zstdDecompressSync } from 'node:zlib'
import type { CompareLimits } from './compare-limits.ts'

export type Decoded =
  | { readonly kind: 'decoded'; readonly bytes: Uint8Array }
  /** The bytes are not what the coding says. */
  | { readonly kind: 'malformed' }
  | { readonly kind: 'uncomparable'; readonly reason: 'bomb' | 'too-large' | 'unknown-coding' }

/** @param coding the Content-Encoding field, `''` for none: codings in the order in which they were applied */
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
    // Answers to HEAD and 304 name a coding and have no body.
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

/** RFC 9110 section 8.4.1.2 means zlib’s format; some servers send the stream without it, and browsers take both. */
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

/** As large as any body may be without anybody asking how it was packed: a long list of equals packs well. */
const ALWAYS_ALLOWED_BYTES = 1024 * 1024

/** Nobody codes a body three times, except to make it a bomb in a bomb. */
const MAX_CODINGS = 2
const MAX_LISTED = 16
