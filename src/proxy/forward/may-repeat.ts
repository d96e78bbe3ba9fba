// When a request that failed may be sent once more: to the same side, or to legacy in its service's place. The rules of
// docs/adr/0004, and pure.
import { FAILURES, type Failure } from '../../model/failures.ts'
import type { Side } from '../../model/route.ts'

/** What matters of the request: a body that was begun is gone, and one that was not may still have been announced. */
export type Sent = { readonly method: string; readonly hasBody: boolean; readonly hasBodyBegun: boolean }

/** On the same side a second time it has the same effect (RFC 9110 section 9.2.2). */
const IDEMPOTENT: ReadonlySet<string> = new Set(['GET', 'HEAD', 'OPTIONS', 'PUT', 'DELETE'])
/** On the other side, which has data of its own: only what has no effect (RFC 9110 section 9.2.1). */
const READS: ReadonlySet<string> = new Set(['GET', 'HEAD', 'OPTIONS'])
/** Failures after which the same side gets one more try; a timeout is not one: it has cost the client enough. */
const RETRIED: ReadonlySet<Failure> = new Set(['connection-lost', 'connect-refused', 'connect-timeout'])
/** Failures in which the service was not reached. */
const UNREACHED: ReadonlySet<Failure> = new Set(['connect-refused', 'connect-timeout'])
/** The client's own fault, ours, or a queue that a second request would only make longer. */
const NEVER_REPEATED: ReadonlySet<Failure> = new Set([
  'body-too-large',
  'slow-request',
  'client-gone',
  'overloaded',
  'internal',
])

/** Whether a method only reads; every other method is a write, whatever the application makes of it. */
export function isRead(method: string): boolean {
  return READS.has(method)
}

/**
 * The failure that the client of the service is answered with. A write that has not reached the service can be sent
 * again without harm, so the client gets 503 with `Retry-After` instead of a gateway error that leaves this open.
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

/** Where nothing was sent, anything may be; else only what some methods promise, and without a body. */
function mayRepeat(failure: Failure, { method, hasBody, hasBodyBegun }: Sent, methods: ReadonlySet<string>): boolean {
  if (NEVER_REPEATED.has(failure) || hasBodyBegun) return false
  if (FAILURES[failure].nothingSent) return true
  return !hasBody && methods.has(method)
}
