// Authenticates a request by its token, and turns a rejected token into a refusal.
import type { KeySetEvents } from '../../auth/key-sets.ts'
import { TokenRejection, type TokenRejectionReason } from '../../auth/token-rejection.ts'
import { type TokenResult, TokenVerifier } from '../../auth/token-verifier.ts'
import type { VerifiedToken } from '../../auth/verify-token.ts'
import type { AuthPolicy } from '../../model/auth.ts'
import type { Failure } from '../../model/failures.ts'
import type { Clock } from '../../model/ports.ts'
import type { RequestHead } from '../../model/request-head.ts'
import { Refusal } from './refusal.ts'

/** Undefined if the route does not require a token and the request has none. */
export type Access = VerifiedToken | Refusal | undefined

/** Returns a promise only if a key set must be fetched first, which takes two seconds at most. */
export type Authenticate = (head: RequestHead, policy: AuthPolicy) => Access | Promise<Access>

export function createAuthenticate(clock: Clock, events: KeySetEvents): Authenticate {
  const verifier = new TokenVerifier({ clock, events })
  return (head, policy) => {
    const result = verifier.verify(head.endToEnd, policy)
    return result instanceof Promise ? result.then(accessOf) : accessOf(result)
  }
}

function accessOf(result: TokenResult): Access {
  if (!(result instanceof TokenRejection)) return result
  const { failure, challenge } = REFUSALS[result.reason]
  return new Refusal(failure, result.detail, challenge)
}

/**
 * RFC 6750 section 3: `error` if a token was sent, and `realm` alone if not, because a challenge needs a parameter. The
 * client does not learn which check failed: that would help to forge a token.
 */
const REFUSALS: Readonly<Record<TokenRejectionReason, { readonly failure: Failure; readonly challenge?: string }>> = {
  missing: { failure: 'unauthenticated', challenge: 'Bearer realm="gateway"' },
  invalid: { failure: 'unauthenticated', challenge: 'Bearer error="invalid_token"' },
  'insufficient-scope': { failure: 'forbidden', challenge: 'Bearer error="insufficient_scope"' },
  'keys-unreachable': { failure: 'keys-unreachable' },
}
