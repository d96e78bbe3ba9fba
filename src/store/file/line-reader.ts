// Reads and writes the lines of a file that a crash or a full disk may have cut at any byte.
import type { FileHandle } from 'node:fs/promises'

const NEWLINE = 0x0a
const CHUNK_BYTES = 64 * 1024

export async function writeFully(file: FileHandle, bytes: Buffer, position: number): Promise<void> {
  let written = 0
  while (written < bytes.length) {
    const { bytesWritten } = await file.write(bytes, written, bytes.length - written, position + written)
    written += bytesWritten
  }
}

/** @returns the size of the file afterwards */
export async function removeIncompleteLine(file: FileHandle): Promise<number> {
  const { size } = await file.stat()
  const complete = await completeSize(file)
  if (complete < size) await file.truncate(complete)
  return complete
}

/** The byte behind the last newline. @param limit only bytes before this one are read */
export async function completeSize(file: FileHandle, limit = Number.POSITIVE_INFINITY): Promise<number> {
  let end = Math.min((await file.stat()).size, limit)
  const chunk = Buffer.alloc(CHUNK_BYTES)
  while (end > 0) {
    const start = Math.max(0, end - CHUNK_BYTES)
    const { bytesRead } = await file.read(chunk, 0, end - start, start)
    const newline = chunk.subarray(0, bytesRead).lastIndexOf(NEWLINE)
    if (newline >= 0) return start + newline + 1
    end = start
  }
  return 0
}

/** The lines that end at or before a byte, the last one first. */
export async function* readLinesBackwards(
  file: FileHandle,
  end: number,
): AsyncGenerator<{ readonly text: string; readonly position: number }> {
  let pending = Buffer.alloc(0)
  let start = end
  while (start > 0) {
    const from = Math.max(0, start - CHUNK_BYTES)
    const chunk = Buffer.alloc(start - from)
    await file.read(chunk, 0, chunk.length, from)
    pending = Buffer.concat([chunk, pending])
    start = from
    // The last byte is the newline of the last line. A line begins behind the newline before it.
    for (;;) {
      const newline = pending.lastIndexOf(NEWLINE, pending.length - 2)
      if (newline < 0 || pending.length < 2) break
      yield { text: pending.toString('utf8', newline + 1, pending.length - 1), position: start + newline + 1 }
      pending = pending.subarray(0, newline + 1)
    }
  }
  if (pending.length > 1) yield { text: pending.toString('utf8', 0, pending.length - 1), position: 0 }
}
