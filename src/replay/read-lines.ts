// The lines of a stream, one at a time: a log may be larger than memory, and one line of it may be as well.

export type Line = {
  /** From 1; empty lines count, and are not given. */
  readonly number: number
  /** Undefined for a line that is longer than may be. */
  readonly text: string | undefined
  /** Bytes of the stream up to the end of this line. */
  readonly end: number
}

export const MAX_LINE_BYTES = 1024 * 1024

/** @param after lines up to this number are passed over */
export async function* readLines(
  chunks: AsyncIterable<Buffer>,
  after = 0,
  longest: number = MAX_LINE_BYTES,
): AsyncGenerator<Line> {
  let number = 1
  let end = 0
  /** What came of a line so far, and whether that was too much to keep. */
  let begun: Buffer[] = []
  let length = 0
  const take = (): Line | undefined => {
    const isLong = length > longest
    const text = isLong || number <= after ? '' : Buffer.concat(begun).toString('utf8').replace(/\r$/, '')
    const line = { number, text: isLong ? undefined : text, end }
    begun = []
    length = 0
    return number++ <= after || (!isLong && text.trim() === '') ? undefined : line
  }
  const add = (piece: Buffer) => {
    end += piece.length
    length += piece.length
    if (length > longest) begun = []
    else if (number > after) begun.push(piece)
  }
  for await (const chunk of chunks) {
    let from = 0
    for (let at = chunk.indexOf(NEWLINE); at >= 0; at = chunk.indexOf(NEWLINE, from)) {
      add(chunk.subarray(from, at))
      end++
      from = at + 1
      const line = take()
      if (line !== undefined) yield line
    }
    if (from < chunk.length) add(chunk.subarray(from))
  }
  const last = length === 0 ? undefined : take()
  if (last !== undefined) yield last
}

const NEWLINE = 0x0a
