// Computes the next shared state from the current one and a change. Pure: execute-change.ts reads and commits the states.
import type { SharedState } from '../../model/shared-state.ts'
import { contextStateAt } from '../context-state.ts'
import type { Change, ContextChange, ContextInput, ContextTransition, Transition, TransitionInput } from './change.ts'
import { flip } from './flip.ts'
import { freeze, stopIfFrozen, thaw } from './freeze.ts'
import { kill, revive } from './kill.ts'
import { pin, unpin } from './pin.ts'
import { rollback } from './rollback.ts'
import { resolveDifference, ruleDifference, setShadow } from './shadow.ts'

/** @throws {Error} if the change is about a context and the input has no target */
export function applyChange(state: SharedState, change: Change, { stamp, target }: TransitionInput): Transition {
  if (change.verb === 'kill') return kill(state, stamp)
  if (change.verb === 'revive') return revive(state, stamp)
  if (target === undefined) throw new Error(`${change.verb} without a context`)
  const current = contextStateAt(state, change.context, stamp.at)
  const input: ContextInput = { ...target, state, current, stamp }
  const transition = stopIfFrozen(input, change.verb) ?? applyToContext(input, change)
  return transition.kind === 'change' ? withContext(input, change, transition) : transition
}

function applyToContext(input: ContextInput, change: ContextChange): ContextTransition {
  switch (change.verb) {
    case 'flip':
      return flip(input, change.percentage)
    case 'pin':
      return pin(input, change.side, change.until)
    case 'unpin':
      return unpin(input)
    case 'rollback':
      return rollback(input, change.isForced)
    case 'freeze':
      return freeze(input)
    case 'thaw':
      return thaw(input)
    case 'shadow':
      return setShadow(input, change.percentage)
    case 'rule':
      return ruleDifference(input, change.difference, change.ruling)
    case 'resolve':
      return resolveDifference(input, change.difference)
  }
}

/** Puts the next state of a context into the shared state. */
function withContext(
  { state, stamp }: ContextInput,
  { context: name, verb }: ContextChange,
  transition: ContextTransition & { kind: 'change' },
): Transition {
  const { next, flags = state.flags, until = null, note = null } = transition
  const generation = state.generation + 1
  const context = { ...next, changed: { ...stamp, verb, generation } }
  const contexts = { ...state.contexts, [name]: context }
  const { before: previous, after: result } = transition
  return {
    kind: 'change',
    next: { ...state, generation, contexts, flags },
    before: previous,
    after: result,
    until,
    note,
  }
}
