// Which requests may be copied. Pure.
import type { Decision } from '../../model/decision.ts'
import type { RequestHead } from '../../model/request-head.ts'
import type { ShadowPolicy } from '../../model/shadow-policy.ts'

/** RFC 9110 section 9.2.1, without TRACE, which returns the credentials of a request to its sender. */
const SAFE: ReadonlySet<string> = new Set(['GET', 'HEAD', 'OPTIONS'])
/** Methods that a service may receive as a dry run. */
const WRITES: ReadonlySet<string> = new Set(['POST', 'PUT', 'PATCH', 'DELETE'])

export function isSafe(method: string): boolean {
  return SAFE.has(method)
}

/**
 * Whether this request may be copied. A request that changes something may be copied only to a service that accepts dry runs. A
 * request that is a copy itself is never copied. While the kill switch is on, nothing is copied: operators have an incident.
 */
export function isEligible(head: RequestHead, { reason, side }: Decision, writes: ShadowPolicy['writes']): boolean {
  if (reason === 'killed' || head.fields.saysShadow || head.fields.upgrade !== undefined) return false
  // One side may read an encoded slash as data, the other as a path.
  if (head.hasEncodedSlash) return false
  // A body on a method without one is a sign of request smuggling (CVE-2026-29057).
  if (SAFE.has(head.method)) return head.body.kind === 'none'
  return writes === 'dry-run' && side === 'legacy' && WRITES.has(head.method)
}
