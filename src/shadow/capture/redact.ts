// Masks secrets in examples before they leave the worker. A placeholder shows the kind of the masked value (`<email>`, `<token>`).
// Each regular expression is linear, because bodies choose its input. In doubt a value is masked.
import { escapeControls } from '../../lib/escape.ts'
import type { Difference, Masked, MaskedDifference } from '../../model/comparison.ts'
import { holdsSecret, isPersonalName, isSecretName, looksLikeToken } from '../../model/masking.ts'
import type { HeaderList } from '../../model/request-head.ts'
import { maskTarget } from '../../telemetry/log/mask-target.ts'
import { namedSegment } from '../compare/path.ts'
import { matchesPath, type PathPattern } from '../compare/path-pattern.ts'
import { splitPath } from '../compare/split-path.ts'

export type Redaction = {
  /** If set, only values at these paths are shown; secrets in them are masked too. */
  readonly showOnly: readonly PathPattern[] | undefined
}

export const DEFAULT_REDACTION: Redaction = { showOnly: undefined }

export function redact(difference: Difference, redaction: Redaction = DEFAULT_REDACTION): MaskedDifference {
  const { kind, times } = difference
  const segments = splitPath(difference.path)
  // Only the attributes of cookies are compared, which are not secret.
  const isSecret = segments[0] !== 'cookie' && segments.slice(1).some(isSecretSegment)
  const isShown =
    redaction.showOnly === undefined || redaction.showOnly.some((pattern) => matchesPath(pattern, segments))
  const hide = (text: string | null): string | null => {
    if (text === null) return null
    if (isSecret) return '<secret>'
    return isShown || COMPUTED_KINDS.has(kind) ? maskSecrets(text) : NOT_SHOWN
  }
  const legacy = hide(difference.legacy)
  const service = hide(difference.service)
  const [shownLegacy, shownService] = shorten(legacy, service)
  return { kind, path: difference.path, legacy: shownLegacy, service: shownService, times }
}

/** Masks credentials, e-mail addresses, card numbers and tokens. Idempotent. */
export function maskSecrets(text: string): string {
  if (text.length > MAX_READ_LENGTH) return `<text of ${text.length} characters>`
  return MASKING_STEPS.reduce((masked, step) => step(masked), text)
}

/** The header fields of a request or a response, as an example shows them. */
export function maskHeaders(headers: HeaderList, redaction: Redaction = DEFAULT_REDACTION): readonly Masked[] {
  return headers.map((text, i) => {
    if (i % 2 === 0) return masked(escapeControls(maskSecrets(text)))
    const name = headers[i - 1]!
    if (isSecretHeader(name)) return masked('<secret>')
    return masked(isHeaderShown(name.toLowerCase(), redaction) ? escapeControls(maskSecrets(text)) : NOT_SHOWN)
  })
}

/**
 * A path and query as an example shows them, masked as in the access log and as in bodies.
 *
 * @param pattern of the route: with `showOnly`, the values of its parameters are not shown
 */
export function maskRequestTarget(
  path: string,
  query: string,
  { showOnly }: Redaction = DEFAULT_REDACTION,
  pattern = '/*',
): Masked {
  if (showOnly === undefined) return masked(escapeControls(maskSecrets(maskTarget(path, query))))
  const shown = withoutParameters(path, pattern)
  const named = query
    .slice(1)
    .split('&')
    .map((pair) => (pair.includes('=') ? `${pair.slice(0, pair.indexOf('='))}=${NOT_SHOWN}` : NOT_SHOWN))
  return masked(escapeControls(maskSecrets(query === '' ? shown : `${shown}?${named.join('&')}`)))
}

/** The pattern in the label of a route, `GET /products/:id`. */
export function patternIn(label: string): string {
  return label.slice(label.indexOf(' ') + 1)
}

/** Shows only those segments of the path that the pattern contains. */
function withoutParameters(path: string, pattern: string): string {
  const template = pattern.slice(pattern.indexOf('/')).split('/')
  const rest = template.indexOf('*')
  const segments = path.split('/').slice(0, rest === -1 ? undefined : rest + 1)
  return segments.map((segment, i) => (segment === template[i] ? segment : NOT_SHOWN)).join('/')
}

