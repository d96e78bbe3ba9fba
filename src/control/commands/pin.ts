// A pin sends all requests of a context to one side, whatever its flag decides. Pure.
import type { Side } from '../../model/route.ts'
import type { Pin } from '../../model/shared-state.ts'
import {
  type ContextInput,
  type ContextTransition,
  forwardOnlyNote,
  joinNotes,
  KILLED_NOTE,
  refused,
} from './change.ts'

/** @param until milliseconds since 1970, by the store's clock; null without an end */
export function pin(input: ContextInput, side: Side, until: number | null): ContextTransition {
  const { state, current, context, stamp } = input
  if (until !== null && !(Number.isFinite(until) && until > stamp.at))
    return refused('a pin must end in the future: give a duration, or no end')
  const previous = current.pin
  const replacement: Pin = { ...stamp, side, until }
  const replaced =
    previous === null ? null : `it was ${describePin(previous)} ${endOfPin(previous)}: that pin is replaced`
  const warning = side === 'legacy' ? forwardOnlyNote(context) : null
  const note = joinNotes(state.kill === null ? null : KILLED_NOTE, replaced, warning)
  const next = { ...current, pin: replacement, flip: side === 'service' ? flipAfterRollback(input) : current.flip }
  return { kind: 'change', next, before: pinValue(previous), after: pinValue(replacement), until, note }
}

export function unpin(input: ContextInput): ContextTransition {
  const { state, current, flag } = input
  if (current.pin === null) return { kind: 'unchanged', value: null, note: 'it was not pinned' }
  const { percentage } = flag
  const decides = `its flag decides now${percentage === null ? '' : `, at ${percentage} %`}`
  const next = { ...current, pin: null, flip: flipAfterRollback(input) }
  const note = state.kill === null ? decides : KILLED_NOTE
  return { kind: 'change', next, before: pinValue(current.pin), after: null, note }
}

/** A pin as results and the audit log show it: without its author. */
export function pinValue(pin: Pin | null): { readonly side: Side; readonly until: number | null } | null {
  return pin === null ? null : { side: pin.side, until: pin.until }
}

export function describePin({ side, by, reason }: Pin): string {
  return `pinned to ${side} by ${by}${reason === null ? '' : ` (${reason})`}`
}

export function endOfPin({ until }: Pin): string {
  return until === null ? 'until it is unpinned' : `until ${new Date(until).toISOString()}`
}

function flipAfterRollback({ state, current, flag, stamp }: ContextInput) {
  return flag.endRollback(current.flip, { ...stamp, generation: state.generation + 1 })
}
