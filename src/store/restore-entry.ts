// The entry of the audit log for a restored state.
import type { AuditEntry } from '../model/audit-log.ts'

type Restore = {
  /** Milliseconds since 1970, by the clock of the store. */
  readonly time: number
  readonly oldState: unknown
  readonly newState: unknown
  /** A sentence about the restored and the lost changes. */
  readonly detail: string
  /** The name of the gateway that restored the state. */
  readonly gateway: string
}

export function createRestoreEntry({ time, oldState, newState, detail, gateway }: Restore): AuditEntry {
  return {
    at: time,
    actor: 'gateway',
    address: null,
    verb: 'restore',
    context: null,
    before: oldState,
    after: newState,
    reason: null,
    until: null,
    result: 'done',
    detail,
    generation: null,
    gateway,
  }
}
