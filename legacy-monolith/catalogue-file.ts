// The print catalogue: a file of any length, generated block by block while it is sent.
import { Readable } from 'node:stream'

export const MOST_BYTES = 4 * 1024 ** 3
const BLOCK_BYTES = 64 * 1024

/** Generates bytes `first` to `last` of the file. Each block begins with its number, so that lost or moved blocks can be detected. */
export function catalogueBytes(first: number, last: number): Readable {
  return Readable.from(blocks(first, last), { objectMode: false, highWaterMark: BLOCK_BYTES })
}

function* blocks(first: number, last: number): Generator<Buffer> {
  let position = first
  while (position <= last) {
    const number = Math.floor(position / BLOCK_BYTES)
    const start = number * BLOCK_BYTES
    const block = Buffer.from(PATTERN)
    block.writeBigUInt64BE(BigInt(number), 0)
    yield block.subarray(position - start, Math.min(BLOCK_BYTES, last + 1 - start))
    position = start + BLOCK_BYTES
  }
}

const PATTERN = Buffer.from(
  Uint8Array.from({ length: BLOCK_BYTES }, (_, index) => (index * 31 + (index >> 8) * 17) & 255),
)
