// Verifies a token under the policy of a route. Pure; waits for nothing.
import type { AuthPolicy } from '../model/auth.ts'
import type { HeaderList } from '../model/request-head.ts'
import { claimFields } from './claim-fields.ts'
import type { Token } from './read-token.ts'
import type { TokenKey } from './token-key.ts'
import { invalidToken, TokenRejection } from './token-rejection.ts'
import { verifySignature } from './verify-signature.ts'

/** The user that a valid token names. */
export type VerifiedToken = {
  /** The token's `sub`. */
  readonly userId: string
  /** The fields for either side, as `[name, value, ...]`: `X-User-Id` first, then the forwarded claims. */
  readonly fields: HeaderList
  /** Calendar milliseconds at which the token expires. */
  readonly expiresAt: number
}

/** @param now calendar milliseconds */
export function verifyToken(
  token: Token,
  policy: AuthPolicy,
  key: TokenKey,
  now: number,
): VerifiedToken | TokenRejection {
  const fault = verifySignature(token, key, policy, now)
  if (fault !== undefined) return invalidToken(fault)
  const { claims } = token
  const scopes = scopesOf(claims)
  if (!policy.requiredScopes.every((scope) => scopes.includes(scope))) {
    return new TokenRejection('insufficient-scope', 'the token lacks a scope')
  }
  const userId = claims.sub as string
  return {
    userId,
    fields: claimFields(userId, claims, policy),
    expiresAt: ((claims.exp as number) + policy.clockToleranceSeconds) * 1000,
  }
}

/** `scope` is a text of words (RFC 8693 section 4.2); some issuers name it `scp`; either can be a list. */
function scopesOf(claims: Token['claims']): readonly unknown[] {
  const scope = claims.scope ?? claims.scp
  if (Array.isArray(scope)) return scope
  return typeof scope === 'string' ? scope.split(' ') : []
}
