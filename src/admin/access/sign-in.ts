// Identifies the caller by its token. A valid token is accepted however often others have failed, also others of its network.
import { BUILT_IN_ACTORS } from '../../model/built-in-actors.ts'
import { Refusal, retryAfter } from '../http/problem.ts'
import type { IsToken } from './admin-token.ts'
import { Failures } from './failures.ts'
import { Guesses } from './guesses.ts'
import type { Actor, VerifyJwt } from './verify-jwt.ts'

/** As whom the bearer of the gateway's own token is on record. */
export const TOKEN_BEARER: Actor = { name: BUILT_IN_ACTORS.adminToken, role: 'admin', expiresAt: undefined }

/** @param isGone whether the caller has left: its token is not checked any more */
export type SignIn = (
  address: string,
  rawHeaders: readonly string[],
  isGone?: () => boolean,
) => Promise<Actor | Refusal>

export type SignInOptions = {
  /** Undefined where only signed tokens are taken. */
  readonly isToken: IsToken | undefined
  readonly verifyJwt: VerifyJwt | undefined
  readonly now: () => number
}

export function createSignIn({ isToken, verifyJwt, now }: SignInOptions): SignIn {
  const failures = new Failures(now)
  const guesses = verifyJwt && new Guesses(verifyJwt, now)

  return async (address, rawHeaders, isGone) => {
    const token = bearerToken(rawHeaders)
    const found = typeof token === 'string' ? await bearerOf(address, token, isGone) : token
    if (!(found instanceof Refusal) || found.status !== 401) return found
    const waitMs = failures.count(address)
    return waitMs > 0 ? tooMany(waitMs, found) : found
  }

  /** The gateway's own token cannot be guessed at any pace, and costs next to nothing to compare: no limit stands before it. */
  async function bearerOf(address: string, token: string, isGone?: () => boolean): Promise<Actor | Refusal> {
    if (await isToken?.(token)) return TOKEN_BEARER
    return guesses === undefined ? WRONG : guesses.look(address, token, isGone)
  }
}

const CHALLENGE = { 'WWW-Authenticate': 'Bearer' } as const
export const INVALID = { 'WWW-Authenticate': 'Bearer error="invalid_token"' } as const
const WRONG = new Refusal('invalid-token', undefined, { why: 'the token is not the gateway’s', headers: INVALID })

/** The one place for a token is the Authorization field, which may come once (RFC 9110 section 5.3). */
export function bearerToken(rawHeaders: readonly string[]): string | Refusal {
  const fields = rawHeaders.filter((_, i) => i % 2 === 1 && rawHeaders[i - 1]?.toLowerCase() === 'authorization')
  if (fields.length > 1)
    return new Refusal('unauthenticated', undefined, { why: 'two Authorization fields', headers: CHALLENGE })
  const [, token] = /^bearer +([\x21-\x7e]+)$/i.exec(fields[0] ?? '') ?? []
  const detail = 'say it in the header: Authorization: Bearer …'
  return token ?? new Refusal('unauthenticated', detail, { why: 'no token', headers: CHALLENGE })
}

function tooMany(waitMs: number, { why }: Refusal): Refusal {
  return new Refusal('too-many-failures', undefined, { why: `${why}; too many failures`, ...retryAfter(waitMs / 1000) })
}
