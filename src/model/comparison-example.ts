// Examples: masked requests and responses, stored as evidence of a difference.
import type { Field, Masked, MaskedDifference } from './comparison.ts'
import type { Side } from './route.ts'

/** An answer as an example shows it: nothing secret is left. */
export type MaskedAnswer = {
  readonly status: number
  /** `[name, value, ...]` */
  readonly headers: readonly Masked[]
  /** Null where it is no JSON, or too long to be kept: such a body cannot be shown without showing what is in it. */
  readonly body: Masked | null
  /** From being asked to the last byte, in milliseconds. */
  readonly ms: number
}

/** One request with both answers, as evidence of where they differ. */
export type Example = {
  /** Milliseconds since 1970. */
  readonly at: number
  readonly request: { readonly method: string; readonly target: Masked; readonly headers: readonly Masked[] }
  /** Who answered the client; the other was asked with the copy. */
  readonly answeredBy: Side
  readonly legacy: MaskedAnswer
  readonly service: MaskedAnswer
  readonly differences: readonly MaskedDifference[]
}

/** An example of one field, as it is kept. */
export type StoredExample = {
  /** What a person calls the difference by: of context, route and field, by `fingerprintOf`. */
  readonly fingerprint: string
  readonly context: string
  /** The route's label: its method and template, `GET /products/:id`. */
  readonly route: string
  readonly field: Field
  readonly example: Example
}
