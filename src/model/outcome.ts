// What became of a forwarded request, and the one table of everything that can go wrong.
import type { Failure } from './failures.ts'
import type { Side } from './route.ts'

/** What happened to one request: the facts that are observed once, at its end. Times are milliseconds. */
export type Outcome = {
  /** The status the client was sent; 499 if it left before one could be sent. */
  readonly status: number
  /** Undefined when the upstream's response was passed on whole. */
  readonly failure: Failure | undefined
  /** The raw error, for the log only: never shown to a client. */
  readonly cause: unknown
  /** Who answered; undefined when the gateway did so itself. */
  readonly answeredBy: Responder | undefined
  /** From the upstream being asked to its response head. */
  readonly upstreamMs: number | undefined
  /** From the upstream being asked to the end of its response. */
  readonly upstreamTotalMs: number | undefined
  readonly requestBytes: number
  readonly responseBytes: number
  /** Requests sent upstream: more than one after a retry or a fallback. */
  readonly attempts: number
  readonly retried: boolean
  /** Why the service's turn was given to legacy; undefined if it was not. */
  readonly fallbackCause: Failure | undefined
}

export type Responder = { readonly side: Side; readonly upstream: string; readonly address: string }
