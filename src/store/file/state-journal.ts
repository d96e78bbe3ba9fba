// Commits a state together with its audit entry. The entry is written with the state first, and then appended to the log:
// after a crash between the two, the log is completed from the state.
import type { AuditPage, AuditQuery } from '../../model/audit-log.ts'
import type { SharedState } from '../../model/shared-state.ts'
import { removeChainFields } from '../audit-chain.ts'
import { parseState } from '../state-schema.ts'
import type { RestoreResult } from '../store-events.ts'
import type { AuditFile } from './audit-file.ts'
import type { StateFiles, StateRecord } from './state-files.ts'

/** A commit that is repeated is looked up among this many of the newest entries. */
const MAX_REPEAT_ENTRIES = 100

export class StateJournal {
  readonly #files: StateFiles
  readonly #audit: AuditFile
  #record: StateRecord | undefined
  /** The entry of the last state is not in the log yet. */
  #isEntryPending = false

  constructor(files: StateFiles, audit: AuditFile) {
    this.#files = files
    this.#audit = audit
  }

  /** The state that the folder has; undefined if it cannot be read. Does not need the lock. */
  async readState(): Promise<SharedState | undefined> {
    return (await this.#files.read().catch(() => undefined))?.state
  }

  /** Reads or recovers the state, and completes the log. Needs the lock. @param cached the state in memory */
  async recover(cached: SharedState): Promise<{ state: SharedState; restored?: RestoreResult | undefined }> {
    const recovered = await this.#files.recover(cached)
    const { entry, auditBytes, state, restored } = recovered
    this.#record = recovered
    this.#isEntryPending = entry !== undefined && !(await this.#audit.contains(entry, auditBytes))
    // After a rotation of the log, later entries may follow the predecessor of this entry: it gets new chain fields.
    if (this.#isEntryPending && entry !== undefined)
      this.#record = { ...recovered, entry: await this.#audit.chain(removeChainFields(entry)) }
    await this.completeLog()
    return { state, restored }
  }

  /** When it resolves, the state and its entry survive a crash. The entry may not be in the log yet. */
  async commit(stateText: string, entry: string): Promise<StateRecord> {
    await this.completeLog()
    const auditBytes = await this.#audit.completeSize()
    const chained = await this.#audit.chain(entry)
    await this.#files.write(stateText, chained, auditBytes)
    this.#record = { state: parseState(stateText), entry: chained, auditBytes }
    this.#isEntryPending = true
    return this.#record
  }

  async append(entry: string): Promise<void> {
    await this.completeLog()
    await this.#audit.append(await this.#audit.chain(entry))
  }

  /** Appends the entry of the last state to the log, if it is not there yet. */
  async completeLog(): Promise<void> {
    if (!this.#isEntryPending || this.#record?.entry === undefined) return
    await this.#audit.append(this.#record.entry)
    this.#isEntryPending = false
  }

  /** Whether the log has this entry among its newest ones: the commit is repeated. */
  async hasEntry(entry: string): Promise<boolean> {
    return (await this.#audit.findNewest((line) => removeChainFields(line) === entry, MAX_REPEAT_ENTRIES)) !== undefined
  }

  /** Copies a state to `state.copy.json`. @param record the last one if not given */
  async writeCopy(record: StateRecord | undefined = this.#record): Promise<void> {
    if (record !== undefined) await this.#files.writeCopy(record)
  }

  page(query: AuditQuery): Promise<AuditPage> {
    return this.#audit.page(query)
  }
}
