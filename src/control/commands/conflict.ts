// Whether another operator has changed the object of a change in between. Pure.
import type { SharedState } from '../../model/shared-state.ts'
import { contextStateAt } from '../context-state.ts'
import type { Change } from './change.ts'

/** The generation of the last change of the object: of the context, or of the whole state for the kill switch. */
export function lastGeneration(state: SharedState, change: Change): number {
  if (!('context' in change)) return state.generation
  return contextStateAt(state, change.context, 0).changed?.generation ?? 0
}

/**
 * A conflict is a change that the caller has not seen. A kill and a rollback cannot wait: they have no conflicts.
 *
 * @param expected the generation of the last change that the caller has seen
 * @returns what was changed and by whom; undefined without a conflict
 */
export function conflictOf(state: SharedState, change: Change, expected: number): string | undefined {
  if (!('context' in change) || change.verb === 'rollback') return undefined
  const { context } = change
  const { changed, flip } = contextStateAt(state, context, 0)
  if ((changed?.generation ?? 0) === expected) return undefined
  // Another gateway may have recorded our own flip as a change made outside, before we could record it.
  const isOwnFlip = changed?.verb === 'outside' && change.verb === 'flip' && flip?.percentage === change.percentage
  if (isOwnFlip) return undefined
  if (changed === null)
    return `"${context}" has not been changed since generation ${expected}, which this store does not know`
  const reason = changed.reason === null ? '' : ` (${changed.reason})`
  return `"${context}" was changed in between: ${changed.verb} by ${changed.by}${reason} at ${new Date(changed.at).toISOString()}; check its status, and repeat the change if it is still wanted`
}
