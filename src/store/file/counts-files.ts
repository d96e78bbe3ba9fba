// Counts in a folder: one file for each period, which is always replaced as a whole.
import { readFile, rename, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { isMissing } from '../../lib/file-errors.ts'
import { replaceFile } from '../../lib/replace-file.ts'
import { type Entries, expiryTime } from '../counts-entries.ts'
import type { ReportUnreadable } from '../report-once.ts'
import { InvalidStoredValue } from '../state-schema.ts'
import { formatCounts, parseCounts } from './counts-text.ts'
import { foldEntries } from './fold-entries.ts'
import { listFolder, removeStaleFiles } from './temporary-files.ts'

/** `1760000400000.counts`, and temporary or unreadable files beside it. */
const FILE_NAME = /^(\d+)\.counts(\..+)?$/

export class CountsFiles {
  readonly #folder: string
  readonly #reportUnreadable: ReportUnreadable

  constructor(folder: string, reportUnreadable: ReportUnreadable) {
    this.#folder = folder
    this.#reportUnreadable = reportUnreadable
  }

  /** The starts of the stored periods, the oldest first. */
  async periods(): Promise<number[]> {
    const matches = (await listFolder(this.#folder)).map((name) => FILE_NAME.exec(name))
    const complete = matches.filter((match) => match !== null && match[2] === undefined)
    return complete.map((match) => Number(match?.[1])).toSorted((a, b) => a - b)
  }

  /** Leaves out and reports a damaged file. */
  async read(start: number): Promise<Entries> {
    const file = this.#fileOf(start)
    try {
      return parseCounts(await readFile(file, 'utf8'))
    } catch (error) {
      if (error instanceof InvalidStoredValue) this.#reportUnreadable(file, error)
      else if (!isMissing(error)) throw error
      return new Map()
    }
  }

  /** Adds entries; replaces those of the same name. @returns whether the period is new */
  async put(start: number, entries: Entries): Promise<boolean> {
    const stored = await this.#readForWrite(start)
    await this.#replace(start, new Map([...(stored ?? []), ...entries]))
    return stored === undefined
  }

  /** Merges the entries of all writers that have stopped. */
  async fold(activeWriters: Iterable<string>): Promise<void> {
    for (const start of await this.periods()) {
      const folded = foldEntries((await this.#readForWrite(start)) ?? new Map(), activeWriters)
      if (folded !== undefined) await this.#replace(start, folded)
    }
  }

  /** Removes expired files and stale temporary files. @param now milliseconds since 1970 */
  async sweep(now: number): Promise<void> {
    await removeStaleFiles(this.#folder)
    for (const name of await listFolder(this.#folder)) {
      const start = FILE_NAME.exec(name)?.[1]
      if (start !== undefined && expiryTime(Number(start)) <= now) await rm(join(this.#folder, name), { force: true })
    }
  }

  /** Renames and reports a damaged file. The period begins anew: writers that are active save their counts again. */
  async #readForWrite(start: number): Promise<Entries | undefined> {
    const file = this.#fileOf(start)
    try {
      return parseCounts(await readFile(file, 'utf8'))
    } catch (error) {
      if (isMissing(error)) return undefined
      if (!(error instanceof InvalidStoredValue)) throw error
      this.#reportUnreadable(file, error)
      await rename(file, `${file}.unreadable-${Date.now()}`)
      return undefined
    }
  }

  async #replace(start: number, entries: Entries): Promise<void> {
    await replaceFile(this.#fileOf(start), formatCounts(entries))
  }

  #fileOf(start: number): string {
    return join(this.#folder, `${start}.counts`)
  }
}
