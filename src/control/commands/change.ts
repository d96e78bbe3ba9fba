// The input and the output of a transition of the shared state, which apply-change.ts computes and execute-change.ts commits.
import type { Context, Side } from '../../model/route.ts'
import type { ContextState, SharedState, Stamp, Verb } from '../../model/shared-state.ts'
import type { DifferenceKey, Ruling } from '../control.ts'
import type { ContextFlag } from '../flags/flag-authority.ts'

/** A change of one context. */
export type ContextChange =
  | { readonly verb: 'flip'; readonly context: string; readonly percentage: number }
  | { readonly verb: 'pin'; readonly context: string; readonly side: Side; readonly until: number | null }
  | { readonly verb: 'unpin' | 'freeze' | 'thaw'; readonly context: string }
  | { readonly verb: 'rollback'; readonly context: string; readonly isForced: boolean }
  | { readonly verb: 'shadow'; readonly context: string; readonly percentage: number | null }
  | {
      readonly verb: 'rule'
      readonly context: string
      readonly difference: DifferenceKey
      readonly ruling: Ruling | null
    }
  | { readonly verb: 'resolve'; readonly context: string; readonly difference: DifferenceKey }

/** A change of the shared state. The change of a context names it; the kill switch is about all contexts. */
export type Change = ContextChange | { readonly verb: 'kill' } | { readonly verb: 'revive' }

export type ChangeOf<V extends Verb> = Extract<Change, { readonly verb: V }>

export type TransitionInput = {
  /** The author, the reason, and the time by the store's clock. */
  readonly stamp: Stamp
  /** The context of the change, as configured, and its flag; undefined for `kill` and `revive`. */
  readonly target: ContextTarget | undefined
}

export type ContextTarget = { readonly context: Context; readonly flag: ContextFlag }

export type Transition =
  | ({ readonly kind: 'change'; readonly next: SharedState } & TransitionFacts)
  /** The state has this value already. */
  | { readonly kind: 'unchanged'; readonly value: unknown; readonly note: string }
  | { readonly kind: 'refused'; readonly why: string }

/** The part of a transition that its result and the audit log contain. */
export type TransitionFacts = {
  readonly before: unknown
  readonly after: unknown
  /** The end of a pin, in milliseconds since 1970; null without an end. */
  readonly until: number | null
  /** A hint for the operator. */
  readonly note: string | null
}

/** The transition of one context, before it is put into the shared state. */
export type ContextTransition =
  | {
      readonly kind: 'change'
      readonly next: ContextState
      readonly before: unknown
      readonly after: unknown
      readonly until?: number | null
      readonly note?: string | null
      /** The embedded flags after the change; undefined if the change moves no embedded flag. */
      readonly flags?: SharedState['flags'] | undefined
    }
  | Exclude<Transition, { kind: 'change' }>

/** The input of the transition of one context. */
export type ContextInput = ContextTarget & {
  readonly state: SharedState
  /** The state of the context before the change, without an ended pin. */
  readonly current: ContextState
  readonly stamp: Stamp
}

export function refused(why: string): { readonly kind: 'refused'; readonly why: string } {
  return { kind: 'refused', why }
}

/** Joins the notes that apply; null without any. */
export function joinNotes(...notes: readonly (string | null | undefined)[]): string | null {
  return notes.filter(Boolean).join('; ') || null
}

export const KILLED_NOTE = 'the kill switch is on: everything goes to legacy until it is revived'

/** A warning for a change that moves requests of a `forward-only` context back to legacy. */
export function forwardOnlyNote({ name, rollback }: Context): string | null {
  if (rollback !== 'forward-only') return null
  return `"${name}" is marked forward-only in the config: legacy may not be able to read the data that the service has written since`
}
