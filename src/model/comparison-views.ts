// Views of comparisons: parity, differences with their evidence, trials of rules, and exported requests. Missing values are null.

import type { DifferenceKind, Field, FieldVerdict, Masked, ShadowFailure, Shed, Uncomparable } from './comparison.ts'
import type { Accounting, Share } from './comparison-counts.ts'
import type { Example } from './comparison-example.ts'
import type { RuleMistake } from './comparison-rules.ts'
import type { Side } from './route.ts'
import type { DifferenceNote } from './shared-state.ts'

/**
 * The time window of the numbers, in milliseconds since 1970. Counts are stored by the hour, so the window begins at the start of
 * an hour: at most one hour earlier than requested.
 */
export type TimeWindow = { readonly from: number; readonly to: number }

/** When the first hour of the window with data begins, in milliseconds since 1970; null without data. */
type DataStart = { readonly dataSince: number | null }

/** The parity of a route; or of a context, as the sum of its routes. */
export type ParityStats = {
  readonly accounting: Accounting
  /** The reasons of comparisons without a verdict. */
  readonly reasons: {
    readonly uncomparable: Readonly<Partial<Record<Uncomparable, number>>>
    readonly shed: Readonly<Partial<Record<Shed, number>>>
    readonly failed: Readonly<Partial<Record<ShadowFailure, number>>>
  }
  /** Requests that were sent to legacy twice. */
  readonly pairs: number
  /** Comparisons with a verdict: matched, ignored, noise and mismatched. */
  readonly conclusive: number
  /** The share of these that is not mismatched; null without any. */
  readonly matching: Share | null
  /** The lower bound if every inconclusive comparison counts as a mismatch. Gates use it. */
  readonly atLeast: number
  /** The number of further comparisons, all of them matching, after which the lower bound reaches the target. */
  readonly untilTarget: number
}

export type ParityView = TimeWindow & {
  /** The share that parity must reach. */
  readonly target: number
  readonly contexts: readonly ContextParity[]
}
type ContextParity = ParityStats & DataStart & { readonly context: string; readonly routes: readonly RouteParity[] }
type RouteParity = ParityStats & { readonly route: string }

/** A count and its total, with the share; null if the total is 0. */
type CountedShare = { readonly count: number; readonly of: number; readonly share: Share | null }

/** A field of a route in which the two sides have differed. */
export type DifferenceRow = {
  readonly fingerprint: string
  readonly context: string
  readonly route: string
  readonly kind: DifferenceKind
  readonly path: string
  /** Comparisons in which the two sides differ in this field. */
  readonly sides: CountedShare
  /** Pairs of legacy responses that differ in this field: noise. */
  readonly self: CountedShare
  readonly verdict: FieldVerdict
  /** The last note of an operator on this difference. */
  readonly note: Pick<DifferenceNote, 'by' | 'reason' | 'at' | 'ruling' | 'resolvedAt'> | null
  /** `reopened`: the sides have differed again after an operator marked the difference as resolved. */
  readonly state: 'open' | 'resolved' | 'reopened'
  /** When the sides first differed within the window; null if they did not. */
  readonly firstSeen: number | null
  readonly lastSeen: number | null
  /** The newest example, masked. */
  readonly example: { readonly at: number; readonly legacy: Masked | null; readonly service: Masked | null } | null
}

export type DifferencesView = TimeWindow &
  DataStart & {
    readonly context: string
    readonly comparisons: number
    readonly pairs: number
    /** Differing fields that were not counted, because there were too many. */
    readonly fieldsLeftOut: number
    /** Sorted: real, then inconclusive, then noise; resolved differences last. */
    readonly differences: readonly DifferenceRow[]
  }

export type DifferenceView = TimeWindow & {
  readonly difference: DifferenceRow
  /** Newest first. */
  readonly examples: readonly Example[]
  /** The fields of the examples that are noise. */
  readonly noise: readonly Field[]
}

/** The context, route and field of a fingerprint. */
export type DifferenceReference = {
  readonly fingerprint: string
  readonly context: string
  readonly route: string
  readonly field: Field
}

/** The effect of rules on the stored examples, if they were the only rules of the map. */
export type RuleTrial = {
  /** The number of examples to which the rules were applied. */
  readonly examples: number
  readonly differences: readonly DifferenceTrial[]
  /** Differences that the rules would add, for example in a list that is no longer compared as a set. */
  readonly appearing: readonly {
    readonly route: string
    readonly kind: DifferenceKind
    readonly path: string
    readonly examples: number
  }[]
}

/** The effect of the rules on the examples of one difference. */
export type DifferenceTrial = {
  readonly fingerprint: string
  readonly route: string
  readonly kind: DifferenceKind
  readonly path: string
  readonly forgiven: number
  readonly remaining: number
  /** Examples that could not be tried: without a stored body, or with a masked value at the difference. */
  readonly untried: number
}

export type RuleTrialResult =
  | { readonly kind: 'tried'; readonly trial: RuleTrial }
  | { readonly kind: 'mistakes'; readonly mistakes: readonly RuleMistake[] }
  /** The trial was stopped. `why` states what to do. */
  | { readonly kind: 'given-up'; readonly why: string }

export const EXPORT_FORMS = ['curl', 'vitest'] as const
export type ExportForm = (typeof EXPORT_FORMS)[number]

/** A stored request in a form that a person or a test can send again, without secrets. */
export type ExportedRequest = {
  readonly fingerprint: string
  readonly as: ExportForm
  readonly text: string
  /** Environment variables that replace masked values. They must be set before the request is sent. */
  readonly variables: readonly string[]
}

export type ExportResult =
  | { readonly kind: 'exported'; readonly exported: ExportedRequest }
  /** There is nothing to export. `why` states what to do. */
  | { readonly kind: 'impossible'; readonly why: string }

/** The URL and the request target of each side: a route may rewrite the path of the service. */
export type SideTargets = Readonly<Record<Side, { readonly url: string; readonly target: string }>>

/** Reads the results of comparisons. Each method rejects with `StoreUnavailable` if the store does not answer. */
export type ComparisonViews = {
  /** @param target below 1: 0.999 for "99.9 % match" */
  readonly parity: (query: { readonly windowMs: number; readonly target: number }) => Promise<ParityView>
  readonly differences: (context: string, windowMs: number) => Promise<DifferencesView>
  /** Undefined if the store has no such difference, or no longer. */
  readonly find: (fingerprint: string) => Promise<DifferenceReference | undefined>
  /** The difference within the window; or, if it has not occurred within the window, over all stored data. */
  readonly difference: (reference: DifferenceReference, windowMs: number) => Promise<DifferenceView>
  readonly exportRequest: (reference: DifferenceReference, as: ExportForm) => Promise<ExportResult>
  /** @param written the rules, not validated @param route if given, only examples of this route are tried */
  readonly tryRules: (context: string, written: unknown, route: string | undefined) => Promise<RuleTrialResult>
}
