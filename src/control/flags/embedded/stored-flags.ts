// The embedded flags of a gateway: part of the shared state, in Unleash's format.
import type { FileRejection } from '../../../model/file-rejection.ts'
import type { EmbeddedFlags } from '../../../model/shared-state.ts'
import type { StateStore } from '../../../model/state-store.ts'
import type { Events } from '../../../telemetry/events.ts'
import { FlagEngine } from '../flag-engine.ts'
import type { FlagStatus, Flags } from '../flags.ts'
import { localEvaluator } from '../local-evaluator.ts'
import { parseFlagFile } from './flag-file.ts'

type StoredFlagsOptions = {
  readonly store: Pick<StateStore, 'current' | 'status'>
  /** The path of the seed file, which operators see as the location of the flags. */
  readonly file: string
  readonly events: Events
  /** Why the file cannot be read; undefined if it can. */
  readonly fileError: () => string | undefined
  /** The file on disk, if its content was rejected. */
  readonly fileRejection: () => FileRejection | undefined
}

export class StoredFlags extends FlagEngine implements Flags {
  readonly #options: StoredFlagsOptions
  #inUse: EmbeddedFlags | null = null
  #error: string | undefined

  constructor(options: StoredFlagsOptions) {
    super(options.events)
    this.#options = options
  }

  async start(): Promise<void> {
    this.use(this.#options.store.current().flags)
  }

  async stop(): Promise<void> {}

  async refresh(): Promise<void> {
    this.use(this.#options.store.current().flags)
  }

  /** Takes the flags of a newer shared state into use. With null, the flags in use stay. */
  use(flags: EmbeddedFlags | null): void {
    if (flags === null || flags === this.#inUse) return
    try {
      // The store may contain anything: another program can write to it.
      const parsed = parseFlagFile('the store', JSON.stringify(flags))
      this.useEvaluator(localEvaluator(parsed, (error) => this.#fail(error)))
      this.#inUse = flags
      this.#error = undefined
    } catch (error) {
      this.#fail(error)
    }
  }

  /** The flags are as old as the last contact with the store. */
  isOlderThan(ageMs: number): boolean {
    return this.evaluator === undefined || this.#options.store.status().cutOffMs > ageMs
  }

  status(): FlagStatus {
    const { store, file, fileError, fileRejection } = this.#options
    const stale = this.evaluator === undefined
    return {
      // For operators the source is the file that seeds the flags and that they edit.
      source: 'file',
      location: file,
      flags: this.#inUse?.features.length ?? 0,
      ageMs: stale ? undefined : store.status().cutOffMs,
      stale,
      trouble: this.#error ?? fileError(),
      isRefused: false,
      rejection: fileRejection(),
    }
  }

  #fail(error: unknown): void {
    this.#error = error instanceof Error ? error.message : String(error)
    this.#options.events.flagsFailed({ source: 'the store', error })
  }
}
