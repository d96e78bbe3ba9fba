// Identifies the caller by its token. A valid token is accepted however often other callers of its network have failed.
import { bearerToken } from '../../auth/bearer-token.ts'
import { TokenRejection } from '../../auth/token-rejection.ts'
import { BUILT_IN_ACTORS } from '../../model/built-in-actors.ts'
import type { HeaderList } from '../../model/request-head.ts'
import { ApiRefusal, retryAfter } from '../http/problem.ts'
import type { TokenCheck } from './admin-token.ts'
import { TOKEN_INVALID, TOKEN_REQUIRED } from './challenges.ts'
import { Guesses } from './guesses.ts'
import { SignInFailures } from './sign-in-failures.ts'
import type { Actor, VerifyJwt } from './verify-jwt.ts'

/** The actor that the audit log names for the gateway's own token. */
export const TOKEN_BEARER: Actor = { name: BUILT_IN_ACTORS.adminToken, role: 'admin', expiresAt: undefined }

/** @param isGone whether the caller has disconnected: its token is then not checked */
export type SignIn = (address: string, rawHeaders: HeaderList, isGone?: () => boolean) => Promise<Actor | ApiRefusal>

type SignInOptions = {
  /** Undefined if only signed tokens are accepted. */
  readonly isToken: TokenCheck | undefined
  readonly verifyJwt: VerifyJwt | undefined
  readonly now: () => number
}

export function createSignIn({ isToken, verifyJwt, now }: SignInOptions): SignIn {
  const failures = new SignInFailures(now)
  const guesses = verifyJwt && new Guesses(verifyJwt, now)

  return async (address, rawHeaders, isGone) => {
    const token = readCredentials(rawHeaders)
    const result = typeof token === 'string' ? await actorOf(address, token, isGone) : token
    if (!(result instanceof ApiRefusal) || result.status !== 401) return result
    const waitMs = failures.count(address)
    return waitMs > 0 ? tooMany(waitMs, result) : result
  }

  /** The gateway's own token has no limit of attempts: it is too long to be guessed, and cheap to compare. */
  async function actorOf(address: string, token: string, isGone?: () => boolean): Promise<Actor | ApiRefusal> {
    if (await isToken?.(token)) return TOKEN_BEARER
    return guesses === undefined ? WRONG_TOKEN : guesses.verify(address, token, isGone)
  }
}

const WRONG_TOKEN = new ApiRefusal('invalid-token', undefined, {
  why: 'the token is not the gateway’s',
  headers: TOKEN_INVALID,
})

/** Reads the token of the Authorization field; refuses a request without one. */
export function readCredentials(rawHeaders: HeaderList): string | ApiRefusal {
  const token = bearerToken(rawHeaders)
  if (token instanceof TokenRejection) {
    return new ApiRefusal('unauthenticated', undefined, { why: token.detail, headers: TOKEN_REQUIRED })
  }
  if (token !== undefined && VISIBLE_ASCII.test(token)) return token
  const detail = 'send the token in the header: Authorization: Bearer TOKEN'
  return new ApiRefusal('unauthenticated', detail, { why: 'no token', headers: TOKEN_REQUIRED })
}

const VISIBLE_ASCII = /^[\x21-\x7e]+$/

function tooMany(waitMs: number, { why }: ApiRefusal): ApiRefusal {
  return new ApiRefusal('too-many-failures', undefined, {
    why: `${why}; too many failures`,
    ...retryAfter(waitMs / 1000),
  })
}
