// The messages between the gateway's thread and the comparing thread. Copying a message costs by the number of its values, so a
// list of fields is one text, and values that many jobs share are sent once.

import type { Rulings } from '../../model/comparison.ts'
import type { RouteCounts } from '../../model/comparison-counts.ts'
import type { StoredExample } from '../../model/comparison-example.ts'
import type { HeaderList } from '../../model/request-head.ts'
import type { Side, TlsOptions } from '../../model/route.ts'
import type { CopyRequest, ShadowOutcome, ShadowReason } from '../../model/shadow.ts'
import type { ShadowPolicy } from '../../model/shadow-policy.ts'
import type { Occurrence, StatsUpdate } from '../stats/comparison-stats.ts'

/** A message to the comparing thread. */
export type ThreadInput = {
  /** Policies and TLS settings with the numbers by which jobs refer to them. */
  readonly sharedValues?: readonly (readonly [number, ShadowPolicy | TlsOptions])[]
  /** No later job refers to a value that was sent before. */
  readonly resetsNumbers?: boolean
  readonly jobs?: readonly Job[]
  /** Counts of the window from earlier threads and other gateways: they show which fields are noise. */
  readonly counts?: readonly RouteCounts[]
  /** The rulings of operators, by `routeKey`; they replace all earlier ones. */
  readonly rulings?: Readonly<Record<string, Rulings>>
  /** Report as soon as all jobs have ended. */
  readonly isFinal?: boolean
}

/** A request whose copy is to be sent, with the response that the client received. `time`: when that response was complete. */
export type Job = Occurrence & {
  readonly id: number
  /** The number of the `ShadowPolicy`. */
  readonly policy: number
  readonly answeredBy: Side
  /** Path and query of the client's request. */
  readonly target: string
  readonly status: number
  readonly headers: PackedFields
  /** One character per byte (latin1). */
  readonly body: string
  readonly isTruncated: boolean
  /** How long the response took, in milliseconds. */
  readonly ms: number
  readonly copy: PackedCopy
  /** A second request to legacy, if legacy is to be compared with itself. */
  readonly twin: PackedCopy | undefined
  /** Undefined for a safe method, whose copy has no body. */
  readonly requestBody: string | undefined
}

export type PackedCopy = Omit<CopyRequest, 'fields' | 'identityFields' | 'tls'> & {
  /** The number of the `TlsOptions`. */
  readonly tls: number | undefined
  readonly fields: PackedFields
  readonly identityFields: PackedFields
}

/** Names and values, one per line: neither can contain a line end. */
type PackedFields = string

export function packFields(fields: HeaderList): PackedFields {
  return fields.join('\n')
}

export function unpackFields(packed: PackedFields): string[] {
  return packed === '' ? [] : packed.split('\n')
}

/**
 * A message from the comparing thread, a few times per second while there is something to report. The counts of a route and hour
 * are complete since the start of the thread and replace its earlier report.
 */
export type ThreadReport = StatsUpdate & {
  /** The processor time since the last report, in milliseconds. */
  readonly cpuMs: number
  readonly results: readonly JobResult[]
  readonly examples: readonly StoredExample[]
  /** Services that did not handle a copy as a dry run. */
  readonly notDryRun: readonly DryRunRefusal[]
}

export type DryRunRefusal = { readonly context: string; readonly origin: string; readonly why: string }

export type JobResult = {
  readonly id: number
  readonly outcome: ShadowOutcome
  readonly reason: ShadowReason
  /** How long the copy took, in milliseconds; undefined if it was not answered. */
  readonly copyMs: number | undefined
}

/** Indexes of the shared memory that the gateway reads while the comparing thread is busy. The id of the job that it compares. */
export const CURRENT_JOB = 0
/** A counter of comparisons that were started. */
export const COMPARISONS_STARTED = 1
