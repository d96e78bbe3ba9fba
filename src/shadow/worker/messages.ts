// What the gateway's thread and the comparing thread say to each other. Copying a message costs by the number of its
// values, so lists of fields travel as one text each, and what many jobs share is told once.

import type { Rulings, ShadowFailure, Shed, Uncomparable } from '../../model/comparison.ts'
import type { Parity, RouteCounts } from '../../model/comparison-counts.ts'
import type { StoredExample } from '../../model/comparison-example.ts'
import type { HeaderList } from '../../model/request-head.ts'
import type { Side, TlsOptions } from '../../model/route.ts'
import type { CopyRequest, ShadowOutcome, ShadowReason } from '../../model/shadow.ts'
import type { ShadowPolicy } from '../../model/shadow-policy.ts'

/** To the comparing thread. */
export type Parcel = {
  /** Policies and TLS settings, by the number that jobs name them by. */
  readonly known?: readonly (readonly [number, ShadowPolicy | TlsOptions])[]
  /** What was known before is named by no job any more. */
  readonly isAnew?: boolean
  readonly jobs?: readonly Job[]
  /** Counts of the window from before this process, and from other gateways: what is noise was learned there. */
  readonly counts?: readonly RouteCounts[]
  /** What operators say of fields, by {@link routeKey}; takes the place of all that was said before. */
  readonly rulings?: Readonly<Record<string, Rulings>>
  /** Finish what is there and say so. */
  readonly isLast?: boolean
}

/** One request whose copy is to be sent, with the answer that the client got. */
export type Job = {
  readonly id: number
  readonly context: string
  readonly route: string
  readonly policy: number
  /** When the client's answer was complete, in milliseconds since 1970. */
  readonly at: number
  readonly answeredBy: Side
  /** Path and query as the client asked for them. */
  readonly target: string
  readonly status: number
  readonly headers: Packed
  /** One character a byte. */
  readonly body: string
  readonly isTruncated: boolean
  readonly ms: number
  readonly copy: PackedCopy
  /** The same for legacy once more, where it is asked twice. */
  readonly again: PackedCopy | undefined
  /** Undefined where the method is safe: such a copy has none. */
  readonly requestBody: string | undefined
}

export type PackedCopy = Omit<CopyRequest, 'fields' | 'identityFields' | 'tls'> & {
  readonly tls: number | undefined
  readonly fields: Packed
  readonly identityFields: Packed
}

/** Names and values, a line each: neither can hold a line end. */
export type Packed = string

export function pack(fields: HeaderList): Packed {
  return fields.join('\n')
}

export function unpack(packed: Packed): string[] {
  return packed === '' ? [] : packed.split('\n')
}

/** From the comparing thread, a few times a second while there is anything to say. */
export type Report = {
  /** What the thread has computed since its last report, in milliseconds of a processor. */
  readonly cpuMs: number
  readonly ended: readonly Ended[]
  /** Of the routes that changed: everything since the thread began, in the place of what it said before. */
  readonly counts: readonly RouteCounts[]
  /** The share of the next copies for which legacy is asked twice, by {@link routeKey}. */
  readonly pairShares: Readonly<Record<string, number>>
  readonly parity: Readonly<Record<string, Parity>>
  readonly examples: readonly StoredExample[]
  /** Services that took a copy for more than a copy. */
  readonly notDryRun: readonly { readonly context: string; readonly origin: string; readonly why: string }[]
}

/** What became of a job. */
export type Ended = {
  readonly id: number
  readonly outcome: ShadowOutcome
  readonly reason: ShadowReason
  /** How long the copy took, where it was answered. */
  readonly copyMs: number | undefined
}

/** Why a job came to nothing. */
export type NoComparison =
  | { readonly outcome: 'failed'; readonly reason: ShadowFailure }
  | { readonly outcome: 'shed'; readonly reason: Shed }
  | { readonly outcome: 'uncomparable'; readonly reason: Uncomparable }

/** One route of one context. Neither name can hold a line end. */
export function routeKey({ context, route }: { readonly context: string; readonly route: string }): string {
  return `${context}\n${route}`
}

/** What the other thread is told in shared memory, so that it can be read while this one is busy. */
export const BUSY_WITH = 0
/** A number that grows with each comparison that is begun. */
export const TURN = 1
