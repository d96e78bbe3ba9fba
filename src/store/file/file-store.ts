// Shared state in a folder, for a single gateway. The state survives every end of the process.
import { hostname } from 'node:os'
import { join, resolve } from 'node:path'
import { createFolder } from '../../lib/replace-file.ts'
import type { AuditEntry, AuditPage, AuditQuery, ChainReport } from '../../model/audit-log.ts'
import type { FleetMember, Heartbeat } from '../../model/fleet.ts'
import type { Clock } from '../../model/ports.ts'
import type { SharedState, StoredFlagBackup } from '../../model/shared-state.ts'
import { type CommitResult, type StoreStatus, StoreUnavailable } from '../../model/state-store.ts'
import type { Store } from '../../model/store.ts'
import { verifyHistory } from '../audit-chain.ts'
import { CachedState } from '../cached-state.ts'
import { Outage } from '../outage.ts'
import { createRestoreEntry } from '../restore-entry.ts'
import { SerialQueue } from '../serial-queue.ts'
import { serializeEntry, serializeState } from '../state-schema.ts'
import { NO_EVENTS, type RestoreResult, type StoreEvents } from '../store-events.ts'
import { AuditFile } from './audit-file.ts'
import { FileComparisons } from './file-comparisons.ts'
import { FlagBackupFile } from './flag-backup-file.ts'
import { FolderLock, FolderTaken, TOUCH_MS } from './folder-lock.ts'
import { LocalFleet } from './local-fleet.ts'
import { StateFiles } from './state-files.ts'
import { StateJournal } from './state-journal.ts'

type FileStoreOptions = {
  /** `.strangler` if not given. */
  readonly folder?: string
  readonly clock: Clock
  readonly events?: StoreEvents
}

/**
 * The state in a folder that only the owner can read: `state.json`, `state.copy.json`, `audit.jsonl`, `kept-flags.json` and
 * `lock`, and the comparisons in `comparisons`. The audit log grows without a limit; an operator can rotate it at any time.
 *
 * Only one store in all processes can write to a folder. A second one reports the reason in its status and with every
 * change, follows the state of the first one, and takes the folder over when the first one has ended.
 */
export class FileStore implements Store {
  readonly comparisons: FileComparisons
  readonly #folder: string
  readonly #clock: Clock
  readonly #events: StoreEvents
  readonly #cache: CachedState
  readonly #fleet: LocalFleet
  readonly #flagBackup: FlagBackupFile
  readonly #journal: StateJournal
  readonly #queue = new SerialQueue()
  readonly #outage: Outage<'folder'>
  readonly #createdAt: number
  #lock: FolderLock | undefined
  /** Whether the folder was used once, with or without success. */
  #wasTried = false
  #restored: StoreStatus['restored']
  #timer: NodeJS.Timeout | undefined
  #isClosed = false

  constructor({ folder = '.strangler', clock, events = NO_EVENTS }: FileStoreOptions) {
    this.#folder = resolve(folder)
    this.#clock = clock
    this.#events = events
    this.#cache = new CachedState(events.failed)
    this.#fleet = new LocalFleet(clock, events.failed)
    this.#flagBackup = new FlagBackupFile(join(this.#folder, 'kept-flags.json'), events.failed)
    const audit = new AuditFile(join(this.#folder, 'audit.jsonl'), events.failed)
    this.#journal = new StateJournal(new StateFiles(this.#folder, audit, events.failed), audit)
    this.#outage = new Outage(clock, events)
    this.#createdAt = clock.now()
    this.comparisons = new FileComparisons({
      folder: join(this.#folder, 'comparisons'),
      clock,
      events,
      lock: () => this.read(),
    })
  }

  async start(): Promise<void> {
    await this.read().catch(() => {})
    this.#checkLater()
  }

  current(): SharedState {
    return this.#cache.current
  }

  read(): Promise<SharedState> {
    return this.#queue.run(() => this.#takeFolder())
  }

  async commit(next: SharedState, entry: AuditEntry): Promise<CommitResult> {
    const stateText = serializeState(next)
    const entryText = serializeEntry(entry)
    return this.#queue.run(() => this.#commit(stateText, entryText, next.generation))
  }

  async record(entry: AuditEntry): Promise<void> {
    const text = serializeEntry(entry)
    await this.#queue.run(async () => {
      await this.#takeFolder()
      await this.#write(() => this.#journal.append(text))
    })
  }

  async history(query: AuditQuery): Promise<AuditPage> {
    await this.#queue
      .run(async () => {
        if (this.#lock !== undefined) await this.#journal.completeLog()
      })
      .catch(() => {})
    return this.#read(() => this.#journal.page(query))
  }

  verifyHistory(): Promise<ChainReport> {
    return verifyHistory((query) => this.history(query))
  }

  onChange(listener: (state: SharedState) => void): () => void {
    return this.#cache.onChange(listener)
  }

  async sendHeartbeat(report: Heartbeat): Promise<void> {
    this.#fleet.receive(report)
  }

  async removeMember(id: string): Promise<void> {
    this.#fleet.remove(id)
  }

  async fleet(): Promise<FleetMember[]> {
    return this.#fleet.list()
  }

  onHeartbeat(listener: (report: Heartbeat) => void): () => void {
    return this.#fleet.onHeartbeat(listener)
  }

  async saveFlagBackup(flags: StoredFlagBackup): Promise<void> {
    await this.#queue.run(async () => {
      await this.#takeFolder()
      await this.#write(() => this.#flagBackup.save(flags))
    })
  }

