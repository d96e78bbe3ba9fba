// Reads a file at the start and after each change of it.
import { setTimeout as sleep } from 'node:timers/promises'

/** Calls back after the file changed, appeared or was removed. */
export type WatchFile = (file: string, onChange: () => void) => { readonly close: () => void }

type FollowedFileOptions = {
  readonly file: string
  readonly watch: WatchFile
  /** Reads the file. Rejects if its content cannot be used. */
  readonly read: () => Promise<void>
  /** Called if the second attempt fails too. */
  readonly onFailed: (error: unknown) => void
  readonly onChange?: () => void
}

/** An editor may empty a file before it writes it: a failed read is repeated after this time. */
const SECOND_ATTEMPT_MS = 100

/** One read at a time. A change during a read is read after it. */
export class FollowedFile {
  readonly #options: FollowedFileOptions
  #watcher: { readonly close: () => void } | undefined
  #reading: Promise<void> | undefined
  #isChangedWhileReading = false
  #isStopped = false

  constructor(options: FollowedFileOptions) {
    this.#options = options
  }

  /** Resolves after the first read. Never rejects. */
  async start(): Promise<void> {
    const { file, watch, onChange } = this.#options
    this.#watcher = watch(file, () => {
      onChange?.()
      void this.read()
    })
    await this.read()
  }

  async stop(): Promise<void> {
    this.#isStopped = true
    this.#watcher?.close()
    await this.#reading
  }

  /** Never rejects. */
  read(): Promise<void> {
    this.#isChangedWhileReading = this.#reading !== undefined
    this.#reading ??= this.#readOnce().finally(() => {
      this.#reading = undefined
      if (this.#isChangedWhileReading && !this.#isStopped) void this.read()
    })
    return this.#reading
  }

  /** Reads after a read that is under way, which may have missed the last change. */
  async readAgain(): Promise<void> {
    await this.#reading
    await this.read()
  }

  async #readOnce(): Promise<void> {
    const { read, onFailed } = this.#options
    try {
      await read()
    } catch {
      await sleep(SECOND_ATTEMPT_MS)
      await read().catch(onFailed)
    }
  }
}