const NOT_SHOWN = '<not shown>'

/** Fields that describe only the format of a body. */
const FORMAT_HEADER = /^(?:content-(?:type|length|encoding)|accept(?:-encoding)?|transfer-encoding|host|x-shadow)$/

function isHeaderShown(name: string, { showOnly }: Redaction): boolean {
  if (showOnly === undefined || FORMAT_HEADER.test(name)) return true
  return showOnly.some((pattern) => matchesPath(pattern, ['header', namedSegment(name)]))
}

/** Kinds whose values the comparison computes: a status, a length, once or twice. */
const COMPUTED_KINDS: ReadonlySet<string> = new Set(['status', 'length', 'repeated', 'malformed'])

const SECRET_HEADERS: ReadonlySet<string> = new Set([
  ...['authorization', 'proxy-authorization', 'cookie', 'set-cookie', 'www-authenticate', 'proxy-authenticate'],
  ...['authentication-info', 'proxy-authentication-info', 'dpop', 'x-amz-security-token', 'x-forwarded-client-cert'],
])

/** Whether the field contains an identity or a credential. */
export function isSecretHeader(name: string): boolean {
  return SECRET_HEADERS.has(name.toLowerCase()) || isSecretName(name)
}

function isSecretSegment(segment: string): boolean {
  const name = segment.replace(/^\.@?|^\["|"\]$/g, '')
  return isSecretHeader(name) || isPersonalName(name)
}

