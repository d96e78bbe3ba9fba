// Whether a signed token holds, and who it says is there: signature, issuer, audience, times, role.
import { createPublicKey, type KeyObject } from 'node:crypto'
import jwt from 'jsonwebtoken'
import { ALGORITHMS, type Algorithm, type KeySource } from '../../model/auth.ts'
import { isBuiltInActor } from '../../model/built-in-actors.ts'
import { ROLES, type Role } from '../../model/shared-state.ts'
import { Refusal, retryAfter } from '../http/problem.ts'
import { parseStrictly } from '../http/strict-json.ts'

/** What a token must be to be let in. */
export type JwtPolicy = {
  readonly issuer: string
  readonly audience: string
  /** None with a shared secret: a key that everybody may know verifies, and signs nothing. */
  readonly algorithms: readonly Algorithm[]
  readonly key: Exclude<KeySource, { readonly kind: 'secret' }>
  /** The claim that says viewer, operator or admin; of a list the highest counts. */
  readonly roleClaim: string
}

/** A key of an issuer. `unknown`: there is none by that name. `unreachable`: no set of keys was ever read. */
export type FindKey = (uri: string, kid: string | undefined) => FoundKey | Promise<FoundKey>
type FoundKey = TokenKey | 'unknown' | 'unreachable'
/** `alg` is the one algorithm that the set says the key is for. */
type TokenKey = { readonly key: KeyObject; readonly alg: string | undefined }

/** Who asks, and what they may do. */
export type Actor = {
  readonly name: string
  readonly role: Role
  /** Milliseconds since 1970 from which the token holds no longer; undefined where it has no end. */
  readonly expiresAt: number | undefined
}

/** Calls the check of a signature when it may cost its time; may refuse instead. */
export type TakeTurn = (check: () => Actor | Refusal) => Promise<Actor | Refusal>

/** Without `takeTurn` the signature is checked at once. */
export type VerifyJwt = (token: string, takeTurn?: TakeTurn) => Promise<Actor | Refusal>

const LONGEST_TOKEN = 8192
const LONGEST_NAME = 200
/** How far the issuer's clock may be off. */
const TOLERANCE_SECONDS = 30

export function createVerifyJwt(policy: JwtPolicy, findKey: FindKey, wallTime: () => number): VerifyJwt {
  const own = policy.key.kind === 'jwks' ? undefined : { key: createPublicKey(policy.key.pem), alg: undefined }

  return async (token, takeTurn = checkNow) => {
    const head = readHead(token)
    if (typeof head === 'string') return invalid(head)
    // Before any key is looked for, and any signature checked: junk costs no fetch and no check.
    if (!policy.algorithms.some((name) => name === head.alg)) return invalid('its algorithm is not one that is taken')
    const mismatch = claimsMismatch(head.claims)
    if (mismatch !== undefined) return mismatch
    const key = own ?? (policy.key.kind === 'jwks' ? await findKey(policy.key.uri, head.kid) : 'unknown')
    // The token may be as good as any: that nobody can tell is not its bearer's doing.
    if (key === 'unreachable') return new Refusal('keys-unreachable', undefined, retryAfter(5))
    if (key === 'unknown') return invalid('there is no key of its name')
    const algorithms = algorithmsFor(key, policy.algorithms)
    if (!algorithms.some((name) => name === head.alg)) return invalid('its key is not for an algorithm that is taken')
    return takeTurn(() => judge(token, key, algorithms))
  }

  /** What the claims say already shows that the token is refused, whatever its signature. */
  function claimsMismatch({ iss, aud, exp, iat }: Readonly<Record<string, unknown>>): Refusal | undefined {
    const now = wallTime() / 1000
    if (typeof exp !== 'number' || !Number.isFinite(exp)) return invalid('it has no exp')
    // First of all: the answer names the time, which the caller can read in the token, and nothing of the other checks.
    if (exp <= now - TOLERANCE_SECONDS) return invalid('it has expired', 'it has expired: get a new one')
    if (iat !== undefined && !(typeof iat === 'number' && iat <= now + TOLERANCE_SECONDS))
      return invalid('its iat is in the future')
    if (iss !== policy.issuer) return invalid('its issuer is another')
    const audiences: readonly unknown[] = Array.isArray(aud) ? aud : [aud]
    return audiences.includes(policy.audience) ? undefined : invalid('its audience is another')
  }

  function judge(token: string, key: TokenKey, algorithms: Algorithm[]): Actor | Refusal {
    const now = wallTime() / 1000
    try {
      const claims = jwt.verify(token, key.key, {
        algorithms,
        issuer: policy.issuer,
        audience: policy.audience,
        clockTolerance: TOLERANCE_SECONDS,
        clockTimestamp: now,
      })
      return typeof claims === 'string' ? invalid('its payload is no object') : actorOf(claims)
    } catch (error) {
      // It expired while it waited for its turn.
      if (error instanceof jwt.TokenExpiredError) return invalid('it has expired', 'it has expired: get a new one')
      return invalid(error instanceof jwt.JsonWebTokenError ? error.message : 'it cannot be read')
    }
  }

  function actorOf(claims: jwt.JwtPayload): Actor | Refusal {
    // jsonwebtoken accepts a token without exp; `claimsMismatch` does not.
    const { sub, exp = 0 } = claims
    if (typeof sub !== 'string' || !isName(sub)) return invalid('its sub is no name')
    const role = highestOf(Object.hasOwn(claims, policy.roleClaim) ? claims[policy.roleClaim] : undefined)
    if (role === undefined) {
      const detail = `the token’s claim "${policy.roleClaim}" says none of ${ROLES.join(', ')}`
      return new Refusal('forbidden', detail, { why: `${sub} has no role` })
    }
    return { name: sub, role, expiresAt: (exp + TOLERANCE_SECONDS) * 1000 }
  }
}

