// What operators say of the shadow of a context: how much of it is copied, and which differences are real, are noise, or
// were mended. It moves no traffic. Pure.
import type { ContextState, DifferenceNote, Stamp } from '../model/shared-state.ts'
import { refusalOf } from './commands/percentage.ts'
import type { Turn } from './commands/verbs.ts'
import type { DifferenceKey, Ruling } from './control.ts'

/** What becomes of the context itself; or why nothing does. */
export type Step =
  | {
      readonly kind: 'step'
      readonly next: ContextState
      readonly before: unknown
      readonly after: unknown
      readonly note: string | null
    }
  | Exclude<Turn, { kind: 'change' }>

/** Notes travel with the shared state to every gateway, and so are few. */
export const MOST_NOTES = 500

/** @param percentage null is what the config says */
export function shadow(was: ContextState, percentage: number | null, stamp: Stamp, isKilled: boolean): Step {
  const refusal = percentage === null ? undefined : refusalOf(percentage)
  if (refusal !== undefined) return { kind: 'refused', why: refusal }
  const before = was.shadow?.percentage ?? null
  const killed = isKilled && percentage !== 0 ? KILLED : null
  if (before === percentage) {
    const already = percentage === null ? 'it is shadowed as the config says' : `it is shadowed at ${percentage} %`
    return { kind: 'unchanged', is: percentage, note: `${already} already${killed === null ? '' : `; ${killed}`}` }
  }
  const next = { ...was, shadow: percentage === null ? null : { ...stamp, percentage } }
  return { kind: 'step', next, before, after: percentage, note: killed }
}

/** @param ruling null leaves it to the numbers */
export function rule(was: ContextState, difference: DifferenceKey, ruling: Ruling | null, stamp: Stamp): Step {
  if (!isKey(difference.fingerprint)) return NO_FINGERPRINT
  const note = was.differences?.[difference.fingerprint]
  const before = note?.ruling ?? null
  const about = { ...difference, ruling: before }
  if (before === ruling) return { kind: 'unchanged', is: about, note: saidAlready(note, ruling) }
  const next = withNote(was, difference, { ruling, resolvedAt: note?.resolvedAt ?? null }, stamp)
  return next.kind === 'refused' ? next : { ...next, before: about, after: { ...difference, ruling }, note: null }
}

/** Each time anew: what was seen again after it was mended may be mended again. */
export function resolve(was: ContextState, difference: DifferenceKey, stamp: Stamp): Step {
  if (!isKey(difference.fingerprint)) return NO_FINGERPRINT
  const note = was.differences?.[difference.fingerprint]
  const before = { ...difference, resolvedAt: note?.resolvedAt ?? null }
  const next = withNote(was, difference, { ruling: note?.ruling ?? null, resolvedAt: stamp.at }, stamp)
  return next.kind === 'refused'
    ? next
    : { ...next, before, after: { ...difference, resolvedAt: stamp.at }, note: null }
}

type Said = Pick<DifferenceNote, 'ruling' | 'resolvedAt'>

/** One that says nothing any more is no note. */
function withNote(
  was: ContextState,
  { fingerprint, route, field }: DifferenceKey,
  said: Said,
  stamp: Stamp,
): { readonly kind: 'step'; readonly next: ContextState } | Extract<Turn, { kind: 'refused' }> {
  const { [fingerprint]: _, ...others } = was.differences ?? {}
  if (said.ruling === null && said.resolvedAt === null) {
    return { kind: 'step', next: { ...was, differences: others } }
  }
  if (Object.keys(others).length >= MOST_NOTES) return { kind: 'refused', why: TOO_MANY }
  const note = { ...stamp, route, field, ...said }
  return { kind: 'step', next: { ...was, differences: { ...others, [fingerprint]: note } } }
}

/** Not `__proto__`, `constructor` and their like, which no store would read again. */
function isKey(fingerprint: string): boolean {
  return fingerprint !== '' && fingerprint.length <= LONGEST_KEY && !(fingerprint in Object.prototype)
}

function saidAlready(note: DifferenceNote | undefined, ruling: Ruling | null): string {
  return ruling === null ? 'nobody has ruled on it' : `it is ${ruling} already, by ${note?.by}`
}

const LONGEST_KEY = 200
const NO_FINGERPRINT: Step = { kind: 'refused', why: 'that is no fingerprint: take one that a difference has' }
const KILLED = 'the kill switch is on: nothing is copied until it is revived'
const TOO_MANY = `operators have notes on ${MOST_NOTES} differences of this context, and no more are kept: take back the rulings that are no longer needed`
