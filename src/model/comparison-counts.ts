// The counts of comparisons, and the figures that are computed from them.
import type { Field, ShadowFailure, Shed, Uncomparable } from './comparison.ts'

/** How often a field was seen to differ. Times are milliseconds since 1970. */
export type FieldCounts = {
  /** Comparisons in which the sides differ here. */
  readonly sides: number
  /** Pairs in which legacy differs from itself here. */
  readonly self: number
  readonly firstSeen: number
  readonly lastSeen: number
}

/** The fields in which one comparison differs and that were not known as noise, in order; `''` for none. */
export type Signature = string

/** In place of a list of fields that is too long to be kept. */
export const TOO_MANY: Signature = '*'

/**
 * What one gateway counts of one route in one stretch of time. Every number adds up, so counts of several gateways
 * or stretches become one by `mergeCounts`, in any order.
 */
export type Counts = {
  readonly matched: number
  /** They differ only where a rule forgives it. */
  readonly ignored: number
  /**
   * Comparisons that differ, by the fields in which they do. The verdict is made of them when it is asked for, so that
   * what is learned later of a field is true of earlier comparisons too.
   */
  readonly differing: Readonly<Record<Signature, number>>
  readonly uncomparable: Readonly<Partial<Record<Uncomparable, number>>>
  readonly shed: Readonly<Partial<Record<Shed, number>>>
  readonly failed: Readonly<Partial<Record<ShadowFailure, number>>>
  /** Times that legacy was asked twice and its two answers were compared. */
  readonly pairs: number
  readonly fields: Readonly<Record<Field, FieldCounts>>
  /** Fields seen that were left out, as there were too many. */
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

/** Where each eligible request is: `eligible` is the sum of all others. */
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

/** How alike the two sides answer: what a percentage may be raised by. */
export type Parity = {
  /** Comparisons with a verdict: matches, forgiven ones and noise, against mismatches. */
  readonly conclusive: number
  readonly inconclusive: number
  /** Undefined before the first conclusive comparison. */
  readonly matching: Share | undefined
  /** The lower bound if each inconclusive comparison is a mismatch: what a gate goes by. */
  readonly atLeast: number
  /** Comparisons that must still match, with none that does not, until the lower bound is the target. */
  readonly untilTarget: number
}

/** Counts of one route in one stretch of time. `start` is milliseconds since 1970. */
export type RouteCounts = {
  readonly context: string
  readonly route: string
  readonly start: number
  readonly counts: Counts
}

/** How long one stretch is, in milliseconds: counts are kept by the hour. */
export const COUNT_PERIOD_MS = 3_600_000

/** What parity is said of unless another window is asked for. */
export const DEFAULT_WINDOW_MS = 24 * COUNT_PERIOD_MS
