// A freeze refuses changes of where the requests of a context go. Pure.
import type { Stamp, Verb } from '../../model/shared-state.ts'
import type { ContextInput, ContextTransition } from './change.ts'

/** The changes that a freeze permits: they move no requests, or only back to legacy. */
const PERMITTED_WHILE_FROZEN: ReadonlySet<Verb> = new Set(['thaw', 'rollback', 'shadow', 'rule', 'resolve'])

export function freeze({ current, stamp }: ContextInput): ContextTransition {
  return { kind: 'change', next: { ...current, freeze: stamp }, before: 'thawed', after: 'frozen' }
}

export function thaw({ current }: ContextInput): ContextTransition {
  if (current.freeze === null) return { kind: 'unchanged', value: 'thawed', note: 'it was not frozen' }
  return { kind: 'change', next: { ...current, freeze: null }, before: 'frozen', after: 'thawed' }
}

/** The result of a change that a freeze stops; undefined if the change may go on. */
export function stopIfFrozen({ context, current }: ContextInput, verb: Verb): ContextTransition | undefined {
  const { freeze } = current
  if (freeze === null || PERMITTED_WHILE_FROZEN.has(verb)) return undefined
  const frozen = `frozen by ${freeze.by} ${describeSince(freeze)}`
  if (verb === 'freeze') return { kind: 'unchanged', value: 'frozen', note: `it is ${frozen}` }
  return {
    kind: 'refused',
    why: `"${context.name}" is ${frozen}: thaw it first; rollback and kill still work`,
  }
}

function describeSince(stamp: Stamp): string {
  const reason = stamp.reason === null ? '' : ` (${stamp.reason})`
  return `since ${new Date(stamp.at).toISOString()}${reason}`
}
