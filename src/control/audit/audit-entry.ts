// The one place where entries of the audit log are made.
import type { AuditEntry } from '../../model/audit-log.ts'
import type { Events } from '../../telemetry/events.ts'

/** The fields that every entry has; the others are null, and the result is `done`, unless they are given. */
type AuditFields = Pick<AuditEntry, 'at' | 'actor' | 'verb' | 'gateway'> & Partial<AuditEntry>

export function auditEntry(fields: AuditFields): AuditEntry {
  return {
    address: null,
    context: null,
    before: null,
    after: null,
    reason: null,
    until: null,
    result: 'done',
    detail: null,
    generation: null,
    ...fields,
  }
}

/** Reports an entry to the application log and the metrics. */
export function reportEntry(events: Events, entry: AuditEntry): void {
  const { verb, context, reason, result, detail } = entry
  events.changeFinished({
    verb,
    context,
    by: entry.actor,
    reason,
    result,
    before: entry.before,
    after: entry.after,
    detail,
  })
}
