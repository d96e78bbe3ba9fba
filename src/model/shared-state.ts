// What operators have said and every gateway of a fleet must know: one small document with one generation, the audit
// log of how it came to be, and who has applied it.
import type { Field } from './comparison.ts'
import type { Side } from './route.ts'

/** Who said something, why, and when (milliseconds since 1970, by the store's clock). */
export type Stamp = { readonly by: string; readonly reason: string | null; readonly at: number }

/** An operator's override of a context. `until` is by the store's clock; null is without end. */
export type Pin = Stamp & { readonly side: Side; readonly until: number | null }

/** The percentage that was last asked for, wherever the flag lives: what a fleet's convergence is measured by. */
export type Flip = Stamp & {
  readonly flag: string
  readonly percentage: number
  readonly generation: number
  /** It is the 0 of a rollback, which is in force by its pin: an Unleash may not have it yet. */
  readonly byRollback?: true
  /** What the 0 of a rollback may be written over: any other percentage was set in Unleash since. */
  readonly replaces?: readonly (number | null)[]
}

export type ContextState = {
  readonly pin: Pin | null
  readonly freeze: Stamp | null
  readonly flip: Flip | null
  /** How much of it is shadowed, over what the config says; not there, or null, while the config says it. */
  readonly shadow?: ShadowSetting | null
  /** What operators have said of differences, by fingerprint. */
  readonly differences?: Readonly<Record<string, DifferenceNote>>
  /** Generation, verb and author of the last change of this context: what a conflict is told by. */
  readonly changed: LastChange | null
}

/** The percentage of eligible requests that are copied to the other side: whole, 0 to 100. */
export type ShadowSetting = Stamp & { readonly percentage: number }

/** What an operator has said of one difference. */
export type DifferenceNote = Stamp & {
  readonly route: string
  readonly field: Field
  /** Over what the numbers say; null leaves it to them. */
  readonly ruling: 'real' | 'noise' | null
  /** It was mended then, by the store's clock: seen later it is open again. Null if nobody has said so. */
  readonly resolvedAt: number | null
}

export type LastChange = Stamp & { readonly verb: Verb; readonly generation: number }

/** Flags in Unleash's client-features format, as the embedded authority keeps them. */
export type EmbeddedFlags = {
  /** What the flags file said of each flag when it was last taken over: tells an edit from a flip. By flag, a digest. */
  readonly seeds?: Readonly<Record<string, string>>
  readonly version: number
  readonly features: readonly EmbeddedFlag[]
  readonly segments?: readonly unknown[]
}
export type EmbeddedFlag = { readonly name: string; readonly [key: string]: unknown }

export type SharedState = {
  /** Raised by one with every change; 0 before the first. */
  readonly generation: number
  /** The pin of everything to legacy; null while traffic flows as decided. */
  readonly kill: Stamp | null
  /** The last `kill` or `revive`; not there before the first, and not changed by a gateway of the previous version. */
  readonly killChange?: LastChange
  readonly contexts: Readonly<Record<string, ContextState>>
  /** Null where an Unleash is the authority, or before the first seed. */
  readonly flags: EmbeddedFlags | null
}

export const EMPTY_STATE: SharedState = { generation: 0, kill: null, contexts: {}, flags: null }
export const EMPTY_CONTEXT: ContextState = { pin: null, freeze: null, flip: null, changed: null }

/** Everything that can be done, as the command line, the admin API and the audit log call it. */
export const VERBS = [
  'flip',
  'pin',
  'unpin',
  'rollback',
  'kill',
  'revive',
  'freeze',
  'thaw',
  /** How much is copied to the other side for comparison. */
  'shadow',
  /** That a difference is real, or is noise, whatever the numbers say. */
  'rule',
  /** That a difference was mended. */
  'resolve',
  /** Not an operator's: the flags were changed outside, in `flags.json` or in Unleash's own pages. */
  'outside',
  /** Not an operator's: the store had come back empty or older, and a gateway put back what it remembered. */
  'restore',
  /** A gateway that is gone is not waited for any more. */
  'forget',
  /** Not a change: somebody was turned away at the admin API. */
  'sign-in',
] as const
export type Verb = (typeof VERBS)[number]

export const ROLES = ['viewer', 'operator', 'admin'] as const
export type Role = (typeof ROLES)[number]

/** Flags of an Unleash that were good when they came: text as it was sent, and when by the store's clock. */
export type StoredFlagBackup = { readonly text: string; readonly at: number }
