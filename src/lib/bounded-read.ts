// Reading a body of unknown length.

/** The body is longer than its limit. */
export class BodyTooLong extends Error {
  constructor(limit: number) {
    super(`more than ${limit} bytes`)
    this.name = 'BodyTooLong'
  }
}

/**
 * Reads a body to its end. Leaving the loop at the limit cancels the rest of a web stream.
 *
 * @param limit bytes
 * @throws {BodyTooLong} as soon as more than `limit` bytes have arrived; or the error of the stream
 */
export async function readUpTo(limit: number, body: AsyncIterable<Uint8Array> | null): Promise<Buffer> {
  const chunks: Uint8Array[] = []
  let length = 0
  for await (const chunk of body ?? []) {
    length += chunk.byteLength
    if (length > limit) throw new BodyTooLong(limit)
    chunks.push(chunk)
  }
  return Buffer.concat(chunks)
}
