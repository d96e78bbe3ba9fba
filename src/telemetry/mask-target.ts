// Hides secrets in a request target: tokens travel in queries (reset links, OAuth codes, signed URLs) and logs are
// read by more people than databases are. Every expression here is linear: clients choose what it runs on.

const MASK = '***'
/** Clears nearly every query in one pass: nothing in it could begin a secret's name. */
const SUSPICIOUS = /%|token|secret|passw|pwd|passphrase|cred|jwt|session|sig|auth|saml|key|code|pin|otp|sid|assertion/i
const SECRET_ANYWHERE =
  /token|secret|passw|pwd|passphrase|credential|jwt|session|signature|auth(?!ors?(?![a-z]))|saml|assertion|(?:api|access|private)key/i
/** Short words hide in others (`keyword`, `zipcode`): only as a word of their own, in snake, kebab or camel case. */
const SECRET_WORD = /(?:^|[^a-z])(?:key|code|sig|pin|otp|sid)(?![a-z])/i
const SECRET_CAMEL = /[a-z](?:Key|Code|Sig|Pin|Otp|Sid)(?![a-z])/
const JWT = /(?<![\w-])eyJ[\w-]{5,}\.[\w-]{5,}(?:\.[\w-]*)?/g
/** As long as a random token: longer than words, shorter than nothing worth hiding. */
const TOKEN_LENGTH = 32

/** The path and its query as the access log shows them; `query` begins with `?` or is empty. */
export function maskTarget(path: string, query: string): string {
  const shown = path.includes('eyJ') ? path.replace(JWT, MASK) : path
  return query === '' ? shown : shown + maskQuery(query)
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
  return isSecretName(name) || looksLikeToken(pair.slice(equals + 1)) ? `${name}=${MASK}` : pair
}

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
