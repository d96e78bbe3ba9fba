// Counts in a folder: a file for each stretch of time, which is replaced as a whole.
import { readFile, rename, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { isMissing } from '../../lib/file-errors.ts'
import { type Entries, forgottenAt } from '../counts-entries.ts'
import type { TellOnce } from '../once.ts'
import { replaceFile } from '../replace-file.ts'
import { NotThat } from '../shape.ts'
import { countsText, entriesIn } from './counts-text.ts'
import { folded } from './folded.ts'
import { isLitter, namesIn } from './litter.ts'

/** `1760000400000.counts`, and what is left beside it. */
const OURS = /^(\d+)\.counts(\..+)?$/

export class CountsFiles {
  private readonly folder: string
  private readonly tellOnce: TellOnce

  constructor(folder: string, tellOnce: TellOnce) {
    this.folder = folder
    this.tellOnce = tellOnce
  }

  /** Of the stretches that are kept, the oldest first. */
  async starts(): Promise<number[]> {
    const found = (await namesIn(this.folder)).map((name) => OURS.exec(name))
    const whole = found.filter((name) => name !== null && name[2] === undefined)
    return whole.map((name) => Number(name?.[1])).toSorted((one, other) => one - other)
  }

  /** What is damaged is left out, which is told. */
  async read(start: number): Promise<Entries> {
    try {
      return entriesIn(await readFile(this.fileOf(start), 'utf8'))
    } catch (error) {
      if (isMissing(error)) return new Map()
      if (error instanceof NotThat) this.tellOnce(this.fileOf(start), error)
      else throw error
      return new Map()
    }
  }

  /** Puts entries in the place of those of the same name. Resolves with whether the stretch is a new one. */
  async put(start: number, entries: Entries): Promise<boolean> {
    const known = await this.readToWrite(start)
    await this.replace(start, new Map([...(known ?? []), ...entries]))
    return known === undefined
  }

  /** Makes one entry of what writers have said who are gone. */
  async fold(living: Iterable<string>): Promise<void> {
    for (const start of await this.starts()) {
      const fewer = folded((await this.readToWrite(start)) ?? new Map(), living)
      if (fewer !== undefined) await this.replace(start, fewer)
    }
  }

  /** Takes away what is forgotten, and what a process that was killed has left. */
  async sweep(now: number): Promise<void> {
    for (const name of await namesIn(this.folder)) {
      const path = join(this.folder, name)
      const start = OURS.exec(name)?.[1]
      const isForgotten = start !== undefined && forgottenAt(Number(start)) <= now
      if (isForgotten || (await isLitter(path))) await rm(path, { force: true })
    }
  }

  /** What is damaged is put aside, and the stretch begun anew: what the living say of it, they say again. */
  private async readToWrite(start: number): Promise<Entries | undefined> {
    const file = this.fileOf(start)
    try {
      return entriesIn(await readFile(file, 'utf8'))
    } catch (error) {
      if (isMissing(error)) return undefined
      if (!(error instanceof NotThat)) throw error
      this.tellOnce(file, error)
      await rename(file, `${file}.unreadable-${Date.now()}`)
      return undefined
    }
  }

  private async replace(start: number, entries: Entries): Promise<void> {
    await replaceFile(this.fileOf(start), countsText(entries))
  }

  private fileOf(start: number): string {
    return join(this.folder, `${start}.counts`)
  }
}
