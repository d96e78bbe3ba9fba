// Shadowing: which requests are copied to the side that was not chosen, what is copied, and what of it is kept.

import type { ShadowFailure, Shed, Uncomparable } from './comparison.ts'
import type { Decision } from './decision.ts'
import type { Outcome } from './outcome.ts'
import type { HeaderList, RequestHead } from './request-head.ts'
import type { Route, Side, TlsOptions } from './route.ts'

/** A request as it is sent to a side: what the proxy would have sent there, had that side been chosen. */
export type CopyRequest = {
  /** The address that is asked: an origin such as `http://10.0.0.7:3001`. */
  readonly origin: string
  readonly tls: TlsOptions | undefined
  /** The name that is asked for in TLS; `''` where the address is its own name. */
  readonly servername: string
  readonly method: string
  readonly path: string
  /** `[name, value, ...]` with Host; without the marks of a copy, and without a body's framing. */
  readonly fields: HeaderList
  /** The names, in lower case, of fields that say who asks beside `Authorization` and `Cookie`. */
  readonly identityFields: readonly string[]
}

/** Makes the request for a side; undefined where no address of it may be asked now. */
export type CreateCopy = (side: Side) => CopyRequest | undefined

/** What sees one request go by. It only looks: nothing that it does or fails to do reaches the client. */
export type Tap = {
  /** Bytes are only lent: what is kept of them is copied. */
  readonly onRequestBody: (bytes: Buffer) => void
  /** All of the request's body has come. */
  readonly onRequestEnd: () => void
  /** The final head as the upstream sent it. @param fields `[name, value, ...]` */
  readonly onHead: (status: number, fields: HeaderList) => void
  /** Bytes are only lent. */
  readonly onBody: (bytes: Buffer, start: number, end: number) => void
  /** The client has been answered, or has gone: from here on the copy may be sent. */
  readonly close: (outcome: Outcome, copyFor: CreateCopy) => void
}

/** What the proxy knows of the shadow. */
export type Shadowing = {
  /** Undefined, at next to no cost, for a request that is not copied. */
  readonly open: (request: {
    readonly head: RequestHead
    readonly route: Route
    readonly decision: Decision
    /** What operators have said, by context; what is not there is left to the config. From 0 to 1. */
    readonly shares: ReadonlyMap<string, number>
  }) => Tap | undefined
}

/** Where each eligible request ends, at the moment it does: the label of the metric. */
export const SHADOW_OUTCOMES = [
  'matched',
  'mismatched',
  'noise',
  'inconclusive',
  'ignored',
  'uncomparable',
  'shed',
  'failed',
] as const
export type ShadowOutcome = (typeof SHADOW_OUTCOMES)[number]
/** What is said beside `uncomparable`, `shed` and `failed`; `''` beside the others. */
export type ShadowReason = Uncomparable | Shed | ShadowFailure | ''
