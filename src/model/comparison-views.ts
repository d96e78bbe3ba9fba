// What is shown of comparisons: parity, differences with their evidence, rules that are only tried, and requests to be
// asked again by hand. What is not there is null.

import type { DifferenceKind, Field, FieldVerdict, Masked, ShadowFailure, Shed, Uncomparable } from './comparison.ts'
import type { Accounting, Share } from './comparison-counts.ts'
import type { Example } from './comparison-example.ts'
import type { RuleMistake } from './comparison-rules.ts'
import type { Side } from './route.ts'
import type { DifferenceNote } from './shared-state.ts'

/**
 * What the numbers are of, in milliseconds since 1970. Counts are kept by the hour, so it begins with the hour in which
 * the time that was asked for begins: at most an hour earlier, and never later.
 */
export type TimeWindow = { readonly from: number; readonly to: number }

/** When the first hour of the window with data begins, in milliseconds since 1970; null without data. */
export type DataStart = { readonly dataSince: number | null }

/** What is said of a route; or of a context, as the sum of its routes, each judged by itself. */
export type ParityStats = {
  readonly accounting: Accounting
  /** Why those have no verdict that have none. */
  readonly reasons: {
    readonly uncomparable: Readonly<Partial<Record<Uncomparable, number>>>
    readonly shed: Readonly<Partial<Record<Shed, number>>>
    readonly failed: Readonly<Partial<Record<ShadowFailure, number>>>
  }
  /** Times that legacy was asked twice. */
  readonly pairs: number
  /** Matches, forgiven ones and noise, against mismatches. */
  readonly conclusive: number
  /** Of those the share that matches; null of none. */
  readonly matching: Share | null
  /** The lower bound if each inconclusive comparison is a mismatch: what a gate goes by. */
  readonly atLeast: number
  /** Comparisons that must still match, with none that does not, until the lower bound is the target. */
  readonly untilTarget: number
}

export type ParityView = TimeWindow & {
  /** The share that is to be reached. */
  readonly target: number
  readonly contexts: readonly ContextParity[]
}
export type ContextParity = ParityStats &
  DataStart & { readonly context: string; readonly routes: readonly RouteParity[] }
export type RouteParity = ParityStats & { readonly route: string }

/** So many of so many, and the share with its interval; null of none. */
export type CountedShare = { readonly count: number; readonly of: number; readonly share: Share | null }

/** A field of a route in which the sides were seen to differ. */
export type DifferenceRow = {
  readonly fingerprint: string
  readonly context: string
  readonly route: string
  readonly kind: DifferenceKind
  readonly path: string
  /** Comparisons in which the sides differ here. */
  readonly sides: CountedShare
  /** Pairs in which legacy differs from itself here: noise. */
  readonly self: CountedShare
  readonly verdict: FieldVerdict
  /** What operators have said of it, last by whom, why and when. */
  readonly note: Pick<DifferenceNote, 'by' | 'reason' | 'at' | 'ruling' | 'resolvedAt'> | null
  /** Reopened: it was seen between the sides after it was said to be mended. */
  readonly state: 'open' | 'resolved' | 'reopened'
  /** Between the sides, within the window; null where it was not. */
  readonly firstSeen: number | null
  readonly lastSeen: number | null
  /** The newest there is, masked. */
  readonly example: { readonly at: number; readonly legacy: Masked | null; readonly service: Masked | null } | null
}

export type DifferencesView = TimeWindow &
  DataStart & {
    readonly context: string
    readonly comparisons: number
    readonly pairs: number
    /** Times that a field was seen and left out, as there were too many. */
    readonly fieldsLeftOut: number
    /** The real ones first, then what is inconclusive, then noise; what is resolved is last. */
    readonly differences: readonly DifferenceRow[]
  }

export type DifferenceView = TimeWindow & {
  readonly difference: DifferenceRow
  /** The newest first. */
  readonly examples: readonly Example[]
  /** Of the fields in which the examples differ, those that are noise. */
  readonly noise: readonly Field[]
}

/** What a fingerprint stands for. */
export type DifferenceReference = {
  readonly fingerprint: string
  readonly context: string
  readonly route: string
  readonly field: Field
}

/** What rules would make of the examples that are kept, if they stood in the config alone. */
export type RuleTrial = {
  /** Examples that the rules were tried on. */
  readonly examples: number
  readonly differences: readonly DifferenceTrial[]
  /** What would differ that was not reported of these examples: a list that became a set, say. */
  readonly appearing: readonly {
    readonly route: string
    readonly kind: DifferenceKind
    readonly path: string
    readonly examples: number
  }[]
}

/** Of the examples of one difference, how many the rules forgive. */
export type DifferenceTrial = {
  readonly fingerprint: string
  readonly route: string
  readonly kind: DifferenceKind
  readonly path: string
  readonly forgiven: number
  readonly remaining: number
  /** Nothing is known of these: no body was kept, or what differs in it is masked. */
  readonly untried: number
}

export type RuleTrialResult =
  | { readonly kind: 'tried'; readonly trial: RuleTrial }
  | { readonly kind: 'mistakes'; readonly mistakes: readonly RuleMistake[] }
  /** Trying was given up. `why` says what to do. */
  | { readonly kind: 'given-up'; readonly why: string }

export const EXPORT_FORMS = ['curl', 'vitest'] as const
export type ExportForm = (typeof EXPORT_FORMS)[number]

/** A kept request, to be sent again by a person or a test. Nothing secret is in it. */
export type ExportedRequest = {
  readonly fingerprint: string
  readonly as: ExportForm
  readonly text: string
  /** Environment variables that stand for what was masked, and must be set. */
  readonly variables: readonly string[]
}

export type ExportResult =
  | { readonly kind: 'exported'; readonly exported: ExportedRequest }
  /** There is nothing to export; `why` says what to do. */
  | { readonly kind: 'impossible'; readonly why: string }

/** Where each side is asked, and for what: a route may rewrite the service's path. */
export type SideTargets = Readonly<Record<Side, { readonly url: string; readonly target: string }>>

/** What comparing has found, for whoever asks. Each rejects with `StoreUnavailable` if the store does not answer. */
export type ComparisonViews = {
  /** @param target below 1: 0.999 for "99.9 % match" */
  readonly parity: (asked: { readonly windowMs: number; readonly target: number }) => Promise<ParityView>
  readonly differences: (context: string, windowMs: number) => Promise<DifferencesView>
  /** Undefined where nothing is known by that name any more, or ever was. */
  readonly find: (fingerprint: string) => Promise<DifferenceReference | undefined>
  /** In the window; of all that is kept where it was not seen in the window. */
  readonly difference: (found: DifferenceReference, windowMs: number) => Promise<DifferenceView>
  readonly exportRequest: (found: DifferenceReference, as: ExportForm) => Promise<ExportResult>
  /** @param written what somebody wrote: anything at all @param route only examples of this one */
  readonly tryRules: (context: string, written: unknown, route: string | undefined) => Promise<RuleTrialResult>
}
