// Examples: a masked request with both masked responses, stored as evidence of a difference.
import type { Field, Masked, MaskedDifference } from './comparison.ts'
import type { Side } from './route.ts'

/** A response in an example, without secrets. */
export type MaskedAnswer = {
  readonly status: number
  /** `[name, value, ...]` */
  readonly headers: readonly Masked[]
  /** The masked JSON body; null for a body that is not JSON, which cannot be masked, or that is too long to store. */
  readonly body: Masked | null
  /** From sending the request to the last byte of the response, in milliseconds. */
  readonly ms: number
}

/** One request with both responses and their differences. */
export type Example = {
  /** Milliseconds since 1970. */
  readonly at: number
  readonly request: { readonly method: string; readonly target: Masked; readonly headers: readonly Masked[] }
  /** The side that answered the client; the other side received the copy. */
  readonly answeredBy: Side
  readonly legacy: MaskedAnswer
  readonly service: MaskedAnswer
  readonly differences: readonly MaskedDifference[]
}

/** An example of one field, as the store keeps it. */
export type StoredExample = {
  /** The identifier of the difference: `fingerprintOf` its context, route and field. */
  readonly fingerprint: string
  readonly context: string
  /** The route's label: its method and template, `GET /products/:id`. */
  readonly route: string
  readonly field: Field
  readonly example: Example
}
