// Parses a token strictly: a token that two parsers could read differently is rejected.
import { hasDuplicateMembers } from './duplicate-members.ts'
import { invalidToken, type TokenRejection } from './token-rejection.ts'

/** A JWS in compact form (RFC 7515 section 7.1) with a claims set (RFC 7519), not verified. */
export type Token = {
  readonly text: string
  readonly alg: string
  /** The name of the key. The client chooses it, so it is used for a lookup only. */
  readonly kid: string | undefined
  readonly claims: Readonly<Record<string, unknown>>
}

/** A head with such a token stays below the default of `limits.headerBytes`. */
const MOST_TOKEN_BYTES = 8192
const LONGEST_KID = 256

/**
 * The accepted values of `typ` (RFC 8725 section 3.11): access tokens (RFC 9068) and plain JWTs. Other tokens of the same
 * issuer and key, such as logout tokens, do not authorize a request.
 */
const TYPES: ReadonlySet<string> = new Set(['jwt', 'application/jwt', 'at+jwt', 'application/at+jwt'])

export function readToken(text: string): Token | TokenRejection {
  const token = parse(text)
  return typeof token === 'string' ? invalidToken(token) : token
}

/** @returns the token, or its fault without any of its content */
function parse(text: string): Token | string {
  if (text.length > MOST_TOKEN_BYTES) return `the token has ${text.length} bytes`
  const segments = text.split('.')
  if (segments.length !== 3) return `the token has ${segments.length} segments`
  const [first, second, third] = segments as [string, string, string]
  const header = readObject(first)
  if (typeof header === 'string') return `the token's header ${header}`
  const claims = readObject(second)
  if (typeof claims === 'string') return `the token's payload ${claims}`
  if (decoded(third) === undefined) return `the token's signature is not base64url`

  const { alg, kid, typ } = header
  if (typeof alg !== 'string') return 'the token has no algorithm'
  // RFC 7515 section 4.1.11: an extension that the reader does not know. RFC 7797: `b64` changes the payload.
  if (Object.hasOwn(header, 'crit') || Object.hasOwn(header, 'b64')) return 'the token has crit or b64'
  if (Object.hasOwn(header, 'cty')) return 'the token contains another token'
  if (typ !== undefined && !isKnownType(typ)) return 'the token is of another type'
  if (kid !== undefined && (typeof kid !== 'string' || kid.length > LONGEST_KID))
    return 'the token’s kid is not a text of at most 256 characters'
  return { text, alg, kid, claims }
}

function isKnownType(typ: unknown): boolean {
  return typeof typ === 'string' && TYPES.has(typ.toLowerCase())
}

function readObject(segment: string): Record<string, unknown> | string {
  const bytes = decoded(segment)
  if (bytes === undefined) return 'is not base64url'
  try {
    const json = UTF8.decode(bytes)
    const value: unknown = JSON.parse(json)
    if (typeof value !== 'object' || value === null || Array.isArray(value)) return 'is not an object'
    // RFC 7519 section 4: one parser uses the first of two members with the same name, another the last.
    return hasDuplicateMembers(json) ? 'contains a name twice' : (value as Record<string, unknown>)
  } catch {
    return 'is not JSON'
  }
}

const UTF8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

/**
 * Bytes of base64url without padding (RFC 7515 section 2); undefined for any other text. Node ignores invalid characters,
 * so the decoded bytes must encode to the same text again.
 */
function decoded(segment: string): Buffer | undefined {
  const bytes = Buffer.from(segment, 'base64url')
  return segment !== '' && bytes.toString('base64url') === segment ? bytes : undefined
}
