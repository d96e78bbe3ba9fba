// The checks that a token must pass whatever its use: signature, issuer, audience and times. The only user of
// jsonwebtoken.
import jwt from 'jsonwebtoken'
import type { AuthPolicy } from '../model/auth.ts'
import type { Token } from './read-token.ts'
import { algorithmsFor, type TokenKey } from './token-key.ts'

export type TokenRequirements = Pick<AuthPolicy, 'algorithms' | 'issuer' | 'audience' | 'clockToleranceSeconds'>

/**
 * Verifies a token with a key.
 *
 * @param now calendar milliseconds
 * @returns the failed check, for the log; undefined if the token passes
 */
export function verifySignature(
  token: Token,
  key: TokenKey,
  { algorithms, issuer, audience, clockToleranceSeconds }: TokenRequirements,
  now: number,
): string | undefined {
  try {
    jwt.verify(token.text, key.key, {
      algorithms: algorithmsFor(key, algorithms),
      issuer,
      audience: audience as [string, ...string[]],
      clockTolerance: clockToleranceSeconds,
      clockTimestamp: now / 1000,
    })
  } catch (error) {
    // jsonwebtoken's own messages quote the configuration only. Any other error may contain bytes of the token.
    return error instanceof jwt.JsonWebTokenError ? error.message : 'the signature cannot be read'
  }
  return timesFault(token.claims, now / 1000 + clockToleranceSeconds) ?? namesFault(token.claims)
}

/** 9999-12-31, in seconds. `1e400` parses as Infinity: such a token would never expire. */
const LAST_SECOND = 253_402_300_799

/** RFC 7519 section 2: seconds, fractions allowed. */
function isTime(value: unknown): value is number {
  return typeof value === 'number' && value >= 0 && value <= LAST_SECOND
}

/**
 * jsonwebtoken accepts a token without `exp`, and does not check `iat`.
 *
 * @param latest the latest second at which the token may have been issued
 */
export function timesFault({ exp, nbf, iat }: Token['claims'], latest: number): string | undefined {
  if (!isTime(exp)) return 'exp is missing or not a time'
  if (nbf !== undefined && !isTime(nbf)) return 'nbf is not a time'
  if (iat === undefined) return undefined
  if (!isTime(iat)) return 'iat is not a time'
  return iat > latest ? 'iat is in the future' : undefined
}

function namesFault({ sub, aud }: Token['claims']): string | undefined {
  if (typeof sub !== 'string' || sub === '' || !sub.isWellFormed()) return 'sub is missing or not a text'
  if (Array.isArray(aud) && !aud.every((audience) => typeof audience === 'string')) return 'aud contains a non-text'
  return undefined
}
