// Comparison of two responses: kinds of differences, verdicts, and the reasons of copies without a comparison.
import type { Failure } from './failures.ts'

/** The kinds of differences, always from legacy to the service, whichever side answered the client. */
export const DIFFERENCE_KINDS = {
  status: 'the status differs',
  missing: 'legacy has the value, the service does not',
  extra: 'the service has the value, legacy does not',
  null: 'the value is null on one side',
  type: 'the type differs: text and number, object and list, HTML and JSON',
  value: 'the value differs',
  length: 'the length of the list or of the body differs',
  order: 'the members are the same, in another order',
  repeated: 'one side has the same member twice in one object',
  malformed: 'the body of one side does not have the format of its media type or content coding',
} as const satisfies Record<string, string>

export type DifferenceKind = keyof typeof DIFFERENCE_KINDS

/**
 * One place in which two responses differ. The values are not masked and may contain secrets: only `redact` may read them, and a
 * difference must not leave the worker that computed it.
 */
export type Difference = {
  readonly kind: DifferenceKind
  /**
   * `status`, `header.etag`, `cookie.sid.path`, or a place in the body: `$.items[*].price`. Positions are written `[*]`, and keys
   * that look like ids `.*`, so that the number of paths does not grow with the data.
   */
  readonly path: string
  /** The text at the first such place; null if legacy has no value there. */
  readonly legacy: string | null
  readonly service: string | null
  /** The number of such places in this response. */
  readonly times: number
}

/** Text without secrets. Only `redact` creates it. */
export type Masked = string & { readonly masked: true }

/** A difference that may be stored and shown. */
export type MaskedDifference = {
  readonly kind: DifferenceKind
  readonly path: string
  readonly legacy: Masked | null
  readonly service: Masked | null
  readonly times: number
}

/** Why two complete responses could not be compared. Neither side is at fault. */
export const UNCOMPARABLE = {
  streaming: 'the response does not end: server-sent events, multipart/x-mixed-replace, gRPC',
  conditional: 'one side answers that the client’s copy is current (304), and the other sends the content',
  partial: 'the response is a part of the content (206)',
  truncated: 'the body is longer than the limit, or the response came before the whole request body had arrived',
  'too-large': 'the decoded body is larger than the limit',
  bomb: 'decoding enlarges the body out of proportion',
  'unknown-coding': 'the content coding is not supported, or there are too many codings',
  'too-deep': 'the body is nested deeper than the limit',
  'too-complex': 'the body has more values than the limit',
  'out-of-time': 'the comparison exceeded its time limit',
  crashed: 'the comparison failed',
} as const satisfies Record<string, string>

export type Uncomparable = keyof typeof UNCOMPARABLE

/** Why a copy was dropped, to protect the requests of clients and this process. */
export const SHED = {
  'in-flight': 'the limit of concurrent copies is reached',
  bytes: 'the byte budget for captured bodies is used up',
  'request-too-large': 'the request body is larger than the limit',
  queue: 'the queue of the comparing thread is full',
  lag: 'the event loop is late',
  cpu: 'comparisons have used their share of the processor',
  overloaded: 'the side that answers the client is shedding load',
  draining: 'the gateway is stopping',
} as const satisfies Record<string, string>

export type Shed = keyof typeof SHED

/** Why there are not two responses: the failures of the copy, with the names of `FAILURES`. */
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
 * `primary`: the side that answers the client failed, so the copy has no response to compare with.
 * `not-dry-run`: the service answered a copied write without the field that confirms a dry run.
 */
export type ShadowFailure = (typeof SHADOW_FAILURES)[number] | 'primary' | 'not-dry-run'

/** The result of comparing two responses, before noise is considered. */
export type Comparison =
  | {
      readonly kind: 'compared'
      /** One entry for each path and kind; empty if the responses are equal. */
      readonly differences: readonly Difference[]
      /** Whether there are more differences than listed. */
      readonly more: boolean
      /** The number of differing places that a rule accepts. */
      readonly forgiven: number
    }
  | { readonly kind: 'uncomparable'; readonly reason: Uncomparable }

/**
 * The verdict on one comparison: `noise` if only noise differs, `mismatch` if a real field differs, `inconclusive` while a
 * differing field has no verdict.
 */
export type Verdict = 'match' | 'mismatch' | 'noise' | 'inconclusive'

/**
 * A kind of difference at a path, written `value $.items[*].price`. Noise is judged per field: the value of a timestamp differs
 * each time, which is noise; the same timestamp missing in one response of a hundred is not.
 */
export type Field = `${DifferenceKind} ${string}`

export type FieldVerdict = 'real' | 'noise' | 'inconclusive'

/** The rulings of operators on fields. They override the statistics. */
export type Rulings = Readonly<Record<Field, 'real' | 'noise'>>

/** Splits a field, written `kind path`, into its parts. */
export function splitField(field: Field): { readonly kind: DifferenceKind; readonly path: string } {
  const space = field.indexOf(' ')
  return { kind: field.slice(0, space) as DifferenceKind, path: field.slice(space + 1) }
}
