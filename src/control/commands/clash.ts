// Whether somebody else was quicker, and what a command takes away from whom. Pure.
import type { Side } from '../../model/route.ts'
import type { SharedState } from '../../model/shared-state.ts'
import type { Expected } from '../fleet/fleet.ts'
import { type Command, contextOf } from './verbs.ts'

/** The generation in which what a command is about was last changed. */
export function lastChange(state: SharedState, command: Command): number {
  if (!('context' in command)) return state.generation
  return contextOf(state, command.context, 0).changed?.generation ?? 0
}

/** Somebody else changed the same thing in between, and whoever asks has not seen it. Kill and rollback cannot wait. */
export function clashOf(state: SharedState, command: Command, seen: number): string | undefined {
  if (!('context' in command) || command.verb === 'rollback') return undefined
  const { context } = command
  const { changed, flip } = contextOf(state, context, 0)
  if ((changed?.generation ?? 0) === seen) return undefined
  // As it was wanted: it may be our own flip, seen by another gateway before we could put it on record.
  if (changed?.verb === 'outside' && command.verb === 'flip' && flip?.percentage === command.percentage)
    return undefined
  if (changed === null)
    return `"${context}" has not been changed since generation ${seen}, which this store does not know`
  const reason = changed.reason === null ? '' : ` (${changed.reason})`
  return `"${context}" was changed in between: ${changed.verb} by ${changed.by}${reason} at ${new Date(changed.at).toISOString()}; look at it, and ask again if you still want to`
}

/** The side from which a command takes everybody away. */
export function leftBy(command: Command): Expected['left'] {
  if (command.verb === 'kill') return { context: null, side: 'service' }
  const side = sideLeftBy(command)
  return side === undefined || !('context' in command) ? undefined : { context: command.context, side }
}

function sideLeftBy(command: Command): Side | undefined {
  if (command.verb === 'rollback') return 'service'
  if (command.verb === 'pin') return command.side === 'legacy' ? 'service' : 'legacy'
  if (command.verb !== 'flip') return undefined
  return command.percentage === 0 ? 'service' : command.percentage === 100 ? 'legacy' : undefined
}
