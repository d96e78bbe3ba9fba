// The percentage of a context moves. Pure.
import type { ContextState, SharedState } from '../../model/shared-state.ts'
import { percentageError } from '../flags/percentage.ts'
import {
  type ContextInput,
  type ContextTransition,
  forwardOnlyNote,
  joinNotes,
  KILLED_NOTE,
  refused,
} from './change.ts'
import { endOfPin } from './pin.ts'

export function flip({ state, current, context, flag, stamp }: ContextInput, percentage: number): ContextTransition {
  const error = percentageError(percentage)
  if (error !== undefined) return refused(error)
  const previous = flag.percentage
  const override = overrideNote(state, current)
  if (previous === percentage && flag.isRecorded(current.flip)) {
    const note = joinNotes(`it is at ${percentage} % already`, override) ?? ''
    return { kind: 'unchanged', value: percentage, note }
  }
  const move = flag.moveTo(percentage)
  if (move.kind === 'refused') return refused(move.reason)
  const record = { ...stamp, flag: context.flag, percentage, generation: state.generation + 1 }
  const note = joinNotes(override, percentage < (previous ?? 0) ? forwardOnlyNote(context) : null)
  return {
    kind: 'change',
    next: { ...current, flip: record },
    before: previous,
    after: percentage,
    note,
    flags: move.flags,
  }
}

/** Why the percentage has no effect now. */
function overrideNote(state: SharedState, { pin }: ContextState): string | null {
  if (state.kill !== null) return KILLED_NOTE
  if (pin === null) return null
  return `it is pinned to ${pin.side} by ${pin.by} ${endOfPin(pin)}: the percentage takes effect after that`
}
