// Whether a token holds: signature, issuer, audience, times, scopes. Pure but for the key; waits for nothing.
import type { KeyObject } from 'node:crypto'
import jwt from 'jsonwebtoken'
import { ALGORITHMS, type Algorithm, type AuthPolicy, USER_ID_HEADER } from '../model/auth.ts'
import type { HeaderList } from '../model/request-head.ts'
import { Refusal } from '../proxy/policy/refusal.ts'
import type { Token } from './read-token.ts'

/** A key that tokens are verified with. */
export type TokenKey = {
  readonly key: KeyObject
  /** The one algorithm that a JWK says it is for (RFC 7517 section 4.4); undefined where it does not say. */
  readonly alg: string | undefined
}

/** What a token that holds says of who asks. */
export type VerifiedToken = {
  /** The token's `sub`. */
  readonly userId: string
  /** What either side is told, as `[name, value, ...]`: `X-User-Id` first, then the claims that are passed on. */
  readonly fields: HeaderList
  /** Calendar milliseconds from which the token holds no longer. */
  readonly expiresAt: number
}

/**
 * RFC 6750 section 3: `error` where a token came, and where none did the realm alone, as there must be something. What was wrong with it is for the log: a
 * client that is told which check failed is told how far it came.
 */
const CHALLENGES = {
  none: 'Bearer realm="gateway"',
  invalid: 'Bearer error="invalid_token"',
  scope: 'Bearer error="insufficient_scope"',
} as const

export const noToken = (): Refusal => new Refusal('unauthenticated', 'no token', CHALLENGES.none)

export const invalidToken = (detail: string): Refusal => new Refusal('unauthenticated', detail, CHALLENGES.invalid)

/**
 * Verifies a token under a policy.
 *
 * @param now calendar milliseconds
 */
export function verifyToken(token: Token, policy: AuthPolicy, key: TokenKey, now: number): VerifiedToken | Refusal {
  try {
    jwt.verify(token.text, key.key, {
      algorithms: algorithmsFor(key, policy.algorithms),
      issuer: policy.issuer,
      audience: policy.audience as [string, ...string[]],
      clockTolerance: policy.clockToleranceSeconds,
      clockTimestamp: now / 1000,
    })
  } catch (error) {
    return invalidToken(wordsFor(error))
  }
  const { claims } = token
  const trouble = troubleWithTimes(claims, now / 1000 + policy.clockToleranceSeconds) ?? troubleWithNames(claims)
  if (trouble !== undefined) return invalidToken(trouble)
  const scopes = scopesOf(claims)
  if (!policy.requiredScopes.every((scope) => scopes.includes(scope))) {
    return new Refusal('forbidden', 'the token lacks a scope', CHALLENGES.scope)
  }
  const userId = claims.sub as string
  return {
    userId,
    fields: [USER_ID_HEADER, fieldValue(userId), ...claimFields(claims, policy)],
    expiresAt: ((claims.exp as number) + policy.clockToleranceSeconds) * 1000,
  }
}

/**
 * The configured algorithms that a key is for: those that fit its type and its JWK, of one family. Where several would
 * do, the family that is configured first has it (RFC 8725 section 3.1).
 */
function algorithmsFor({ key, alg }: TokenKey, configured: readonly Algorithm[]): Algorithm[] {
  const type = key.asymmetricKeyType ?? key.type
  const curve = key.asymmetricKeyDetails?.namedCurve
  const fitting = configured.filter((name) => {
    const { keyTypes, curve: asked } = ALGORITHMS[name]
    const fits = (keyTypes as readonly string[]).includes(type) && (asked === undefined || asked === curve)
    return fits && (alg === undefined || alg === name)
  })
  const [first] = fitting
  return first === undefined ? [] : fitting.filter((name) => ALGORITHMS[name].family === ALGORITHMS[first].family)
}

/** jsonwebtoken's own sentences quote the configuration only; any other error comes of bytes that a client chose. */
function wordsFor(error: unknown): string {
  return error instanceof jwt.JsonWebTokenError ? error.message : 'the signature cannot be read'
}

/** RFC 7519 section 2: seconds, fractions allowed. `1e400` is Infinity, and a token for ever is none. */
const LAST_SECOND = 253_402_300_799 // 9999-12-31

function isTime(value: unknown): value is number {
  return typeof value === 'number' && value >= 0 && value <= LAST_SECOND
}

/** jsonwebtoken does without `exp`, and does not look at `iat`. */
function troubleWithTimes({ exp, nbf, iat }: Token['claims'], latest: number): string | undefined {
  if (!isTime(exp)) return 'exp is missing or no time'
  if (nbf !== undefined && !isTime(nbf)) return 'nbf is no time'
  if (iat === undefined) return undefined
  if (!isTime(iat)) return 'iat is no time'
  return iat > latest ? 'iat is in the future' : undefined
}

function troubleWithNames({ sub, aud }: Token['claims']): string | undefined {
  if (typeof sub !== 'string' || sub === '' || !sub.isWellFormed()) return 'sub is missing or no text'
  if (Array.isArray(aud) && !aud.every((one) => typeof one === 'string')) return 'aud has what is no text'
  return undefined
}

/** `scope`, one text of words (RFC 8693 section 4.2); `scp` at issuers that call it so; either may be a list. */
function scopesOf(claims: Token['claims']): readonly unknown[] {
  const written = claims.scope ?? claims.scp
  if (Array.isArray(written)) return written
  return typeof written === 'string' ? written.split(' ') : []
}

function claimFields(claims: Token['claims'], policy: AuthPolicy): string[] {
  return policy.claims.flatMap(({ claim, header }) => {
    const value = textOf(claims[claim])
    return value === undefined ? [] : [header, value]
  })
}

/** Texts, numbers and truths as they are, lists of them with commas between; nothing else has one way to be written. */
function textOf(value: unknown): string | undefined {
  if (!Array.isArray(value)) return scalar(value)
  const texts = value.map((one) => scalar(one)?.replaceAll(',', '%2C'))
  return texts.includes(undefined) ? undefined : texts.join(',')
}

function scalar(value: unknown): string | undefined {
  if (typeof value === 'string') return fieldValue(value)
  return typeof value === 'boolean' || typeof value === 'number' ? String(value) : undefined
}

/**
 * A text as a field value (RFC 9110 section 5.5): printable ASCII as it is, all else, `%` and spaces at either end
 * percent-encoded as UTF-8, so that two texts are never one value and no line can end early.
 */
function fieldValue(text: string): string {
  return text.toWellFormed().replace(/[^\x20-\x7e]+|%|^ +|(?<! ) +$/g, encodeURIComponent)
}