const checkNow: TakeTurn = async (check) => check()

/** RFC 8725 section 3.11: access tokens, and those that do not say what they are for. */
const TYPES: readonly unknown[] = ['jwt', 'application/jwt', 'at+jwt', 'application/at+jwt', undefined]

type TokenHead = {
  readonly alg: string
  readonly kid: string | undefined
  /** Not verified. */
  readonly claims: Readonly<Record<string, unknown>>
}

/** What the token says of itself, or what is wrong with it. */
function readHead(token: string): TokenHead | string {
  if (token.length > LONGEST_TOKEN) return `it has ${token.length} characters`
  const [header, payload, signature, ...more] = token.split('.').map(decoded)
  if (header === undefined || payload === undefined || signature === undefined || more.length > 0) {
    return 'it is no token that was made here, and none of an issuer'
  }
  const said = readObject(header)
  const claims = readObject(payload)
  if (said === undefined || claims === undefined) return 'its header or its payload is no object that all read alike'
  const { alg, kid, typ } = said
  if (typeof alg !== 'string') return 'it names no algorithm'
  // RFC 7515 section 4.1.11: what must be understood is not, here.
  if (Object.hasOwn(said, 'crit') || Object.hasOwn(said, 'b64')) return 'it has crit or b64'
  if (!TYPES.includes(typeof typ === 'string' ? typ.toLowerCase() : typ)) return 'it is of another type'
  if (kid !== undefined && (typeof kid !== 'string' || kid.length > LONGEST_NAME)) return 'its kid is no name'
  return { alg, kid, claims }
}

/**
 * Bytes of base64url without padding (RFC 7515 section 2); undefined for anything else. Node decodes whatever it can make
 * something of, so what it decoded must encode to the same text again.
 */
function decoded(segment: string): Buffer | undefined {
  const bytes = Buffer.from(segment, 'base64url')
  return segment !== '' && bytes.toString('base64url') === segment ? bytes : undefined
}

function readObject(bytes: Buffer): Readonly<Record<string, unknown>> | undefined {
  const read = parseStrictly(bytes)
  const value = 'value' in read ? read.value : undefined
  const isObject = typeof value === 'object' && value !== null && !Array.isArray(value)
  return isObject ? (value as Record<string, unknown>) : undefined
}

/**
 * The algorithms that a key is for: those that fit its type and what its set says, of one family (RFC 8725 section 3.1).
 */
function algorithmsFor({ key, alg }: TokenKey, taken: readonly Algorithm[]): Algorithm[] {
  const type = key.asymmetricKeyType ?? key.type
  const curve = key.asymmetricKeyDetails?.namedCurve
  const fitting = taken.filter((name) => {
    const { keyTypes, curve: asked } = ALGORITHMS[name]
    const fits = (keyTypes as readonly string[]).includes(type) && (asked === undefined || asked === curve)
    return fits && (alg === undefined || alg === name)
  })
  const [first] = fitting
  return first === undefined ? [] : fitting.filter((name) => ALGORITHMS[name].family === ALGORITHMS[first].family)
}

/** The audit log shows it, so it must not read like a built-in actor. */
function isName(sub: string): boolean {
  if (isBuiltInActor(sub)) return false
  return sub !== '' && sub.length <= LONGEST_NAME && sub.isWellFormed() && !/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/u.test(sub)
}

function highestOf(claim: unknown): Role | undefined {
  const said: readonly unknown[] = Array.isArray(claim) ? claim : [claim]
  return ROLES.findLast((role) => said.includes(role))
}

/** What was wrong is for the audit log: who is told which check failed is told how far they came. */
function invalid(why: string, detail?: string): Refusal {
  return new Refusal('invalid-token', detail, {
    why: `the token is not valid: ${why}`,
    headers: { 'WWW-Authenticate': 'Bearer error="invalid_token"' },
  })
}
