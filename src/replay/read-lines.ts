// Splits a stream into lines. A log, and even one line of it, can be larger than memory.

export type Line = {
  /** From 1. Empty lines are counted, but not returned. */
  readonly number: number
  /** Undefined for a line above the limit. */
  readonly text: string | undefined
  /** The number of bytes of the stream up to the end of this line. */
  readonly end: number
}

const MAX_LINE_BYTES = 1024 * 1024

/** @param skip the number of lines to skip @param longest the limit of a line, in bytes */
export async function* readLines(
  chunks: AsyncIterable<Buffer>,
  skip = 0,
  longest: number = MAX_LINE_BYTES,
): AsyncGenerator<Line> {
  let number = 1
  let end = 0
  /** The pieces of the current line; empty if the line is too long. */
  let pieces: Buffer[] = []
  let length = 0
  const take = (): Line | undefined => {
    const isLong = length > longest
    const text = isLong || number <= skip ? '' : Buffer.concat(pieces).toString('utf8').replace(/\r$/, '')
    const line = { number, text: isLong ? undefined : text, end }
    pieces = []
    length = 0
    return number++ <= skip || (!isLong && text.trim() === '') ? undefined : line
  }
  const add = (piece: Buffer) => {
    end += piece.length
    length += piece.length
    if (length > longest) pieces = []
    else if (number > skip) pieces.push(piece)
  }
  for await (const chunk of chunks) {
    let from = 0
    for (let newline = chunk.indexOf(NEWLINE); newline >= 0; newline = chunk.indexOf(NEWLINE, from)) {
      add(chunk.subarray(from, newline))
      end++
      from = newline + 1
      const line = take()
      if (line !== undefined) yield line
    }
    if (from < chunk.length) add(chunk.subarray(from))
  }
  const last = length === 0 ? undefined : take()
  if (last !== undefined) yield last
}

const NEWLINE = 0x0a
