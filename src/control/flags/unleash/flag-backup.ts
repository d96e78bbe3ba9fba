// Copies of the last flags of Unleash, on disk and in the store of the fleet: a gateway that starts while Unleash is down decides
// by them, also if it has no disk of its own.
import { readFile, stat, utimes } from 'node:fs/promises'
import type { ClientFeaturesResponse } from 'unleash-client'
import { isMissing } from '../../../lib/file-errors.ts'
import { replaceFile } from '../../../lib/replace-file.ts'
import { singleFlight } from '../../../lib/single-flight.ts'
import type { FlagBackupStore } from '../../../model/ports.ts'

/**
 * The time between two writes of a gateway to the store, in milliseconds. Every gateway writes there. The age of the copy may be
 * wrong by this much.
 */
const CONFIRM_STORE_MS = 60_000

/** unleash-client's `StorageProvider`. The provider of unleash-client overwrites its file in place, so a crash would leave half a file. */
export class FlagBackup {
  readonly file: string
  readonly #onError: (error: unknown) => void
  readonly #store: FlagBackupStore | undefined
  #last: ClientFeaturesResponse | undefined
  #writing: Promise<void> = Promise.resolve()
  readonly #writeLast = singleFlight(async () => {
    const flags = this.#last as ClientFeaturesResponse
    await Promise.all([this.#writeFile(flags), this.#writeStore(flags)])
  })
  /** The file lacks the last flags: they are written at the next poll. */
  #isUnwritten = false
  #storedAt = Number.NEGATIVE_INFINITY
  /** When the copy in the store was confirmed, by the clock of the store; undefined unless that copy is in use. */
  #storeCopyConfirmedAt: number | undefined

  constructor(file: string, onError: (error: unknown) => void, store?: FlagBackupStore) {
    this.file = file
    this.#onError = onError
    this.#store = store
  }

  /** Where the flags were read from, for the log. */
  get source(): string {
    return this.#storeCopyConfirmedAt === undefined ? this.file : 'the copy in the store'
  }

  /** Keeps the flags in memory for a new instance of unleash-client. Does not wait for the disk, so that polls continue. */
  async set(_key: string, flags: ClientFeaturesResponse): Promise<void> {
    this.#last = flags
    this.#storeCopyConfirmedAt = undefined
    this.#writing = this.#writeLast()
  }

  async get(): Promise<ClientFeaturesResponse | undefined> {
    return this.#last ?? (await this.#readFile()) ?? (await this.#readStore())
  }

  /** Resolves when no write is under way. */
  settled(): Promise<void> {
    return this.#writing
  }

  /** Unleash has confirmed the flags. Sets the modification time of the file, which is the age of the flags. @param now milliseconds since 1970 */
  confirm(now: number): void {
    const time = new Date(now)
    if (this.#isUnwritten) this.#writing = this.#writeLast()
    else utimes(this.file, time, time).catch(() => {})
    if (this.#store === undefined || this.#last === undefined) return
    if (this.#store.wallTime() - this.#storedAt >= CONFIRM_STORE_MS) void this.#writeStore(this.#last)
  }

  /** How long ago Unleash confirmed the copy, in milliseconds; undefined without a copy. @param now milliseconds since 1970 */
  async ageMs(now: number): Promise<number | undefined> {
    if (this.#store !== undefined && this.#storeCopyConfirmedAt !== undefined)
      return this.#store.wallTime() - this.#storeCopyConfirmedAt
    return stat(this.file).then(
      ({ mtimeMs }) => now - mtimeMs,
      () => undefined,
    )
  }

  async #writeFile(flags: ClientFeaturesResponse): Promise<void> {
    try {
      // Flags may name users: only the owner can read the new file.
      await replaceFile(this.file, JSON.stringify(flags))
      this.#isUnwritten = false
    } catch (error) {
      this.#isUnwritten = true
      this.#fail(`flags cannot be kept in ${this.file}`, error)
    }
  }

  async #readFile(): Promise<ClientFeaturesResponse | undefined> {
    try {
      return JSON.parse(await readFile(this.file, 'utf8'))
    } catch (error) {
      if (!isMissing(error)) this.#fail(`kept flags cannot be read: ${this.file}`, error)
      return undefined
    }
  }

  async #writeStore(flags: ClientFeaturesResponse): Promise<void> {
    if (this.#store === undefined) return
    const time = this.#store.wallTime()
    this.#storedAt = time
    try {
      await this.#store.saveFlagBackup({ text: JSON.stringify(flags), at: time })
    } catch (error) {
      this.#storedAt = Number.NEGATIVE_INFINITY
      this.#fail('flags cannot be kept for the fleet', error)
    }
  }

  async #readStore(): Promise<ClientFeaturesResponse | undefined> {
    if (this.#store === undefined) return undefined
    try {
      const backup = await this.#store.loadFlagBackup()
      if (backup === undefined) return undefined
      const flags = JSON.parse(backup.text)
      this.#storeCopyConfirmedAt = backup.at
      return flags
    } catch (error) {
      this.#fail('flags kept for the fleet cannot be read', error)
      return undefined
    }
  }

  #fail(what: string, cause: unknown): void {
    this.#onError(new Error(`${what}: ${cause instanceof Error ? cause.message : String(cause)}`, { cause }))
  }
}
