// Masks secrets in a request target: queries contain tokens (reset links, OAuth codes, signed URLs), and more people read
// logs than databases. Every regular expression here is linear, since clients choose its input.
import { holdsSecret, holdsToken, isRandomSegment, isSecretName, TOKEN_LENGTH } from '../../model/masking.ts'

const MASK = '***'
/** Most queries do not match, and need no further check: they contain no part of a secret's name. */
const SUSPICIOUS =
  /%|:\/\/|token|secret|pass|pw|cred|jwt|session|sig|auth|saml|key|code|pin|otp|sid|tan|ticket|assertion/i
const JWT = /(?<![\w-])eyJ[\w-]{5,}\.[\w-]{5,}(?:\.[\w-]*)?/g

/** The path and its query as the access log shows them; `query` begins with `?` or is empty. */
export function maskTarget(path: string, query: string): string {
  const maskedPath = maskPath(path)
  return query === '' ? maskedPath : maskedPath + maskQuery(query)
}

/** JWTs, segments that look like random tokens, and path parameters with secret names (`;jsessionid=`). */
function maskPath(path: string): string {
  let masked = path.includes('eyJ') ? path.replace(JWT, MASK) : path
  if (masked.includes(';') || masked.includes('%3B') || masked.includes('%3b'))
    masked = masked.replace(PARAMETER, maskParameter)
  return masked.length > TOKEN_LENGTH ? masked.replace(LONG_SEGMENT, maskSegment) : masked
}

const PARAMETER = /(;|%3B)([^=;/%]{1,64})=[^;/]*/gi
const LONG_SEGMENT = /(?<=\/)[\w-]{32,}(?=[/;]|$)/g

function maskParameter(whole: string, separator: string, name: string): string {
  return isSecretName(name) ? `${separator}${name}=${MASK}` : whole
}

function maskSegment(segment: string): string {
  return isRandomSegment(segment) ? MASK : segment
}

/** Values of secret names, and values that look like tokens, become `***`. */
export function maskQuery(query: string): string {
  if (query.length <= TOKEN_LENGTH && !SUSPICIOUS.test(query)) return query
  return `?${query.slice(1).split('&').map(maskPair).join('&')}`
}

function maskPair(pair: string): string {
  const equals = pair.indexOf('=')
  if (equals === -1) return holdsToken(pair) ? MASK : pair
  const name = pair.slice(0, equals)
  const value = pair.slice(equals + 1)
  return isSecretName(name) || holdsToken(value) || holdsSecret(value) ? `${name}=${MASK}` : pair
}
