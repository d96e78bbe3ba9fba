// The rules of masking: which names stand for a secret, and which values look like a token. The access log, examples, exports and
// error messages share them. Every expression runs in linear time, because clients choose its input.

const SECRET_ANYWHERE =
  /token|secret|passw|pwd|passphrase|credential|jwt|session|signature|auth(?!ors?(?![a-z]))|saml|assertion|(?:api|access|private)key/i
/** Short words are parts of other words (`keyword`, `zipcode`): they count only as separate words, in snake, kebab or camel case. */
const SECRET_WORD = /(?:^|[^a-z])(?:key|code|sig|pin|otp|sid|pass|pw|passcode|tan|ticket)(?![a-z])/i
const SECRET_CAMEL = /[a-z](?:Key|Code|Sig|Pin|Otp|Sid|Pass|Pw|Passcode|Tan|Ticket)(?![a-z])/

/** Whether the value of a parameter, field or member with this name is a secret. The name may be percent-encoded. */
export function isSecretName(name: string): boolean {
  const plain = decodePercent(name)
  return SECRET_ANYWHERE.test(plain) || SECRET_WORD.test(plain) || SECRET_CAMEL.test(plain)
}

/** Personal data whose values look like any other number or word. */
const PERSONAL = /^(?:cvv2?|cvc|ssn|iban|card_?number|e-?mail)$/i

/** Whether the name means personal data that examples do not show. */
export function isPersonalName(name: string): boolean {
  return PERSONAL.test(name)
}

const MOST_ENCODINGS = 3

/** Whether a value is or contains a URL or a query, however often encoded, with a secret name or with a user and a password. */
export function holdsSecret(value: string): boolean {
  let plain = value
  for (let i = 0; i < MOST_ENCODINGS && plain.includes('%'); i++) plain = decodePercent(plain)
  if (!plain.includes('=') && !plain.includes('://')) return false
  if (/:\/\/[^/?#@]*@/.test(plain)) return true
  return plain.split(/[?&;#]/).some((part) => part.includes('=') && isSecretName(part.slice(0, part.indexOf('='))))
}

/** The minimum length of a random token: words are shorter. In an example, shorter runs are suspicious as well. */
export const TOKEN_LENGTH = 32
const SUSPECT_LENGTH = 16

/** Whether a path segment looks random. Slugs, UUIDs and numbers do not: the access log shows them. */
export function isRandomSegment(segment: string): boolean {
  if (segment.length < TOKEN_LENGTH || /^\d+$/.test(segment)) return false
  if (/^[\da-f]+$/i.test(segment)) return true
  const isMixed = /\d/.test(segment) && /[a-z]/.test(segment) && /[A-Z]/.test(segment)
  return isMixed && /[A-Za-z\d]{16}/.test(segment)
}

/** Whether the value of a query contains a run of token characters with a digit, as long as a token. Numbers and paths do not count. */
export function holdsToken(value: string): boolean {
  if (value.length < TOKEN_LENGTH) return false
  for (const [run] of decodePercent(value).matchAll(TOKEN_RUN))
    if (run.length >= TOKEN_LENGTH && /\d/.test(run) && !isNumber(run) && !isAttributePath(run)) return true
  return false
}

/** The characters of base64, base64url, hexadecimal and JWT. */
const TOKEN_RUN = /[A-Za-z\d+\-./=_~]+/g

/**
 * Whether a run of characters in an example is masked: base64, base64url, hexadecimal, UUID, JWT. Words and paths of words have no
 * digits among their letters, or have separators. A doubtful run is masked.
 */
export function looksLikeToken(run: string): boolean {
  if (run.includes('eyJ')) return true
  if (isNumber(run) || isAttributePath(run)) return false
  return (
    run.split(/[/.=]/).some((part) => part.length >= SUSPECT_LENGTH && looksRandom(part)) ||
    (run.length >= TOKEN_LENGTH && looksRandom(run) && !isPath(run))
  )
}

/** A decimal number or a short integer, optionally with a name, an exponent or a unit: `lat=52.5e-7`. */
function isNumber(run: string): boolean {
  return /^(?:[A-Za-z_]{1,15}=)?[-+]?(?:\d{1,19}\.\d{1,30}|\d{1,15})(?:[eE][-+]?\d{1,3}|[a-z]{1,3})?$/.test(run)
}

/** `sort=order.items.shippingAddressLine2`: words in camel or snake case, with dots. */
function isAttributePath(run: string): boolean {
  return /^(?:[A-Za-z_]{1,15}=)?[A-Za-z][a-z]{2,}\d{0,2}(?:(?:[._][A-Z]?|[A-Z])[a-z]{2,}\d{0,2}|\.\d{1,3})*$/.test(run)
}

/** Whether digits and letters are mixed, other than as a number after a word; or cases, other than `inCamelCase`. */
function looksRandom(part: string): boolean {
  if (/^[\d.-]+$/.test(part)) return part.length >= TOKEN_LENGTH
  if (isAttributePath(part)) return false
  if (/^[0-9a-f-]+$/i.test(part)) return /\d/.test(part)
  // Letters and digits alternate several times, as in `3f9k2m`, but not in `product-2024-edition`.
  return mixesCases(part) || countTypeChanges(part) >= 4
}

function mixesCases(part: string): boolean {
  const capitals = part.replace(/[^A-Z]/g, '').length
  if (capitals === 0 || !/[a-z]/.test(part)) return false
  return /\d/.test(part) || /[A-Z][a-z](?=[A-Z])/.test(part) || (part.length >= 8 && capitals / part.length >= 0.3)
}

/** How often a digit follows a letter, or a letter follows a digit. */
function countTypeChanges(part: string): number {
  let changes = 0
  for (let i = 1; i < part.length; i++)
    if (isLetterAt(part, i) !== isLetterAt(part, i - 1) && !hasOtherCharacter(part, i, i - 1)) changes++
  return changes
}

function isLetterAt(text: string, i: number): boolean {
  return text.charCodeAt(i) > 57
}

function hasOtherCharacter(text: string, ...places: number[]): boolean {
  return places.some((i) => !/\w/.test(text[i] ?? ''))
}

/** Words or numbers between slashes: `api/v1/products/1234`. */
function isPath(run: string): boolean {
  const isWord = (part: string) => countTypeChanges(part) <= 1 && !mixesCases(part)
  return run.includes('/') && run.split('/').every(isWord)
}

/** Decodes percent-encoding: `to%6ben` is `token` for an application. */
function decodePercent(text: string): string {
  if (!text.includes('%')) return text
  try {
    return decodeURIComponent(text)
  } catch {
    // One malformed escape must not prevent the decoding of the others.
    return text.replace(/%[0-7][\da-f]/gi, (code) => String.fromCharCode(Number.parseInt(code.slice(1), 16)))
  }
}
