// Verifies a signed token (JWT) of a caller of the admin API, and reads its name and role.
import type { KeyLookup } from '../../auth/key-sets.ts'
import { readToken, type Token } from '../../auth/read-token.ts'
import { algorithmsFor, importKey, type StaticKeySource, type TokenKey } from '../../auth/token-key.ts'
import { TokenRejection } from '../../auth/token-rejection.ts'
import { type TokenRequirements, timesFault, verifySignature } from '../../auth/verify-signature.ts'
import type { Algorithm, KeySource } from '../../model/auth.ts'
import { isBuiltInActor } from '../../model/built-in-actors.ts'
import { ROLES, type Role } from '../../model/shared-state.ts'
import { ApiRefusal, retryAfter } from '../http/problem.ts'
import { TOKEN_INVALID } from './challenges.ts'

/** The requirements on a token. */
export type JwtPolicy = {
  readonly issuer: string
  readonly audience: string
  /** Asymmetric ones only: a holder of a shared secret could also sign tokens. */
  readonly algorithms: readonly Algorithm[]
  readonly key: Exclude<KeySource, { readonly kind: 'secret' }>
  /** The claim with the role: viewer, operator or admin. Of a list the highest role counts. */
  readonly roleClaim: string
}

/** Finds a key in the key set of an issuer. */
export type FindKey = (uri: string, kid: string | undefined) => KeyLookup | Promise<KeyLookup>

/** The caller and its role. */
export type Actor = {
  readonly name: string
  readonly role: Role
  /** Calendar milliseconds at which the token expires; undefined if it does not expire. */
  readonly expiresAt: number | undefined
}

/** Runs the check of a signature when it is the caller's turn, or refuses the caller. */
type TakeTurn = (check: () => Actor | ApiRefusal) => Promise<Actor | ApiRefusal>

/** Without `takeTurn` the signature is checked at once. */
export type VerifyJwt = (token: string, takeTurn?: TakeTurn) => Promise<Actor | ApiRefusal>

const LONGEST_NAME = 200
/** The accepted difference between the issuer's clock and ours. */
const TOLERANCE_SECONDS = 30

export function createVerifyJwt(policy: JwtPolicy, findKey: FindKey, wallTime: () => number): VerifyJwt {
  const requirements: TokenRequirements = {
    issuer: policy.issuer,
    audience: [policy.audience],
    algorithms: policy.algorithms,
    clockToleranceSeconds: TOLERANCE_SECONDS,
  }
  const lookUp = keyLookup(policy.key, findKey)

  return async (text, takeTurn = checkNow) => {
    const token = readToken(text)
    if (token instanceof TokenRejection) return invalid(token.detail)
    // Before any key lookup and any signature check: a made-up token causes neither.
    if (!policy.algorithms.some((name) => name === token.alg)) return invalid('its algorithm is not accepted')
    const mismatch = claimsMismatch(token.claims, requirements, wallTime())
    if (mismatch !== undefined) return mismatch
    const key = await lookUp(token.kid)
    // The token may be valid: the caller can repeat the request.
    if (key === 'unreachable') return new ApiRefusal('keys-unreachable', undefined, retryAfter(5))
    if (key === 'unknown') return invalid('there is no key of its name')
    const algorithms = algorithmsFor(key, policy.algorithms)
    if (!algorithms.some((name) => name === token.alg)) return invalid('its key does not fit an accepted algorithm')
    return takeTurn(() => judge(token, key, requirements, policy.roleClaim, wallTime()))
  }
}

function keyLookup(source: JwtPolicy['key'], findKey: FindKey): (kid: string | undefined) => ReturnType<FindKey> {
  if (source.kind === 'jwks') return (kid) => findKey(source.uri, kid)
  const key = importKey(source satisfies StaticKeySource)
  return () => key
}

const checkNow: TakeTurn = async (check) => check()

/** The mismatch that the claims show before the signature is checked. */
function claimsMismatch(
  claims: Token['claims'],
  { issuer, audience, clockToleranceSeconds }: TokenRequirements,
  now: number,
): ApiRefusal | undefined {
  const { iss, aud } = claims
  const seconds = now / 1000
  // First: the answer names this check, and must not reveal the result of another.
  if (isExpired(claims, seconds - clockToleranceSeconds)) return EXPIRED
  const fault = timesFault(claims, seconds + clockToleranceSeconds)
  if (fault !== undefined) return invalid(fault)
  if (iss !== issuer) return invalid('it has another issuer')
  const audiences: readonly unknown[] = Array.isArray(aud) ? aud : [aud]
  return audience.some((name) => audiences.includes(name)) ? undefined : invalid('it has another audience')
}

function isExpired({ exp }: Token['claims'], earliest: number): boolean {
  return typeof exp === 'number' && exp <= earliest
}

function judge(
  token: Token,
  key: TokenKey,
  requirements: TokenRequirements,
  roleClaim: string,
  now: number,
): Actor | ApiRefusal {
  // It may have expired while it waited for its turn.
  if (isExpired(token.claims, now / 1000 - TOLERANCE_SECONDS)) return EXPIRED
  const fault = verifySignature(token, key, requirements, now)
  return fault === undefined ? actorOf(token.claims, roleClaim) : invalid(fault)
}

function actorOf(claims: Token['claims'], roleClaim: string): Actor | ApiRefusal {
  const { sub, exp } = claims
  if (typeof sub !== 'string' || !isName(sub)) return invalid('its sub is not a valid name')
  const role = highestRole(Object.hasOwn(claims, roleClaim) ? claims[roleClaim] : undefined)
  if (role === undefined) {
    const detail = `the token’s claim "${roleClaim}" contains none of ${ROLES.join(', ')}`
    return new ApiRefusal('forbidden', detail, { why: `${sub} has no role` })
  }
  return { name: sub, role, expiresAt: ((exp as number) + TOLERANCE_SECONDS) * 1000 }
}

/** The audit log shows the name, so it must not resemble a built-in actor or control a terminal. */
function isName(sub: string): boolean {
  if (isBuiltInActor(sub)) return false
  return sub !== '' && sub.length <= LONGEST_NAME && sub.isWellFormed() && !/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/u.test(sub)
}

function highestRole(claim: unknown): Role | undefined {
  const names: readonly unknown[] = Array.isArray(claim) ? claim : [claim]
  return ROLES.findLast((role) => names.includes(role))
}

/** The reason is for the audit log: a caller that learns which check failed could improve a forged token. */
function invalid(why: string, detail?: string): ApiRefusal {
  return new ApiRefusal('invalid-token', detail, {
    why: `the token is not valid: ${why}`,
    headers: TOKEN_INVALID,
  })
}

/** The caller can read this time in its token. */
const EXPIRED = invalid('it has expired', 'it has expired: get a new one')
