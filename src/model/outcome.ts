// The outcome of one request.
import type { Failure } from './failures.ts'
import type { Side } from './route.ts'

/** The facts that are observed once, at the end of a request. Times are milliseconds. */
export type Outcome = {
  /** The status of the response; 499 if the client left before a response was sent. */
  readonly status: number
  /** Undefined if the whole response of the upstream was forwarded. */
  readonly failure: Failure | undefined
  /** The original error, for the log only: it must not be shown to a client. */
  readonly cause: unknown
  /** The upstream that answered; undefined if the gateway answered itself. */
  readonly answeredBy: Responder | undefined
  /** From the start of the upstream request to the response head. */
  readonly upstreamMs: number | undefined
  /** From the start of the upstream request to the end of the response. */
  readonly upstreamTotalMs: number | undefined
  readonly requestBytes: number
  readonly responseBytes: number
  /** The number of requests sent upstream: more than one after a retry or a fallback. */
  readonly attempts: number
  readonly retried: boolean
  /** The failure of the service after which legacy answered; undefined without a fallback. */
  readonly fallbackCause: Failure | undefined
}

export type Responder = { readonly side: Side; readonly upstream: string; readonly address: string }
