// The rules of a comparison, as an operator writes them: which differences are accepted.

/** The rules of a route or context, as they are written. Paths are patterns: see `path-pattern.ts`. */
export type Rules = {
  /** Whatever differs here, or below, is forgiven. */
  readonly ignore?: readonly string[]
  /** Both sides are changed in this way before they are compared; several steps apply in order. */
  readonly normalise?: readonly { readonly path: string; readonly steps: readonly NormaliseStep[] }[]
  /** Numbers that are as near as this are equal: by `absolute`, or by `relative` to the larger. */
  readonly tolerance?: readonly { readonly path: string; readonly absolute?: number; readonly relative?: number }[]
  /** Lists whose order means nothing. */
  readonly treatAsSet?: readonly string[]
  /** Lists whose members are found by a member of their own, wherever they stand. */
  readonly keyed?: readonly { readonly path: string; readonly by: string }[]
  /** Lists that are put in order of a member before they are compared. */
  readonly sortBy?: readonly { readonly path: string; readonly by: string }[]
  /** Groups of statuses that mean the same: `[[200, 204]]`. */
  readonly equivalentStatuses?: readonly (readonly number[])[]
}

export type NormaliseStep =
  /** No white space at either end. */
  | 'trim'
  /** Upper and lower case are the same. */
  | 'case'
  /** Dates are the instant they mean: ISO 8601, HTTP dates, and seconds or milliseconds since 1970. */
  | 'date'
  /** `https://a.example/x` and `http://b.example/x` are both `/x`. */
  | 'strip-host'
  /** In RE2's language, which cannot be made to hang; what matches is replaced in the whole text. */
  | { readonly regex: string; readonly with: string }

/** A mistake in rules: where, as one would write it (`ignore[2]`), and what to write instead. */
export type RuleMistake = { readonly path: string; readonly message: string }
