// The audit log in a file: one line of JSON for each entry. The gateway only appends.
import { type FileHandle, open } from 'node:fs/promises'
import { dirname } from 'node:path'
import { isMissing } from '../../lib/file-errors.ts'
import type { AuditPage, AuditQuery, AuditRecord } from '../../model/audit-log.ts'
import { chainedText, hashIn, unchainedText } from '../audit-chain.ts'
import { syncFolder } from '../replace-file.ts'
import { parseEntry } from '../shape.ts'

const NEWLINE = 0x0a
const CHUNK_BYTES = 64 * 1024
const POSITION_LENGTH = 16

export class AuditFile {
  private readonly file: string
  private readonly troubled: (error: Error) => void
  /** The hash of the last line that was added: a log that begins anew after a rotation goes on with the chain. */
  private head: string | null = null

  constructor(file: string, troubled: (error: Error) => void) {
    this.file = file
    this.troubled = troubled
  }

  /**
   * Adds a line and resolves when it is on the disk. What a crash or a full disk has left of a line is cut first.
   *
   * @throws what the file system says; then the file is as it was, or ends with what the next one cuts
   */
  async append(entry: string): Promise<void> {
    const { file, isNew } = await this.openToWrite()
    try {
      const size = await cutTornLine(file)
      const line = Buffer.from(`${entry}\n`)
      await writeAll(file, line, size).catch(async (error: unknown) => {
        await file.truncate(size).catch(() => {})
        throw error
      })
      await file.sync()
      this.head = hashIn(entry) ?? this.head
    } finally {
      await file.close()
    }
    if (isNew) await syncFolder(dirname(this.file))
  }

  /** The text of an entry with its place behind the last chained line, for {@link append}. */
  async chained(entry: string): Promise<string> {
    const last = await this.newest((text) => hashIn(text) !== undefined, Number.POSITIVE_INFINITY)
    return chainedText(entry, last === undefined ? this.head : (hashIn(last) ?? null))
  }

  /** How long it is, in bytes, without a line that a crash has torn. */
  async wholeSize(): Promise<number> {
    const file = await this.openToRead()
    if (file === undefined) return 0
    try {
      return await wholeSizeOf(file)
    } finally {
      await file.close()
    }
  }

  /** Whether a line is there, at a byte or, where the file was exchanged, among the last with any place in the chain. */
  async has(entry: string, at: number): Promise<boolean> {
    const file = await this.openToRead()
    if (file === undefined) return false
    try {
      const line = Buffer.from(`${entry}\n`)
      const there = Buffer.alloc(line.length)
      await file.read(there, 0, line.length, at)
      if (there.equals(line)) return true
      const content = unchainedText(entry)
      for await (const { text, position } of linesBackwards(file, await wholeSizeOf(file))) {
        if (unchainedText(text) === content) return true
        if (position < at) return false
      }
      return false
    } finally {
      await file.close()
    }
  }

  /** Positions are the bytes at which lines begin. Nothing is ever dropped. */
  async page({ context, before, limit }: AuditQuery): Promise<AuditPage> {
    const records: AuditRecord[] = []
    const file = await this.openToRead()
    if (file === undefined) return { records, next: null, dropped: 0 }
    try {
      const end = await wholeSizeOf(file, before === undefined ? undefined : Number(before) || 0)
      for await (const { text, position } of linesBackwards(file, end)) {
        const record = this.recordOf(text, position)
        if (record === undefined || (context !== undefined && record.context !== context)) continue
        if (records.length === limit) return { records, next: records.at(-1)?.position ?? null, dropped: 0 }
        records.push(record)
      }
      return { records, next: null, dropped: 0 }
    } finally {
      await file.close()
    }
  }

  /** The text of the newest line that a test is true of. */
  async newest(isIt: (text: string) => boolean, most: number): Promise<string | undefined> {
    const file = await this.openToRead()
    if (file === undefined) return undefined
    try {
      let seen = 0
      for await (const { text } of linesBackwards(file, await wholeSizeOf(file))) {
        if (isIt(text)) return text
        if (++seen === most) return undefined
      }
      return undefined
    } finally {
      await file.close()
    }
  }

  private recordOf(text: string, position: number): AuditRecord | undefined {
    try {
      return { ...parseEntry(text), position: String(position).padStart(POSITION_LENGTH, '0') }
    } catch (error) {
      this.troubled(new Error(`${this.file} has a line at byte ${position} that is no entry`, { cause: error }))
      return undefined
    }
  }

  private async openToRead(): Promise<FileHandle | undefined> {
    try {
      return await open(this.file, 'r')
    } catch (error) {
      if (isMissing(error)) return undefined
      throw error
    }
  }

  /** It is opened for each entry, so that who rotates it need not say so. */
  private async openToWrite(): Promise<{ readonly file: FileHandle; readonly isNew: boolean }> {
    try {
      return { file: await open(this.file, 'r+'), isNew: false }
    } catch (error) {
      if (!isMissing(error)) throw error
      return { file: await open(this.file, 'wx+', 0o600), isNew: true }
    }
  }
}

async function writeAll(file: FileHandle, bytes: Buffer, at: number): Promise<void> {
  let written = 0
  while (written < bytes.length) {
    const { bytesWritten } = await file.write(bytes, written, bytes.length - written, at + written)
    written += bytesWritten
  }
}

async function cutTornLine(file: FileHandle): Promise<number> {
  const { size } = await file.stat()
  const whole = await wholeSizeOf(file)
  if (whole < size) await file.truncate(whole)
  return whole
}

/** Where the last newline ends, of the file or of what stands before a byte. */
async function wholeSizeOf(file: FileHandle, before = Number.POSITIVE_INFINITY): Promise<number> {
  let end = Math.min((await file.stat()).size, before)
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

/** Lines that end at or before a byte, the last one first. */
async function* linesBackwards(
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
    // The last byte is the newline of the last line; each line begins behind the newline before it.
    for (;;) {
      const newline = pending.lastIndexOf(NEWLINE, pending.length - 2)
      if (newline < 0 || pending.length < 2) break
      yield { text: pending.toString('utf8', newline + 1, pending.length - 1), position: start + newline + 1 }
      pending = pending.subarray(0, newline + 1)
    }
  }
  if (pending.length > 1) yield { text: pending.toString('utf8', 0, pending.length - 1), position: 0 }
}
