// Changes that the audit log has and a state does not, such as after state.json was restored from an older backup. Pure.
import type { AuditEntry } from '../model/audit-log.ts'
import { type ContextState, EMPTY_CONTEXT, type SharedState } from '../model/shared-state.ts'

export type Replayed = {
  /** The state with the changes of which the audit log has all that is needed. */
  readonly state: SharedState
  /** The other changes, in words: somebody must make them again. */
  readonly lost: readonly string[]
}

/**
 * Makes the changes of later generations again: kill and revive, pins, rollbacks and freezes. Of a flip the audit log has
 * no flag, so that it is only listed; of a rollback the pin is made again, and its flag stays as it is.
 *
 * @param entries the audit log, the oldest first
 */
export function replayAudit(state: SharedState, entries: readonly AuditEntry[]): Replayed {
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

/** @returns undefined where the entry does not say enough */
function replay(state: SharedState, entry: AuditEntry, generation: number): SharedState | undefined {
  const { verb, actor, reason, at, context } = entry
  const stamp = { by: actor, reason, at }
  const changed = { ...stamp, verb, generation }
  if (verb === 'kill') return { ...state, kill: stamp, killChange: changed }
  if (verb === 'revive') return { ...state, kill: null, killChange: changed }
  if (context === null) return undefined
  const was = Object.hasOwn(state.contexts, context) ? (state.contexts[context] as ContextState) : EMPTY_CONTEXT
  const part = partOf(entry, stamp)
  return part && { ...state, contexts: { ...state.contexts, [context]: { ...was, ...part, changed } } }
}

function partOf(
  { verb, after, until }: AuditEntry,
  stamp: NonNullable<ContextState['freeze']>,
): Partial<ContextState> | undefined {
  switch (verb) {
    case 'pin': {
      const side = typeof after === 'object' && after !== null && 'side' in after ? after.side : undefined
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
