// Repeats changes that are in the audit log but not in a state, such as after state.json was restored from an older backup.
// Pure functions.
import type { AuditEntry } from '../model/audit-log.ts'
import { type ContextState, EMPTY_CONTEXT, type SharedState } from '../model/shared-state.ts'

export type ReplayResult = {
  /** The state with the changes that the audit log describes completely. */
  readonly state: SharedState
  /** The other changes, one sentence each: an operator must repeat them. */
  readonly lost: readonly string[]
}

/**
 * Repeats the changes of later generations: kill and revive, pins, rollbacks and freezes. The audit log does not contain the
 * flag of a flip, so that a flip is only listed. Of a rollback only the pin is repeated; the flag is not changed.
 *
 * @param entries the audit log, the oldest first
 */
export function replayAudit(state: SharedState, entries: readonly AuditEntry[]): ReplayResult {
  const lost: string[] = []
  let next = state
  for (const entry of entries) {
    if (entry.result !== 'done' || entry.generation === null || entry.generation <= next.generation) continue
    const replayed = replay(next, entry, entry.generation)
    if (replayed === undefined)
      lost.push(
        `${entry.verb}${entry.context === null ? '' : ` of ${entry.context}`} by ${entry.actor} (generation ${entry.generation})`,
      )
    next = { ...(replayed ?? next), generation: entry.generation }
  }
  return { state: next, lost }
}

/** @returns undefined if the entry does not describe the change completely */
function replay(state: SharedState, entry: AuditEntry, generation: number): SharedState | undefined {
  const { verb, actor, reason, context } = entry
  const stamp = { by: actor, reason, at: entry.at }
  const change = { ...stamp, verb, generation }
  if (verb === 'kill') return { ...state, kill: stamp, killChange: change }
  if (verb === 'revive') return { ...state, kill: null, killChange: change }
  if (context === null) return undefined
  const previous = Object.hasOwn(state.contexts, context) ? (state.contexts[context] as ContextState) : EMPTY_CONTEXT
  const changes = parseContextChange(entry, stamp)
  return (
    changes && { ...state, contexts: { ...state.contexts, [context]: { ...previous, ...changes, changed: change } } }
  )
}

function parseContextChange(
  { verb, after: newState, until }: AuditEntry,
  stamp: NonNullable<ContextState['freeze']>,
): Partial<ContextState> | undefined {
  switch (verb) {
    case 'pin': {
      const side = typeof newState === 'object' && newState !== null && 'side' in newState ? newState.side : undefined
      return side === 'legacy' || side === 'service' ? { pin: { ...stamp, side, until } } : undefined
    }
    case 'unpin':
      return { pin: null }
    case 'rollback':
      return { pin: { ...stamp, side: 'legacy', until: null } }
    case 'freeze':
      return { freeze: stamp }
    case 'thaw':
      return { freeze: null }
    default:
      return undefined
  }
}
