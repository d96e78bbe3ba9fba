// Writes entries to the audit log that belong to no commit: refusals, failures, and changes made while the store was unreachable.

import type { AuditEntry } from '../../model/audit-log.ts'
import { BUILT_IN_ACTORS } from '../../model/built-in-actors.ts'
import { type StateStore, StoreUnavailable } from '../../model/state-store.ts'
import type { Events } from '../../telemetry/events.ts'
import type { RefusedCaller } from '../control.ts'
import { auditEntry, reportEntry } from './audit-entry.ts'

type AuditRecorderOptions = {
  readonly store: Pick<StateStore, 'record' | 'status' | 'wallTime'>
  readonly events: Events
  /** The id of this gateway. */
  readonly gateway: string
}

const WRITE_EVERY_MS = 1000
/** The entries that wait for the store at most. Beyond it the oldest are dropped, refused sign-ins before all others. */
const MOST_WAITING = 1000

export class AuditRecorder {
  readonly #options: AuditRecorderOptions
  #waiting: AuditEntry[] = []
  #dropped = 0
  #timer: NodeJS.Timeout | undefined
  #writing: Promise<boolean> | undefined

  constructor(options: AuditRecorderOptions) {
    this.#options = options
  }

  start(): void {
    this.#timer = setInterval(() => void this.#write(), WRITE_EVERY_MS)
    this.#timer.unref()
    void this.#write()
  }

  /** Writes the entry now, or as soon as the store can be reached. Never rejects. */
  async record(entry: AuditEntry): Promise<void> {
    this.recordLater(entry)
    await this.#write()
  }

  /** Writes the entry with the next attempt. */
  recordLater(entry: AuditEntry): void {
    this.#waiting.push(entry)
    if (this.#waiting.length > MOST_WAITING) this.#drop()
  }

  async recordRefusedCaller({ by, address, what, why }: RefusedCaller): Promise<void> {
    const { store, events, gateway } = this.#options
    const entry = auditEntry({
      at: store.wallTime(),
      actor: by,
      address,
      verb: 'sign-in',
      result: 'refused',
      detail: `${what}: ${why}`,
      gateway,
    })
    reportEntry(events, { ...entry, detail: why })
    await this.record(entry)
  }

  async stop(): Promise<void> {
    clearInterval(this.#timer)
    await this.#write()
    const { length } = this.#waiting
    if (length === 0) return
    const entries = length === 1 ? '1 entry could not be written' : `${length} entries could not be written`
    const where = length === 1 ? 'it is' : 'they are'
    this.#reportLoss(`${entries} to the audit log before the end: ${where} in this log alone`)
  }

  #drop(): void {
    const signIn = this.#waiting.findIndex(({ verb }) => verb === 'sign-in')
    this.#waiting.splice(Math.max(0, signIn), 1)
    this.#dropped++
    if (this.#dropped > 1) return
    this.#reportLoss(
      `more than ${MOST_WAITING} entries wait for the audit log: the oldest are dropped, and are in this log alone`,
    )
  }

  /** The application log has every entry: each was reported before it was recorded. */
  #reportLoss(why: string): void {
    const { store, events } = this.#options
    events.stateNotSaved({ file: store.status().location, error: new Error(why) })
  }

  /** Keeps the order of the entries: an entry that the store rejects keeps those behind it waiting. */
  async #write(): Promise<void> {
    // The attempt under way may have ended without the newest entry.
    const isReachable = await this.#writing
    if (isReachable === false) return
    this.#writing ??= this.#writeAll().finally(() => {
      this.#writing = undefined
    })
    await this.#writing
  }

  /** @returns whether the store could be reached */
  async #writeAll(): Promise<boolean> {
    const { store, events } = this.#options
    for (let next = this.#oldest(); next !== undefined; next = this.#oldest()) {
      const { entry, reportsDropped } = next
      try {
        await store.record(entry)
      } catch (error) {
        if (error instanceof StoreUnavailable) return false
        events.bug({ where: 'audit log', error })
      }
      this.#dropped -= reportsDropped
      this.#waiting = this.#waiting.filter((waiting) => waiting !== entry)
    }
    return true
  }

  /** An entry about dropped entries precedes all others. */
  #oldest(): { readonly entry: AuditEntry; readonly reportsDropped: number } | undefined {
    const [entry] = this.#waiting
    const dropped = this.#dropped
    if (dropped === 0) return entry === undefined ? undefined : { entry, reportsDropped: 0 }
    const { store, gateway } = this.#options
    const count = dropped === 1 ? '1 entry was dropped' : `${dropped} entries were dropped`
    const detail = `${count} while the store could not be reached: the log of this gateway has them`
    const actor = BUILT_IN_ACTORS.gateway
    return {
      entry: auditEntry({ at: store.wallTime(), actor, verb: 'restore', result: 'failed', detail, gateway }),
      reportsDropped: dropped,
    }
  }
}
