// Which requests may be copied at all. Pure.
import type { Decision } from '../../model/decision.ts'
import type { RequestHead } from '../../model/request-head.ts'
import type { ShadowPolicy } from '../../model/shadow-policy.ts'

/** RFC 9110 section 9.2.1, without TRACE, which shows credentials to whoever asks. */
const SAFE: ReadonlySet<string> = new Set(['GET', 'HEAD', 'OPTIONS'])
/** What a service may act upon as if. */
const WRITES: ReadonlySet<string> = new Set(['POST', 'PUT', 'PATCH', 'DELETE'])

export function isSafe(method: string): boolean {
  return SAFE.has(method)
}

/**
 * Whether a copy of this request may be made. Never of one that changes something, but where the service acts as if;
 * never of one that is a copy itself; and never while the kill switch is on, as whoever throws it has other worries.
 */
export function isEligible(head: RequestHead, { reason, side }: Decision, writes: ShadowPolicy['writes']): boolean {
  if (reason === 'killed' || head.fields.saysShadow || head.fields.upgrade !== undefined) return false
  // What one side takes for data in a path is a path to another.
  if (head.hasEncodedSlash) return false
  // A body on a method that has none is what smugglers send (CVE-2026-29057).
  if (SAFE.has(head.method)) return head.body.kind === 'none'
  return writes === 'dry-run' && side === 'legacy' && WRITES.has(head.method)
}
