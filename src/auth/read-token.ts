// A token as it is written, read at its strictest: what two readers could read as two things is not read at all.
import { hasDuplicateMembers } from './duplicate-members.ts'

/** A JWS in compact form (RFC 7515 section 7.1) with a claims set (RFC 7519). Nothing of it is verified yet. */
export type Token = {
  readonly text: string
  readonly alg: string
  /** Names the key: what the client says, so to be looked up and nothing else. */
  readonly kid: string | undefined
  readonly claims: Readonly<Record<string, unknown>>
}

/** Beside it, a head has room for the rest within the default `limits.headerBytes`. */
export const MOST_TOKEN_BYTES = 8192
const LONGEST_KID = 256

/**
 * What the token is for, where it says so (RFC 8725 section 3.11): access tokens (RFC 9068) and those that do not say.
 * Others of the same issuer and key (a logout token, a security event) are no leave to come in.
 */
const TYPES: ReadonlySet<string> = new Set(['jwt', 'application/jwt', 'at+jwt', 'application/at+jwt'])

/** Reads a token, or says what is wrong with it: for the log, and without a word of the token's own. */
export function readToken(text: string): Token | string {
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
  if (typeof alg !== 'string') return 'the token names no algorithm'
  // RFC 7515 section 4.1.11: what must be understood is not, here; RFC 7797: with b64 the payload is another.
  if (Object.hasOwn(header, 'crit') || Object.hasOwn(header, 'b64')) return 'the token has crit or b64'
  if (Object.hasOwn(header, 'cty')) return 'the token holds another token'
  if (typ !== undefined && !isKnownType(typ)) return 'the token is of another type'
  if (kid !== undefined && (typeof kid !== 'string' || kid.length > LONGEST_KID)) return 'the token’s kid is not a name'
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
    // RFC 7519 section 4: who takes the first and who takes the last would see two tokens.
    return hasDuplicateMembers(json) ? 'says a name twice' : (value as Record<string, unknown>)
  } catch {
    return 'is not JSON'
  }
}

const UTF8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

/**
 * Bytes of base64url without padding (RFC 7515 section 2); undefined for anything else. Node decodes whatever it can make
 * something of, so what it decoded must encode to the same text again.
 */
function decoded(segment: string): Buffer | undefined {
  const bytes = Buffer.from(segment, 'base64url')
  return segment !== '' && bytes.toString('base64url') === segment ? bytes : undefined
}
