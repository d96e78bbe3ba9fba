// flags.json, for a gateway with a store: the file seeds the embedded flags, and an edit of it is a change made outside.
import { readFile, stat } from 'node:fs/promises'
import { isMissing } from '../../../lib/file-errors.ts'
import type { AuditEntry } from '../../../model/audit-log.ts'
import type { FileRejection } from '../../../model/file-rejection.ts'
import type { Clock } from '../../../model/ports.ts'
import type { EmbeddedFlags, SharedState } from '../../../model/shared-state.ts'
import { type StateStore, StoreUnavailable } from '../../../model/state-store.ts'
import type { Events } from '../../../telemetry/events.ts'
import { reportEntry } from '../../audit/audit-entry.ts'
import { type EditSource, entriesOf, seededEntry, stateWithEdits } from './file-edits.ts'
import { parseFlagFile, rejectionOf } from './flag-file.ts'
import { FollowedFile, type WatchFile } from './followed-file.ts'
import { seed } from './seed.ts'

export type FlagsFileOptions = EditSource & {
  readonly store: StateStore
  readonly events: Events
  readonly clock: Clock
  readonly watch: WatchFile
}

/** Gateways with the same edit commit it at the same time: one of them commits, the others find it in the store. */
const MOST_ATTEMPTS = 10

export class FlagsFile {
  readonly #options: FlagsFileOptions
  readonly #followed: FollowedFile
  #trouble: string | undefined
  #rejection: FileRejection | undefined
  #isInStore = false
  /** Entries of committed edits that are not in the audit log yet. */
  #unrecorded: AuditEntry[] = []

  constructor(options: FlagsFileOptions) {
    this.#options = options
    const { file, watch } = options
    this.#followed = new FollowedFile({
      file,
      watch,
      read: () => this.#read(),
      onFailed: (error) => this.#fail(error),
      onChange: () => {
        this.#isInStore = false
      },
    })
  }

  /** Why the file could not be read or its flags could not be stored; undefined if they are in the store. */
  get trouble(): string | undefined {
    return this.#trouble
  }

  /** The file on disk, if its content was rejected and is not in use. */
  get rejection(): FileRejection | undefined {
    return this.#rejection
  }

  /** Resolves when the flags of the file are in the store, or `trouble` has the reason. Never rejects. */
  start(): Promise<void> {
    return this.#followed.start()
  }

  stop(): Promise<void> {
    return this.#followed.stop()
  }

  /** Reads the file again if its flags could not be stored. */
  retry(): void {
    if (!this.#isInStore) void this.#followed.read()
  }

  async #read(): Promise<void> {
    const { file, store, clock, events } = this.#options
    const [text, { mtimeMs }] = await Promise.all([readFile(file, 'utf8'), stat(file)])
    const flags = parseFlagFile(file, text) as unknown as EmbeddedFlags
    // The times of the shared state are whole milliseconds; those of a file are not.
    const editedAt = Math.floor(mtimeMs + store.wallTime() - clock.wallTime())
    await this.#store(flags, editedAt)
    await this.#recordRest()
    this.#isInStore = true
    this.#trouble = undefined
    this.#rejection = undefined
    events.flagsRead({ source: file, flags: flags.features.length })
  }

  async #store(flags: EmbeddedFlags, editedAt: number): Promise<void> {
    const { file, store } = this.#options
    for (let attempt = 0; attempt < MOST_ATTEMPTS; attempt++)
      if (await this.#commit(await store.read(), flags, editedAt)) return
    throw new Error(
      `${file} was not taken over: other gateways changed the shared state ${MOST_ATTEMPTS} times meanwhile`,
    )
  }

  /** @returns false if another change was committed first */
  async #commit(state: SharedState, parsed: EmbeddedFlags, editedAt: number): Promise<boolean> {
    const { store, events, contextOf } = this.#options
    const isFrozen = (flag: string) => (state.contexts[contextOf(flag) ?? '']?.freeze ?? null) !== null
    const { flags, edits } = seed(state, parsed, editedAt, isFrozen)
    if (flags === state.flags) return true
    const generation = state.generation + 1
    const now = store.wallTime()
    if (state.flags === null) {
      const entry = seededEntry(parsed, now, generation, this.#options)
      return (await store.commit({ ...state, generation, flags }, entry)).ok
    }
    const next = stateWithEdits({ ...state, generation, flags }, edits, editedAt, this.#options)
    const [entry, ...others] = entriesOf(edits, now, generation, this.#options)
    const committed = await store.commit(next, entry)
    if (!committed.ok) return false
    this.#unrecorded.push(...others)
    if (edits.length > 0) for (const edit of [entry, ...others]) reportEntry(events, edit)
    return true
  }

  async #recordRest(): Promise<void> {
    for (let [entry] = this.#unrecorded; entry !== undefined; [entry] = this.#unrecorded) {
      await this.#options.store.record(entry)
      this.#unrecorded = this.#unrecorded.slice(1)
    }
  }

  #fail(error: unknown): void {
    const { file, clock, events } = this.#options
    const reason = isMissing(error) ? new Error(`${file}: there is no such file`) : error
    this.#trouble = reason instanceof Error ? reason.message : String(reason)
    this.#rejection = rejectionOf(file, error, this.#rejection?.since ?? clock.wallTime())
    // The store has reported its own failure: the log has it once.
    const reported = reason instanceof StoreUnavailable ? new Error('the flags cannot be written to the store') : reason
    events.flagsFailed({ source: file, error: reported })
  }
}
