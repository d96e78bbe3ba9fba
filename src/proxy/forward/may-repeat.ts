// Whether a failed request may be sent once more, to the same side or to legacy instead of the service. Pure functions for
// the rules of docs/adr/0004.
import { FAILURES, type Failure } from '../../model/failures.ts'
import type { Side } from '../../model/route.ts'

/** The request as far as it was sent. A body whose reading has begun cannot be sent again. */
export type Sent = { readonly method: string; readonly hasBody: boolean; readonly hasBodyBegun: boolean }

/** Methods that may be repeated on the same side (RFC 9110 section 9.2.2). */
const IDEMPOTENT: ReadonlySet<string> = new Set(['GET', 'HEAD', 'OPTIONS', 'PUT', 'DELETE'])
/** Methods that may be repeated on the other side, which has its own data: only those without an effect (RFC 9110 section 9.2.1). */
const READS: ReadonlySet<string> = new Set(['GET', 'HEAD', 'OPTIONS'])
/** Failures after which the same side gets one retry. A response timeout is not among them: the client has waited enough. */
const RETRIED: ReadonlySet<Failure> = new Set(['connection-lost', 'connect-refused', 'connect-timeout'])
/** Failures in which the service was not reached. */
const UNREACHED: ReadonlySet<Failure> = new Set(['connect-refused', 'connect-timeout'])
/** The client or the gateway is to blame, or the queue is full, which a second request would make worse. */
const NEVER_REPEATED: ReadonlySet<Failure> = new Set([
  'body-too-large',
  'slow-request',
  'client-gone',
  'overloaded',
  'internal',
])

/** Whether a method only reads. Every other method counts as a write. */
export function isRead(method: string): boolean {
  return READS.has(method)
}

/**
 * The failure in the response to the client. A write that has not reached the service can safely be sent again, so the
 * client gets 503 with `Retry-After` instead of a gateway error, which would leave that open.
 */
export function failureForClient(failure: Failure, side: Side, method: string): Failure {
  const isUnsentWrite = side === 'service' && !isRead(method) && UNREACHED.has(failure)
  return isUnsentWrite ? 'unavailable' : failure
}

export function mayRetry(failure: Failure, sent: Sent): boolean {
  return RETRIED.has(failure) && mayRepeat(failure, sent, IDEMPOTENT)
}

export function mayFallBack(failure: Failure, sent: Sent): boolean {
  return mayRepeat(failure, sent, READS)
}

/** Any request may be repeated if nothing of it was sent; otherwise only one with such a method and without a body. */
function mayRepeat(failure: Failure, { method, hasBody, hasBodyBegun }: Sent, methods: ReadonlySet<string>): boolean {
  if (NEVER_REPEATED.has(failure) || hasBodyBegun) return false
  if (FAILURES[failure].nothingSent) return true
  return !hasBody && methods.has(method)
}
