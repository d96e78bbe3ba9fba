// The shared state of a fleet: the overrides of operators, in one small document with a generation.
import type { Field } from './comparison.ts'
import type { Side } from './route.ts'

/** The author, reason and time of a change (milliseconds since 1970, by the clock of the store). */
export type Stamp = { readonly by: string; readonly reason: string | null; readonly at: number }

/** A pinned context. `until` is by the clock of the store; null without an end. */
export type Pin = Stamp & { readonly side: Side; readonly until: number | null }

/** The last requested percentage, by which the convergence of a fleet is measured. */
export type Flip = Stamp & {
  readonly flag: string
  readonly percentage: number
  readonly generation: number
  /** Set for the 0 of a rollback, which takes effect by its pin: Unleash may not have the percentage yet. */
  readonly byRollback?: true
  /** The percentages that the 0 of a rollback may replace. Another percentage was set in Unleash after the rollback. */
  readonly replaces?: readonly (number | null)[]
}

export type ContextState = {
  readonly pin: Pin | null
  readonly freeze: Stamp | null
  readonly flip: Flip | null
  /** The percentage of copied requests that an operator has set; absent or null while the map decides. */
  readonly shadow?: ShadowSetting | null
  /** The notes of operators on differences, by fingerprint. */
  readonly differences?: Readonly<Record<string, DifferenceNote>>
  /** The last change of this context, which the message of a conflict names. */
  readonly changed: LastChange | null
}

/** The percentage of eligible requests that are copied to the other side: an integer from 0 to 100. */
export type ShadowSetting = Stamp & { readonly percentage: number }

/** The note of an operator on one difference. */
export type DifferenceNote = Stamp & {
  readonly route: string
  readonly field: Field
  /** Overrides the verdict of the statistics; null for their verdict. */
  readonly ruling: 'real' | 'noise' | null
  /** When it was marked as resolved, by the clock of the store; a later occurrence reopens it. Null if it was not. */
  readonly resolvedAt: number | null
}

export type LastChange = Stamp & { readonly verb: Verb; readonly generation: number }

/** Flags in Unleash's client-features format, as the embedded authority keeps them. */
export type EmbeddedFlags = {
  /** A digest of each flag in the flags file when it was last imported, which distinguishes edits of the file from flips. */
  readonly seeds?: Readonly<Record<string, string>>
  readonly version: number
  readonly features: readonly EmbeddedFlag[]
  readonly segments?: readonly unknown[]
}
export type EmbeddedFlag = { readonly name: string; readonly [key: string]: unknown }

export type SharedState = {
  /** Plus one for each change; 0 before the first. */
  readonly generation: number
  /** The kill switch, which sends every request to legacy; null while it is off. */
  readonly kill: Stamp | null
  /** The last `kill` or `revive`. Absent before the first; gateways of the previous version do not change it. */
  readonly killChange?: LastChange
  readonly contexts: Readonly<Record<string, ContextState>>
  /** Null if Unleash is the flag authority, or before the flags file is first imported. */
  readonly flags: EmbeddedFlags | null
}

export const EMPTY_STATE: SharedState = { generation: 0, kill: null, contexts: {}, flags: null }
export const EMPTY_CONTEXT: ContextState = { pin: null, freeze: null, flip: null, changed: null }

/** The changes, as the command line, the admin API and the audit log name them. */
export const VERBS = [
  'flip',
  'pin',
  'unpin',
  'rollback',
  'kill',
  'revive',
  'freeze',
  'thaw',
  /** Sets the percentage of copied requests. */
  'shadow',
  /** Marks a difference as real or as noise, overriding the statistics. */
  'rule',
  /** Marks a difference as resolved. */
  'resolve',
  /** A change of flags outside the gateway: in `flags.json`, or in Unleash itself. */
  'outside',
  /** A gateway has restored data that the store had lost. */
  'restore',
  /** Removes a gateway that does not return from the fleet. */
  'forget',
  /** Not a change: the admin API has rejected a token. */
  'sign-in',
] as const
export type Verb = (typeof VERBS)[number]

export const ROLES = ['viewer', 'operator', 'admin'] as const
export type Role = (typeof ROLES)[number]

/** Flags of an Unleash that were good when they came: text as it was sent, and when by the store's clock. */
export type StoredFlagBackup = { readonly text: string; readonly at: number }