/** In this order: values with a start and an end marker, values with a known name, then values with a known form. */
const MASKING_STEPS: readonly ((text: string) => string)[] = [
  (text) =>
    text.replace(/-----BEGIN [A-Z ]{0,40}PRIVATE KEY-----[^-]*(?:-----END [A-Z ]{0,40}-----)?/g, '<private key>'),
  (text) => text.replace(/\b(Bearer|Basic|Digest|Negotiate|DPoP)(\s{1,8})[^\s"'<>,;]+/gi, '$1$2<credentials>'),
  maskNamed,
  maskNested,
  maskAddresses,
  maskTokens,
  maskCards,
]

/** `password=x`, `"token": "x"`, `secret: x`: masks the value. A quoted value ends at its closing quote: a pass phrase has spaces. */
function maskNamed(text: string): string {
  let out = ''
  let done = 0
  for (const { 0: whole, 1: name, index } of text.matchAll(NAME)) {
    // The value of a harmless name can contain a secret name: `https://a.example/?token=x` begins with `https:`.
    if (index < done || !(isSecretName(name!) || isPersonalName(name!))) continue
    VALUE.lastIndex = index + whole.length
    const [value] = VALUE.exec(text) ?? []
    const quote = value === undefined ? '' : /^\\*["']?/.exec(value)![0]
    if (value === undefined || value === quote) continue
    out += `${text.slice(done, index)}${whole}${quote}<secret>`
    done = index + whole.length + value.length
  }
  return out + text.slice(done)
}

const NAME = /([A-Za-z][\w.-]{0,63})\\{0,7}["']?\s{0,4}[=:]\s{0,4}/g
/** In quotes, in the escaped quotes of JSON within JSON, or up to the end of the word. */
const VALUE = /"(?:[^"\\]|\\.)*|'(?:[^'\\]|\\.)*|\\{1,7}"[^"]*|\\{1,7}'[^']*|[^\s"'&;,<>(){}[\]\\]+/sy

/** `next=%2Fcb%3Ftoken%3Dx`: masks a parameter with an encoded URL or query that contains a secret. */
function maskNested(text: string): string {
  if (!text.includes('%')) return text
  return text.replace(TEXT_RUN, (run) => {
    const from = run.indexOf('=') + 1
    return from > 0 && run.includes('%', from) && holdsSecret(run.slice(from)) ? `${run.slice(0, from)}<secret>` : run
  })
}

const TEXT_RUN = /[^\s"'&;,<>(){}[\]\\]+/g

/** Masks around each `@` as far as an address or the credentials of a URL can reach. In a query it is `%40`. */
function maskAddresses(text: string): string {
  let out = ''
  let done = 0
  for (const { 0: sign, index } of text.matchAll(/@|%40/g)) {
    if (index < done) continue
    // The domain is scanned first: a long backward scan happens only before a match, which the next iteration skips.
    let end = index + sign.length
    while (end < text.length && isDomainCode(text.charCodeAt(end))) end++
    if (end === index + sign.length) continue
    let start = index
    while (start > done && isAddressCode(text.charCodeAt(start - 1))) start--
    if (start === index) continue
    out += `${text.slice(done, start)}<email>`
    done = end
  }
  return out + text.slice(done)
}

/** All but white space and enclosing characters. A colon belongs to it: `user:password@host` is masked as a whole. */
function isAddressCode(code: number): boolean {
  return code > 32 && !ENCLOSING.has(code)
}

const ENCLOSING: ReadonlySet<number> = new Set([...'"\'<>()[]{},;/\\&=?@'].map((character) => character.charCodeAt(0)))

function isDomainCode(code: number): boolean {
  return isWordCode(code) || code === 45 || code === 46 || code > 127
}

function isWordCode(code: number): boolean {
  return (code >= 48 && code <= 57) || (code >= 65 && code <= 90) || (code >= 97 && code <= 122) || code === 95
}

function maskTokens(text: string): string {
  return text.replace(/[\w+/=.~%-]{20,}/g, (run) => (looksLikeToken(run) ? '<token>' : run))
}

/**
 * Masks 13 to 19 digits, also in groups, that pass the Luhn check of ISO/IEC 7812-1. A card number can follow another number, so each
 * sequence of whole groups is tried. Digits after a decimal point are not a card number, unless the digits before the point have the
 * length of one.
 */
function maskCards(text: string): string {
  return text.replace(/(?<!(?<![\d -]{12})\d\.|\d)\d(?:[ -]?\d){12,}/g, (run) =>
    holdsCard(run.split(/[ -]/)) ? '<card>' : run,
  )
}

function holdsCard(groups: readonly string[]): boolean {
  return groups.some((_, from) => {
    let digits = ''
    for (let to = from; to < groups.length && digits.length <= MAX_CARD_DIGITS; to++) {
      digits += groups[to]!
      if (digits.length >= 13 && digits.length <= MAX_CARD_DIGITS && passesLuhn(digits)) return true
    }
    return false
  })
}

const MAX_CARD_DIGITS = 19

function passesLuhn(digits: string): boolean {
  let sum = 0
  for (let i = 0; i < digits.length; i++) {
    const digit = digits.charCodeAt(digits.length - 1 - i) - 48
    const doubled = i % 2 === 0 ? digit : digit * 2
    sum += doubled > 9 ? doubled - 9 : doubled
  }
  return sum % 10 === 0
}

/**
 * Cuts two texts around their first difference, because long texts often begin alike. Only masked texts may be cut: half a token would
 * not be recognised.
 */
function shorten(legacy: string | null, service: string | null): [Masked | null, Masked | null] {
  const from = legacy === null || service === null ? 0 : Math.max(0, firstDifference(legacy, service) - CONTEXT)
  return [cut(legacy, from), cut(service, from)]
}

function cut(text: string | null, from: number): Masked | null {
  if (text === null) return null
  const start = text.length - from <= 0 ? Math.max(0, text.length - CONTEXT) : from
  const part = text.slice(start, start + MAX_SHOWN_LENGTH)
  return masked(
    escapeControls(`${start > 0 ? '…' : ''}${part}${start + MAX_SHOWN_LENGTH < text.length ? '…' : ''}`.toWellFormed()),
  )
}

function firstDifference(a: string, b: string): number {
  let i = 0
  while (i < a.length && i < b.length && a[i] === b[i]) i++
  return i
}

function masked(text: string): Masked {
  return text as Masked
}

const MAX_READ_LENGTH = 64 * 1024
const MAX_SHOWN_LENGTH = 300
const CONTEXT = 40
