// The counts of comparisons, and the figures that are computed from them.
import type { Field, ShadowFailure, Shed, Uncomparable } from './comparison.ts'

/** How often a field has differed. Times are milliseconds since 1970. */
export type FieldCounts = {
  /** Comparisons in which the two sides differ in this field. */
  readonly sides: number
  /** Pairs of legacy responses that differ in this field. */
  readonly self: number
  readonly firstSeen: number
  readonly lastSeen: number
}

/** The differing fields of one comparison without those that were already noise, in order; `''` without any. */
export type Signature = string

/** Replaces a list of fields that is too long to store. */
export const TOO_MANY: Signature = '*'

/**
 * The counts of one gateway for one route in one period. All numbers can be added: `mergeCounts` merges the counts of several
 * gateways or periods in any order.
 */
export type Counts = {
  readonly matched: number
  /** Comparisons that differ only in places that a rule accepts. */
  readonly ignored: number
  /**
   * The number of differing comparisons for each combination of fields. The verdict is computed when it is read, so that a later
   * verdict on a field also applies to earlier comparisons.
   */
  readonly differing: Readonly<Record<Signature, number>>
  readonly uncomparable: Readonly<Partial<Record<Uncomparable, number>>>
  readonly shed: Readonly<Partial<Record<Shed, number>>>
  readonly failed: Readonly<Partial<Record<ShadowFailure, number>>>
  /** Pairs: requests that were sent to legacy twice, whose two responses were compared. */
  readonly pairs: number
  readonly fields: Readonly<Record<Field, FieldCounts>>
  /** Differing fields that were not counted, because there were too many. */
  readonly fieldsLeftOut: number
}

export const NO_COUNTS: Counts = {
  matched: 0,
  ignored: 0,
  differing: {},
  uncomparable: {},
  shed: {},
  failed: {},
  pairs: 0,
  fields: {},
  fieldsLeftOut: 0,
}

/** The eligible requests by result. `eligible` is the sum of the other numbers. */
export type Accounting = {
  readonly eligible: number
  readonly matched: number
  readonly mismatched: number
  readonly noise: number
  readonly inconclusive: number
  readonly ignored: number
  readonly uncomparable: number
  readonly shed: number
  readonly failed: number
}

/** A share with its confidence interval; each from 0 to 1. */
export type Share = { readonly share: number; readonly lower: number; readonly upper: number }

/** How often the two sides give the same response: the evidence for raising a percentage. */
export type Parity = {
  /** Comparisons with a verdict: matched, ignored, noise and mismatched. */
  readonly conclusive: number
  readonly inconclusive: number
  /** Undefined before the first conclusive comparison. */
  readonly matching: Share | undefined
  /** The lower bound if every inconclusive comparison counts as a mismatch. Gates use it. */
  readonly atLeast: number
  /** The number of further comparisons, all of them matching, after which the lower bound reaches the target. */
  readonly untilTarget: number
}

/** The counts of one route in one period. `start` is milliseconds since 1970. */
export type RouteCounts = {
  readonly context: string
  readonly route: string
  readonly start: number
  readonly counts: Counts
}

/** The length of a period in milliseconds: counts are stored by the hour. */
export const COUNT_PERIOD_MS = 3_600_000

/** The default window of parity. */
export const DEFAULT_WINDOW_MS = 24 * COUNT_PERIOD_MS
