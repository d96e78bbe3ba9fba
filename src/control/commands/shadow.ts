// Decisions of operators on the shadow of a context: the share that is copied, and which differences are real, noise or resolved.
// They move no request to another side. Pure.
import type { ContextState, DifferenceNote } from '../../model/shared-state.ts'
import type { DifferenceKey, Ruling } from '../control.ts'
import { percentageError } from '../flags/percentage.ts'
import { type ContextInput, type ContextTransition, joinNotes, refused } from './change.ts'

/** Notes are part of the shared state, which every gateway receives: their number is bounded. */
export const MOST_NOTES = 500

/** @param percentage null shadows the context as configured */
export function setShadow({ state, current, stamp }: ContextInput, percentage: number | null): ContextTransition {
  const error = percentage === null ? undefined : percentageError(percentage)
  if (error !== undefined) return refused(error)
  const previous = current.shadow?.percentage ?? null
  const note = state.kill !== null && percentage !== 0 ? NOTHING_COPIED : null
  if (previous === percentage) {
    const value = percentage === null ? 'it is shadowed as the config says' : `it is shadowed at ${percentage} %`
    return { kind: 'unchanged', value: percentage, note: joinNotes(`${value} already`, note) ?? '' }
  }
  const next = { ...current, shadow: percentage === null ? null : { ...stamp, percentage } }
  return { kind: 'change', next, before: previous, after: percentage, note }
}

/** @param ruling null leaves the difference to the statistics */
export function ruleDifference(
  input: ContextInput,
  difference: DifferenceKey,
  ruling: Ruling | null,
): ContextTransition {
  if (!isFingerprint(difference.fingerprint)) return refused(NOT_A_FINGERPRINT)
  const note = input.current.differences?.[difference.fingerprint]
  const previous = { ...difference, ruling: note?.ruling ?? null }
  if (previous.ruling === ruling) {
    const already =
      note === undefined || ruling === null ? 'it has no ruling' : `it is ${ruling} already, by ${note.by}`
    return { kind: 'unchanged', value: previous, note: already }
  }
  const next = withNote(input, difference, { ruling, resolvedAt: note?.resolvedAt ?? null })
  if (next === undefined) return refused(TOO_MANY_NOTES)
  return { kind: 'change', next, before: previous, after: { ...difference, ruling } }
}

/** A difference that is resolved already is resolved again: it may have been seen since. */
export function resolveDifference(input: ContextInput, difference: DifferenceKey): ContextTransition {
  if (!isFingerprint(difference.fingerprint)) return refused(NOT_A_FINGERPRINT)
  const note = input.current.differences?.[difference.fingerprint]
  const resolvedAt = input.stamp.at
  const next = withNote(input, difference, { ruling: note?.ruling ?? null, resolvedAt })
  if (next === undefined) return refused(TOO_MANY_NOTES)
  const previous = { ...difference, resolvedAt: note?.resolvedAt ?? null }
  return { kind: 'change', next, before: previous, after: { ...difference, resolvedAt } }
}

/** A note without content is removed. @returns undefined if the context has too many notes */
function withNote(
  { current, stamp }: ContextInput,
  { fingerprint, route, field }: DifferenceKey,
  content: Pick<DifferenceNote, 'ruling' | 'resolvedAt'>,
): ContextState | undefined {
  const { [fingerprint]: _, ...others } = current.differences ?? {}
  if (content.ruling === null && content.resolvedAt === null) return { ...current, differences: others }
  if (Object.keys(others).length >= MOST_NOTES) return undefined
  const note = { ...stamp, route, field, ...content }
  return { ...current, differences: { ...others, [fingerprint]: note } }
}

/** Names such as `__proto__` and `constructor` are rejected: no store could read them again. */
function isFingerprint(text: string): boolean {
  return text !== '' && text.length <= LONGEST_FINGERPRINT && !(text in Object.prototype)
}

const LONGEST_FINGERPRINT = 200
const NOT_A_FINGERPRINT = 'this is not a fingerprint: use the fingerprint of a difference'
const NOTHING_COPIED = 'the kill switch is on: nothing is copied until it is revived'
const TOO_MANY_NOTES = `this context has notes on ${MOST_NOTES} differences, which is the limit: remove rulings that are no longer needed`
