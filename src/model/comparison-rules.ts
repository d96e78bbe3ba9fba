// The rules of a comparison, as an operator writes them: which differences are accepted.

/** The rules of a route or context, as written in the map. Paths are patterns: see `path-pattern.ts`. */
export type Rules = {
  /** Differences at these places or below them are accepted. */
  readonly ignore?: readonly string[]
  /** Changes the values of both sides before the comparison. The steps apply in order. */
  readonly normalise?: readonly { readonly path: string; readonly steps: readonly NormaliseStep[] }[]
  /** Numbers are equal if their distance is at most `absolute`, or at most `relative` times the larger one. */
  readonly tolerance?: readonly { readonly path: string; readonly absolute?: number; readonly relative?: number }[]
  /** The order of these lists does not matter. */
  readonly treatAsSet?: readonly string[]
  /** The elements of these lists are matched by the value of their member `by`, not by their position. */
  readonly keyed?: readonly { readonly path: string; readonly by: string }[]
  /** These lists are sorted by the member `by` before the comparison. */
  readonly sortBy?: readonly { readonly path: string; readonly by: string }[]
  /** Groups of statuses that count as equal: `[[200, 204]]`. */
  readonly equivalentStatuses?: readonly (readonly number[])[]
}

export type NormaliseStep =
  /** Removes white space at both ends. */
  | 'trim'
  /** Ignores case. */
  | 'case'
  /** Compares dates as instants: ISO 8601, HTTP dates, and seconds or milliseconds since 1970. */
  | 'date'
  /** Removes scheme and host: `https://a.example/x` and `http://b.example/x` become `/x`. */
  | 'strip-host'
  /** Replaces every match in the text. The syntax is that of RE2, which runs in linear time. */
  | { readonly regex: string; readonly with: string }

/** A mistake in rules: its place, such as `ignore[2]`, and what to write instead. */
export type RuleMistake = { readonly path: string; readonly message: string }
