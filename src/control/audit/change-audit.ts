// The audit of changes: each is reported to the application log, and recorded in the audit log.
import type { AuditEntry } from '../../model/audit-log.ts'
import type { Verb } from '../../model/shared-state.ts'
import type { StateStore } from '../../model/state-store.ts'
import type { Events } from '../../telemetry/events.ts'
import type { Change } from '../commands/change.ts'
import type { ChangeRequest } from '../control.ts'
import { auditEntry, reportEntry } from './audit-entry.ts'
import type { AuditRecorder } from './audit-recorder.ts'

type ChangeAuditOptions = {
  readonly store: Pick<StateStore, 'wallTime'>
  readonly events: Events
  readonly recorder: AuditRecorder
  /** The id of this gateway. */
  readonly gateway: string
}

type AuditedChange = Change | { readonly verb: Verb; readonly context?: string }

export class ChangeAudit {
  readonly #options: ChangeAuditOptions

  constructor(options: ChangeAuditOptions) {
    this.#options = options
  }

  entry(change: AuditedChange, request: ChangeRequest, facts: Partial<AuditEntry>): AuditEntry {
    const { store, gateway } = this.#options
    const { by: actor, address, reason } = request
    const context = 'context' in change ? (change.context ?? null) : null
    return auditEntry({ at: store.wallTime(), actor, address, verb: change.verb, context, reason, gateway, ...facts })
  }

  /** Reports an entry that a commit has recorded. */
  report(entry: AuditEntry): void {
    reportEntry(this.#options.events, entry)
  }

  /** Resolves when the entry is recorded, or waits for the store. Never rejects. */
  async record(change: AuditedChange, request: ChangeRequest, facts: Partial<AuditEntry>): Promise<void> {
    const entry = this.entry(change, request, facts)
    this.report(entry)
    await this.#options.recorder.record(entry)
  }

  /** For changes while the store is unreachable: does not try to reach it now. */
  recordLater(change: AuditedChange, request: ChangeRequest, facts: Partial<AuditEntry>): void {
    const entry = this.entry(change, request, facts)
    this.report(entry)
    this.#options.recorder.recordLater(entry)
  }
}
