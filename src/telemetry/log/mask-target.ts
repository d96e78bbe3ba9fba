// Hides secrets in a request target: tokens travel in queries (reset links, OAuth codes, signed URLs) and logs are
// read by more people than databases are. Every expression here is linear: clients choose what it runs on.
import { holdsSecret, holdsToken, isRandomSegment, isSecretName, TOKEN_LENGTH } from '../../model/masking.ts'

const MASK = '***'
/** Clears nearly every query in one pass: nothing in it could begin a secret's name. */
const SUSPICIOUS =
  /%|:\/\/|token|secret|pass|pw|cred|jwt|session|sig|auth|saml|key|code|pin|otp|sid|tan|ticket|assertion/i
const JWT = /(?<![\w-])eyJ[\w-]{5,}\.[\w-]{5,}(?:\.[\w-]*)?/g

/** The path and its query as the access log shows them; `query` begins with `?` or is empty. */
export function maskTarget(path: string, query: string): string {
  const shown = maskPath(path)
  return query === '' ? shown : shown + maskQuery(query)
}

/** JWTs, segments that look like random tokens, and path parameters with secret names (`;jsessionid=`). */
function maskPath(path: string): string {
  let shown = path.includes('eyJ') ? path.replace(JWT, MASK) : path
  if (shown.includes(';') || shown.includes('%3B') || shown.includes('%3b'))
    shown = shown.replace(PARAMETER, maskParameter)
  return shown.length > TOKEN_LENGTH ? shown.replace(LONG_SEGMENT, maskSegment) : shown
}

const PARAMETER = /(;|%3B)([^=;/%]{1,64})=[^;/]*/gi
const LONG_SEGMENT = /(?<=\/)[\w-]{32,}(?=[/;]|$)/g

function maskParameter(whole: string, separator: string, name: string): string {
  return isSecretName(name) ? `${separator}${name}=${MASK}` : whole
}

function maskSegment(segment: string): string {
  return isRandomSegment(segment) ? MASK : segment
}

/** Values of secret names, and values that look like tokens whatever their name, become `***`. */
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
