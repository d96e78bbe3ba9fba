// The audit log in a file: one line of JSON for each entry. The gateway only appends.
import { type FileHandle, open } from 'node:fs/promises'
import { dirname } from 'node:path'
import { isMissing } from '../../lib/file-errors.ts'
import { syncFolder } from '../../lib/replace-file.ts'
import type { AuditPage, AuditQuery, AuditRecord } from '../../model/audit-log.ts'
import { addChainFields, parseHash, removeChainFields } from '../audit-chain.ts'
import { parseEntry } from '../state-schema.ts'
import { completeSize, readLinesBackwards, removeIncompleteLine, writeFully } from './line-reader.ts'

const POSITION_LENGTH = 16

export class AuditFile {
  readonly #path: string
  readonly #reportError: (error: Error) => void
  /** The hash of the last appended line: after a rotation of the file, the new file continues the chain. */
  #head: string | null = null

  constructor(path: string, reportError: (error: Error) => void) {
    this.#path = path
    this.#reportError = reportError
  }

  /**
   * Appends a line. When it resolves, the line survives a power cut. Removes an incomplete line first, which a crash or a
   * full disk has left.
   *
   * @throws the error of the file system; the file is then unchanged, or ends with an incomplete line
   */
  async append(entry: string): Promise<void> {
    const { file, isNew } = await this.#openForWrite()
    try {
      const size = await removeIncompleteLine(file)
      await writeFully(file, Buffer.from(`${entry}\n`), size).catch(async (error: unknown) => {
        await file.truncate(size).catch(() => {})
        throw error
      })
      await file.sync()
      this.#head = parseHash(entry) ?? this.#head
    } finally {
      await file.close()
    }
    if (isNew) await syncFolder(dirname(this.#path))
  }

  /** Adds the chain fields behind the last chained line to the text of an entry, for {@link append}. */
  async chain(entry: string): Promise<string> {
    const last = await this.findNewest((line) => parseHash(line) !== undefined)
    return addChainFields(entry, last === undefined ? this.#head : (parseHash(last) ?? null))
  }

  /** The size in bytes, without an incomplete line at the end. */
  async completeSize(): Promise<number> {
    return this.#readFile(0, (file) => completeSize(file))
  }

  /**
   * Whether the file contains a line. If the file was replaced, the line may be elsewhere, with other chain fields.
   *
   * @param offset the byte at which the line was written
   */
  async contains(entry: string, offset: number): Promise<boolean> {
    return this.#readFile(false, async (file) => {
      const line = Buffer.from(`${entry}\n`)
      const bytes = Buffer.alloc(line.length)
      await file.read(bytes, 0, line.length, offset)
      if (bytes.equals(line)) return true
      const content = removeChainFields(entry)
      for await (const { text, position } of readLinesBackwards(file, await completeSize(file))) {
        if (removeChainFields(text) === content) return true
        if (position < offset) return false
      }
      return false
    })
  }

  /** A position is the byte at which a line begins. No entry is ever dropped. */
  async page({ context, before: position, limit }: AuditQuery): Promise<AuditPage> {
    const records: AuditRecord[] = []
    return this.#readFile<AuditPage>({ records, next: null, dropped: 0 }, async (file) => {
      const end = await completeSize(file, position === undefined ? undefined : Number(position) || 0)
      for await (const line of readLinesBackwards(file, end)) {
        const record = this.#parseRecord(line.text, line.position)
        if (record === undefined || (context !== undefined && record.context !== context)) continue
        if (records.length === limit) return { records, next: records.at(-1)?.position ?? null, dropped: 0 }
        records.push(record)
      }
      return { records, next: null, dropped: 0 }
    })
  }

  /** The newest line that matches, among the last `maxLines`. */
  async findNewest(
    matches: (line: string) => boolean,
    maxLines = Number.POSITIVE_INFINITY,
  ): Promise<string | undefined> {
    return this.#readFile<string | undefined>(undefined, async (file) => {
      let lines = 0
      for await (const { text } of readLinesBackwards(file, await completeSize(file))) {
        if (matches(text)) return text
        if (++lines === maxLines) return undefined
      }
      return undefined
    })
  }

  #parseRecord(text: string, position: number): AuditRecord | undefined {
    try {
      return { ...parseEntry(text), position: String(position).padStart(POSITION_LENGTH, '0') }
    } catch (error) {
      this.#reportError(
        new Error(`${this.#path}: the line at byte ${position} is not an audit entry`, { cause: error }),
      )
      return undefined
    }
  }

  /** @param fallback the result if the file does not exist */
  async #readFile<Result>(fallback: Result, read: (file: FileHandle) => Promise<Result>): Promise<Result> {
    const file = await open(this.#path, 'r').catch((error: unknown) => {
      if (isMissing(error)) return undefined
      throw error
    })
    if (file === undefined) return fallback
    try {
      return await read(file)
    } finally {
      await file.close()
    }
  }

  /** Opens the file for each entry, so that it can be rotated at any time. */
  async #openForWrite(): Promise<{ readonly file: FileHandle; readonly isNew: boolean }> {
    try {
      return { file: await open(this.#path, 'r+'), isNew: false }
    } catch (error) {
      if (!isMissing(error)) throw error
      return { file: await open(this.#path, 'wx+', 0o600), isNew: true }
    }
  }
}
