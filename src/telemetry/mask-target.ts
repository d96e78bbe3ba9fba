// Hides secrets in a request target: tokens travel in queries (reset links, OAuth codes, signed URLs) and logs are
// read by more people than databases are. Every expression here is linear: clients choose what it runs on.

const MASK = '***'
/** Clears nearly every query in one pass: nothing in it could begin a secret's name. */
const SUSPICIOUS =
  /%|:\/\/|token|secret|pass|pw|cred|jwt|session|sig|auth|saml|key|code|pin|otp|sid|tan|ticket|assertion/i
const SECRET_ANYWHERE =
  /token|secret|passw|pwd|passphrase|credential|jwt|session|signature|auth(?!ors?(?![a-z]))|saml|assertion|(?:api|access|private)key/i
/** Short words hide in others (`keyword`, `zipcode`): only as a word of their own, in snake, kebab or camel case. */
const SECRET_WORD = /(?:^|[^a-z])(?:key|code|sig|pin|otp|sid|pass|pw|passcode|tan|ticket)(?![a-z])/i
const SECRET_CAMEL = /[a-z](?:Key|Code|Sig|Pin|Otp|Sid|Pass|Pw|Passcode|Tan|Ticket)(?![a-z])/
const JWT = /(?<![\w-])eyJ[\w-]{5,}\.[\w-]{5,}(?:\.[\w-]*)?/g
/** As long as a random token: longer than words, shorter than nothing worth hiding. */
const TOKEN_LENGTH = 32

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

/** Not a slug, a UUID or a number: those are needed in the log. A file name with an extension is no such segment at all. */
function isRandomSegment(segment: string): boolean {
  if (/^\d+$/.test(segment)) return false
  if (/^[\da-f]+$/i.test(segment)) return true
  const isMixed = /\d/.test(segment) && /[a-z]/.test(segment) && /[A-Z]/.test(segment)
  return isMixed && /[A-Za-z\d]{16}/.test(segment)
}

/** Values of secret names, and values that look like tokens whatever their name, become `***`. */
export function maskQuery(query: string): string {
  if (query.length <= TOKEN_LENGTH && !SUSPICIOUS.test(query)) return query
  return `?${query.slice(1).split('&').map(maskPair).join('&')}`
}

function maskPair(pair: string): string {
  const equals = pair.indexOf('=')
  if (equals === -1) return looksLikeToken(pair) ? MASK : pair
  const name = pair.slice(0, equals)
  const value = pair.slice(equals + 1)
  return isSecretName(name) || looksLikeToken(value) || holdsSecret(value) ? `${name}=${MASK}` : pair
}

/** A URL or a query inside a value, however often it is encoded: with a secret name, or with a user and a password. */
function holdsSecret(value: string): boolean {
  let plain = value
  for (let i = 0; i < MOST_ENCODINGS && plain.includes('%'); i++) plain = decoded(plain)
  if (!plain.includes('=') && !plain.includes('://')) return false
  if (/:\/\/[^/?#@]*@/.test(plain)) return true
  return plain.split(/[?&;#]/).some((part) => part.includes('=') && isSecretName(part.slice(0, part.indexOf('='))))
}

const MOST_ENCODINGS = 3

function isSecretName(name: string): boolean {
  const plain = decoded(name)
  return SECRET_ANYWHERE.test(plain) || SECRET_WORD.test(plain) || SECRET_CAMEL.test(plain)
}

/** Whether the value holds a run of token characters, a digit among them, as long as a token. */
function looksLikeToken(value: string): boolean {
  if (value.length < TOKEN_LENGTH) return false
  const plain = decoded(value)
  let run = 0
  let hasDigit = false
  for (let i = 0; i < plain.length; i++) {
    const code = plain.charCodeAt(i)
    if (!isTokenCharacter(code)) {
      run = 0
      hasDigit = false
      continue
    }
    run++
    if (code >= 48 && code <= 57) hasDigit = true
    if (run >= TOKEN_LENGTH && hasDigit) return true
  }
  return false
}

/** Letters, digits and `+ - . / = _ ~`: base64, base64url, hexadecimal, JWT. */
function isTokenCharacter(code: number): boolean {
  return (
    (code >= 97 && code <= 122) ||
    (code >= 45 && code <= 57) ||
    (code >= 65 && code <= 90) ||
    code === 95 ||
    code === 126 ||
    code === 43 ||
    code === 61
  )
}

/** `to%6ben` is `token` to the application, so it is to us. */
function decoded(text: string): string {
  if (!text.includes('%')) return text
  try {
    return decodeURIComponent(text)
  } catch {
    return text
  }
}
