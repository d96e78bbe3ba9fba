// The last good flags of an Unleash, kept on disk and where the fleet keeps its state: a gateway that starts while
// Unleash is down decides by them, one that has no disk of its own too.
import { randomUUID } from 'node:crypto'
import { mkdir, readFile, rename, rm, stat, utimes, writeFile } from 'node:fs/promises'
import { dirname } from 'node:path'
import type { ClientFeaturesResponse } from 'unleash-client'
import { isMissing } from '../../../lib/file-errors.ts'
import { singleFlight } from '../../../lib/single-flight.ts'
import type { FlagBackupStore } from '../../../model/ports.ts'

/** The second copy's age may be wrong by this much: each gateway of a fleet writes it. */
const KEEP_AGAIN_MS = 60_000

/** unleash-client's `StorageProvider`; its own writes in place, where a crash leaves half a file. */
export class FlagBackup {
  readonly file: string
  private readonly onTrouble: (error: unknown) => void
  private readonly keep: FlagBackupStore | undefined
  private last: ClientFeaturesResponse | undefined
  private writing: Promise<void> = Promise.resolve()
  private readonly writeLast = singleFlight(async () => {
    const flags = this.last as ClientFeaturesResponse
    await Promise.all([this.write(flags), this.keepAgain(flags)])
  })
  /** The file lacks the last flags: the next poll writes it again. */
  private isUnwritten = false
  private keptAt = Number.NEGATIVE_INFINITY
  /** When the second copy was confirmed, if it is the one in use; by the fleet's clock. */
  private takenFromKeepAt: number | undefined

  constructor(file: string, onTrouble: (error: unknown) => void, keep?: FlagBackupStore) {
    this.file = file
    this.onTrouble = onTrouble
    this.keep = keep
  }

  /**
   * Keeps the flags in memory whatever the disk says: a new client begins with them. Does not wait for the disk: whoever
   * has the flags goes on, the next poll too.
   */
  async set(_key: string, flags: ClientFeaturesResponse): Promise<void> {
    this.last = flags
    this.takenFromKeepAt = undefined
    this.writing = this.writeLast([])
  }

  /** Where the kept flags came from, for the log. */
  source(): string {
    return this.takenFromKeepAt === undefined ? this.file : 'what is kept for the fleet'
  }

  /** Resolves when nothing is being written. */
  settled(): Promise<void> {
    return this.writing
  }

  async get(): Promise<ClientFeaturesResponse | undefined> {
    return this.last ?? (await this.fromDisk()) ?? (await this.fromKeep())
  }

  private async write(flags: ClientFeaturesResponse): Promise<void> {
    const unfinished = `${this.file}.${randomUUID()}.tmp`
    try {
      await mkdir(dirname(this.file), { recursive: true })
      // Flags may name users: for the gateway's own eyes.
      await writeFile(unfinished, JSON.stringify(flags), { mode: 0o600, flush: true })
      await rename(unfinished, this.file)
      this.isUnwritten = false
    } catch (error) {
      this.isUnwritten = true
      await rm(unfinished, { force: true }).catch(() => {})
      this.onTrouble(new Error(`flags cannot be kept in ${this.file}: ${messageOf(error)}`, { cause: error }))
    }
  }

  private async fromDisk(): Promise<ClientFeaturesResponse | undefined> {
    try {
      return JSON.parse(await readFile(this.file, 'utf8'))
    } catch (error) {
      if (!isMissing(error))
        this.onTrouble(new Error(`kept flags cannot be read: ${this.file}: ${messageOf(error)}`, { cause: error }))
      return undefined
    }
  }

  private async fromKeep(): Promise<ClientFeaturesResponse | undefined> {
    if (this.keep === undefined) return undefined
    try {
      const kept = await this.keep.loadFlagBackup()
      if (kept === undefined) return undefined
      const flags = JSON.parse(kept.text)
      this.takenFromKeepAt = kept.at
      return flags
    } catch (error) {
      this.onTrouble(new Error(`flags kept for the fleet cannot be read: ${messageOf(error)}`, { cause: error }))
      return undefined
    }
  }

  private async keepAgain(flags: ClientFeaturesResponse): Promise<void> {
    if (this.keep === undefined) return
    const at = this.keep.wallTime()
    this.keptAt = at
    try {
      await this.keep.saveFlagBackup({ text: JSON.stringify(flags), at })
    } catch (error) {
      this.keptAt = Number.NEGATIVE_INFINITY
      this.onTrouble(new Error(`flags cannot be kept for the fleet: ${messageOf(error)}`, { cause: error }))
    }
  }

  /** The age of the file is the age of the flags: Unleash has just said that they are still these. */
  confirm(epochMs: number): void {
    const at = new Date(epochMs)
    if (this.isUnwritten) this.writing = this.writeLast([])
    else utimes(this.file, at, at).catch(() => {})
    if (this.keep === undefined || this.last === undefined) return
    if (this.keep.wallTime() - this.keptAt >= KEEP_AGAIN_MS) void this.keepAgain(this.last)
  }

  /** How long ago Unleash confirmed the kept flags, in milliseconds; undefined if there are none. @param epochMs now */
  async ageMs(epochMs: number): Promise<number | undefined> {
    if (this.keep !== undefined && this.takenFromKeepAt !== undefined)
      return this.keep.wallTime() - this.takenFromKeepAt
    return stat(this.file).then(
      ({ mtimeMs }) => epochMs - mtimeMs,
      () => undefined,
    )
  }
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}
