// The last good flags of an Unleash, kept on disk: a gateway that starts while Unleash is down decides by them.
import { randomUUID } from 'node:crypto'
import { mkdir, readFile, rename, rm, stat, utimes, writeFile } from 'node:fs/promises'
import { dirname } from 'node:path'
import type { ClientFeaturesResponse } from 'unleash-client'

/** unleash-client's `StorageProvider`; its own writes in place, where a crash leaves half a file. */
export class FlagBackup {
  readonly file: string
  private readonly onTrouble: (error: unknown) => void
  private last: ClientFeaturesResponse | undefined
  private writing: Promise<void> = Promise.resolve()

  constructor(file: string, onTrouble: (error: unknown) => void) {
    this.file = file
    this.onTrouble = onTrouble
  }

  /** Keeps the flags in memory whatever the disk says: a new client begins with them. */
  set(_key: string, flags: ClientFeaturesResponse): Promise<void> {
    this.last = flags
    this.writing = this.writing.then(() => this.write(flags))
    return this.writing
  }

  /** Resolves when nothing is being written. */
  settled(): Promise<void> {
    return this.writing
  }

  async get(): Promise<ClientFeaturesResponse | undefined> {
    if (this.last !== undefined) return this.last
    try {
      return JSON.parse(await readFile(this.file, 'utf8'))
    } catch (error) {
      if (!isMissing(error))
        this.onTrouble(new Error(`kept flags cannot be read: ${this.file}: ${messageOf(error)}`, { cause: error }))
      return undefined
    }
  }

  private async write(flags: ClientFeaturesResponse): Promise<void> {
    const unfinished = `${this.file}.${randomUUID()}.tmp`
    try {
      await mkdir(dirname(this.file), { recursive: true })
      // Flags may name users: for the gateway's own eyes.
      await writeFile(unfinished, JSON.stringify(flags), { mode: 0o600, flush: true })
      await rename(unfinished, this.file)
    } catch (error) {
      await rm(unfinished, { force: true }).catch(() => {})
      this.onTrouble(new Error(`flags cannot be kept in ${this.file}: ${messageOf(error)}`, { cause: error }))
    }
  }

  /** The age of the file is the age of the flags: Unleash has just said that they are still these. */
  confirm(epochMs: number): void {
    const at = new Date(epochMs)
    utimes(this.file, at, at).catch(() => {})
  }

  /** When Unleash last confirmed what the file holds; undefined if there is none. */
  async confirmedAt(): Promise<number | undefined> {
    return stat(this.file).then(
      ({ mtimeMs }) => mtimeMs,
      () => undefined,
    )
  }
}

function isMissing(error: unknown): boolean {
  return error instanceof Error && 'code' in error && error.code === 'ENOENT'
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}
