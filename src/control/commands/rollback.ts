// A rollback pins a context to legacy and sets its flag to 0 %. The pin takes effect without the flag authority. Pure.
import { type ContextInput, type ContextTransition, joinNotes, KILLED_NOTE, refused } from './change.ts'
import { describePin, pinValue } from './pin.ts'

/** @param isForced rolls back a context that is configured as `forward-only` */
export function rollback({ state, current, context, flag, stamp }: ContextInput, isForced: boolean): ContextTransition {
  const zero = { ...stamp, flag: context.flag, percentage: 0, generation: state.generation + 1 }
  const moved = flag.rollBack(current, zero)
  const result = { pin: 'legacy', percentage: moved.percentage }
  const { pin } = current
  if (pin?.side === 'legacy' && pin.until === null && moved.isDone) {
    const already = `it is rolled back already: ${describePin(pin)} since ${new Date(pin.at).toISOString()}`
    return { kind: 'unchanged', value: result, note: joinNotes(already, moved.note) ?? '' }
  }
  if (context.rollback === 'forward-only' && !isForced) {
    return refused(
      `"${context.name}" is marked forward-only in the config: legacy may not be able to read the data that the service has written since. If a rollback is better than the current state, use --force`,
    )
  }
  return {
    kind: 'change',
    next: { ...current, pin: { ...stamp, side: 'legacy', until: null }, flip: moved.flip },
    before: { pin: pinValue(pin), percentage: flag.percentage },
    after: result,
    note: joinNotes(state.kill === null ? null : KILLED_NOTE, moved.note),
    flags: moved.flags,
  }
}
