// Comparing: what the two sides' answers to one request differ in, what became of each copy, and what is counted.
import type { Failure } from './failures.ts'

/** How an answer can differ. Always read from legacy to the service, whichever of them the client was given. */
export const DIFFERENCE_KINDS = {
  status: 'the status is another',
  missing: 'legacy has it, the service has not',
  extra: 'the service has it, legacy has not',
  null: 'it is null on one side',
  type: 'it is of another type: text for a number, an object for a list, HTML for JSON',
  value: 'it is of another value',
  length: 'the list, or the body, is of another length',
  order: 'the same members, in another order',
  repeated: 'one side says a member’s name twice in one object',
  malformed: 'one side’s body is not what its media type or content coding says',
} as const satisfies Record<string, string>

export type DifferenceKind = keyof typeof DIFFERENCE_KINDS

/**
 * One place in which two answers differ. The values are as they came: credentials, addresses, whatever a body holds.
 * Nothing but `redact` may read them, and a difference never leaves the worker that found it.
 */
export type Difference = {
  readonly kind: DifferenceKind
  /**
   * `status`, `header.etag`, `cookie.sid.path`, or a place in the body: `$.items[*].price`. It is general: positions
   * are `[*]`, and keys that look like ids are `.*`, so what is counted by path does not grow with the data.
   */
  readonly path: string
  /** Text of the first such place; null where that side has nothing there. */
  readonly legacy: string | null
  readonly service: string | null
  /** In how many places of this one answer. */
  readonly times: number
}

/** Text in which nothing secret is left. `redact` alone makes it. */
export type Masked = string & { readonly masked: true }

/** A difference as it may be kept and shown. */
export type MaskedDifference = {
  readonly kind: DifferenceKind
  readonly path: string
  readonly legacy: Masked | null
  readonly service: Masked | null
  readonly times: number
}

/** Why two answers that came could not be compared: not a fault of either side. */
export const UNCOMPARABLE = {
  streaming: 'the answer has no end to wait for: server-sent events, multipart/x-mixed-replace, gRPC',
  conditional: 'one side says that what the client has is current (304), and the other sends it',
  partial: 'an answer to a range (206): which part it is decides what it holds',
  truncated: 'more of the body came than is kept for comparing; or the request was answered before all of it had come',
  'too-large': 'decoded, the body is larger than is compared',
  bomb: 'the body grows out of proportion when it is decoded',
  'unknown-coding': 'a content coding that is not known, or more of them than anybody uses',
  'too-deep': 'nested deeper than is compared',
  'too-complex': 'more values than are compared',
  'out-of-time': 'comparing took longer than it may',
  crashed: 'comparing failed',
} as const satisfies Record<string, string>

export type Uncomparable = keyof typeof UNCOMPARABLE

/** Why a copy was not made, or was given up, to protect the client’s own request and this process. */
export const SHED = {
  'in-flight': 'as many copies are under way as may be',
  bytes: 'the byte budget for captured bodies is used up',
  'request-too-large': 'the body of the request is larger than is copied',
  queue: 'as many comparisons wait for the worker as may',
  lag: 'the event loop is behind',
  cpu: 'comparing has used its share of the processor',
  overloaded: 'the side that answers is shedding requests itself',
  draining: 'the gateway is stopping',
} as const satisfies Record<string, string>

export type Shed = keyof typeof SHED

/** Why there are no two answers: the words of `FAILURES`, for the copy; and what befell the client’s own request. */
export const SHADOW_FAILURES = [
  'connect-refused',
  'connect-timeout',
  'connection-lost',
  'response-timeout',
  'response-malformed',
  'response-broken',
  'unavailable',
  'client-gone',
  'internal',
] as const satisfies readonly Failure[]

/**
 * `primary`: the side that answers the client failed, so there is nothing to compare the copy’s answer with.
 * `not-dry-run`: the service answered a copy that changes something without saying that it only acted as if.
 */
export type ShadowFailure = (typeof SHADOW_FAILURES)[number] | 'primary' | 'not-dry-run'

/** What was found between two answers, before anything is known of noise. */
export type Comparison =
  | {
      readonly kind: 'compared'
      /** One for each path and kind; empty if the answers agree. */
      readonly differences: readonly Difference[]
      /** There were more than are listed. */
      readonly more: boolean
      /** Places that differ and that a rule forgives. */
      readonly forgiven: number
    }
  | { readonly kind: 'uncomparable'; readonly reason: Uncomparable }

/**
 * What one comparison says, once it is known which fields are noise: `noise` if nothing but noise differs,
 * `mismatch` if a field differs that is real, `inconclusive` while some field that differs is neither yet.
 */
export type Verdict = 'match' | 'mismatch' | 'noise' | 'inconclusive'

/**
 * What noise is told from fault for: a kind of difference at a path, written `value $.items[*].price`. A timestamp is
 * of another value each time, and that is noise; the same timestamp missing in one answer of a hundred is not.
 */
export type Field = `${DifferenceKind} ${string}`

export type FieldVerdict = 'real' | 'noise' | 'inconclusive'

/** What an operator says of fields, over what the numbers say. */
export type Rulings = Readonly<Record<Field, 'real' | 'noise'>>

/** A field is written `kind path`: its two parts. */
export function splitField(field: Field): { readonly kind: DifferenceKind; readonly path: string } {
  const space = field.indexOf(' ')
  return { kind: field.slice(0, space) as DifferenceKind, path: field.slice(space + 1) }
}
