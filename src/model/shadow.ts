// Shadow traffic: copies of requests to the side that did not answer the client.

import type { ShadowFailure, Shed, Uncomparable } from './comparison.ts'
import type { Decision } from './decision.ts'
import type { Outcome } from './outcome.ts'
import type { HeaderList, RequestHead } from './request-head.ts'
import type { Route, Side, TlsOptions } from './route.ts'

/** A request to one side, equal to the request that the proxy would have sent if it had chosen that side. */
export type CopyRequest = {
  /** The address: an origin such as `http://10.0.0.7:3001`. */
  readonly origin: string
  readonly tls: TlsOptions | undefined
  /** The TLS server name; `''` if the host of the address is used. */
  readonly servername: string
  readonly method: string
  readonly path: string
  /** `[name, value, ...]` with Host, without the fields that mark a copy and the fields of body framing. */
  readonly fields: HeaderList
  /** The names, in lower case, of fields with the client's identity, in addition to `Authorization` and `Cookie`. */
  readonly identityFields: readonly string[]
}

/** Creates the request for a side; undefined if no address of it is available. */
export type CreateCopy = (side: Side) => CopyRequest | undefined

/** An observer of one request. Its failures do not affect the client. */
export type Tap = {
  /** The buffer is only valid during the call: the tap must copy bytes that it keeps. */
  readonly onRequestBody: (bytes: Buffer) => void
  /** The whole request body has been received. */
  readonly onRequestEnd: () => void
  /** The final response head of the upstream. @param fields `[name, value, ...]` */
  readonly onHead: (status: number, fields: HeaderList) => void
  /** The buffer is only valid during the call. */
  readonly onBody: (bytes: Buffer, start: number, end: number) => void
  /** The request has ended: from now on the copy may be sent. */
  readonly close: (outcome: Outcome, copyFor: CreateCopy) => void
}

/** The interface of shadow traffic for the proxy. */
export type Shadowing = {
  /** Returns undefined for a request that is not copied, which is fast. */
  readonly open: (request: {
    readonly head: RequestHead
    readonly route: Route
    readonly decision: Decision
    /** The shares that operators have set, by context, from 0 to 1. Other contexts use the share of the map. */
    readonly shares: ReadonlyMap<string, number>
  }) => Tap | undefined
}

/** The result of each eligible request at its end: a label of the metrics. */
export type ShadowOutcome =
  | 'matched'
  | 'mismatched'
  | 'noise'
  | 'inconclusive'
  | 'ignored'
  | 'uncomparable'
  | 'shed'
  | 'failed'
/** The reason of `uncomparable`, `shed` and `failed`; `''` for other outcomes. */
export type ShadowReason = Uncomparable | Shed | ShadowFailure | ''