  loadFlagBackup(): Promise<StoredFlagBackup | undefined> {
    return this.#flagBackup.load()
  }

  wallTime(): number {
    return this.#clock.wallTime()
  }

  status(): StoreStatus {
    const location = this.#folder
    if (!this.#wasTried) {
      const cutOffMs = this.#clock.now() - this.#createdAt
      return { kind: 'file', location, isConnected: false, cutOffMs, trouble: 'the store was not started' }
    }
    const { reason, durationMs } = this.#outage
    const isConnected = reason === undefined
    return { kind: 'file', location, isConnected, cutOffMs: durationMs, trouble: reason, restored: this.#restored }
  }

  async close(): Promise<void> {
    clearTimeout(this.#timer)
    await this.comparisons.close()
    await this.#queue
      .run(async () => {
        this.#isClosed = true
        await this.#lock?.release()
        this.#lock = undefined
      })
      .catch(() => {})
  }

  /** Takes the lock if this store does not have it. Reads the state in either case. @throws {StoreUnavailable} */
  async #takeFolder(): Promise<SharedState> {
    if (this.#isClosed) throw new StoreUnavailable('the store is closed', undefined)
    if (this.#lock !== undefined && (await this.#lock.isOurs())) return this.#cache.current
    this.#lock = undefined
    return this.#write(async () => {
      await createFolder(this.#folder)
      const state = await this.#journal.readState()
      if (state !== undefined) this.#cache.adopt(state)
      const lock = await FolderLock.take(this.#folder)
      try {
        await this.#recover()
        this.#lock = lock
        this.comparisons.tidy()
      } finally {
        // A state that could not be read must not be overwritten.
        if (this.#lock === undefined) await lock.release()
      }
      return this.#cache.current
    })
  }

  async #recover(): Promise<void> {
    const { state, restored } = await this.#journal.recover(this.#cache.current)
    this.#cache.adopt(state)
    if (restored !== undefined) await this.#reportRestore(restored)
  }

  async #reportRestore(result: RestoreResult): Promise<void> {
    const time = this.#clock.wallTime()
    const detail = describeRestore(result)
    this.#restored = { at: time, detail }
    this.#events.restored(result)
    const entry = createRestoreEntry({
      time,
      oldState: { generation: result.found },
      newState: { generation: result.generation },
      detail,
      gateway: hostname(),
    })
    await this.#journal.append(serializeEntry(entry))
  }

  async #commit(stateText: string, entryText: string, generation: number): Promise<CommitResult> {
    await this.#takeFolder()
    if (this.#cache.current.generation !== generation - 1) {
      const isRepeated = await this.#read(() => this.#journal.hasEntry(entryText))
      return isRepeated ? { ok: true } : { ok: false, conflict: this.#cache.current }
    }
    const record = await this.#write(() => this.#journal.commit(stateText, entryText))
    // The change and its entry are on the disk: the log may follow later.
    await this.#journal.completeLog().catch((error: unknown) => void this.#fail(error))
    this.#queue.run(() => this.#journal.writeCopy(record)).catch((error: unknown) => void this.#fail(error))
    this.#cache.adopt(record.state)
    return { ok: true }
  }

  #checkLater(): void {
    if (this.#isClosed) return
    this.#timer = setTimeout(async () => {
      await this.#queue.run(() => this.#check()).catch(() => {})
      this.#checkLater()
    }, TOUCH_MS).unref()
  }

  async #check(): Promise<void> {
    await this.#takeFolder()
    await this.#lock?.touch()
    // Only a write shows whether the disk accepts writes again.
    if (this.#outage.has('folder'))
      await this.#write(async () => {
        await this.#journal.completeLog()
        await this.#journal.writeCopy()
      })
  }

  /** Writes to the folder. A failure begins an outage, and a success ends it. @throws {StoreUnavailable} */
  async #write<Result>(task: () => Promise<Result>): Promise<Result> {
    try {
      const result = await task()
      this.#wasTried = true
      this.#outage.end('folder')
      return result
    } catch (error) {
      throw this.#fail(error)
    }
  }

  /** Reads from the folder, which does not show whether the folder can be written. @throws {StoreUnavailable} */
  async #read<Result>(task: () => Promise<Result>): Promise<Result> {
    try {
      return await task()
    } catch (error) {
      throw new StoreUnavailable(`${this.#folder} cannot be read: ${messageOf(error)}`, error)
    }
  }

  #fail(error: unknown): StoreUnavailable {
    if (error instanceof StoreUnavailable) return error
    this.#wasTried = true
    this.#events.writeFailed?.(error)
    const isTaken = error instanceof FolderTaken
    const reason = isTaken ? error.message : `${this.#folder} cannot be written: ${messageOf(error)}`
    this.#outage.begin('folder', reason)
    return new StoreUnavailable(reason, error)
  }
}

function describeRestore({ generation, found: oldGeneration, lost }: RestoreResult): string {
  const rest = lost.length === 0 ? '' : `; make these changes again: ${lost.join(', ')}`
  return `state.json had generation ${oldGeneration}, and later changes are known: this gateway restored generation ${generation}${rest}`
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}
