// The entry of the audit log for a restored state.
import type { AuditEntry } from '../model/audit-log.ts'

export type RestoreFacts = {
  /** Milliseconds since 1970, by the clock of the store. */
  readonly at: number
  readonly before: unknown
  readonly after: unknown
  /** What was restored and what was lost. */
  readonly detail: string
  /** The name of the gateway that restored it. */
  readonly gateway: string
}

export function createRestoreEntry({ at, before, after, detail, gateway }: RestoreFacts): AuditEntry {
  return {
    at,
    actor: 'gateway',
    address: null,
    verb: 'restore',
    context: null,
    before,
    after,
    reason: null,
    until: null,
    result: 'done',
    detail,
    generation: null,
    gateway,
  }
}
