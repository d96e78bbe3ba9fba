// The request target (RFC 9112 section 3.2): parsed once, and normalised or refused. The decision and the upstream use
// the same path, so that a path cannot name one resource at the edge and another at an origin.
import type { RefusalRule } from '../../model/refusal-rules.ts'
import { Refusal } from './refusal.ts'

type Target = { readonly path: string; readonly query: string; readonly hasEncodedSlash: boolean }

const SLASH = 0x2f
const QUESTION = 0x3f
const PERCENT = 0x25
const DOT = 0x2e

/**
 * Parses origin-form, and absolute-form whose authority is the Host, and `*` for OPTIONS. Everything else is refused.
 *
 * @param host the Host field in lower case, as `readHead` validated it
 */
export function parseTarget(method: string, target: string, host: string): Target | Refusal {
  if (target.charCodeAt(0) === SLASH) return parseOriginForm(target)
  if (target === '*') {
    return method === 'OPTIONS'
      ? { path: '*', query: '', hasEncodedSlash: false }
      : bad('target-form', '"*" is for OPTIONS only')
  }
  return parseAbsoluteForm(method, target, host)
}

/** RFC 9112 section 3.2.2 requires absolute-form. The gateway never connects to an authority that a client names. */
function parseAbsoluteForm(method: string, target: string, host: string): Target | Refusal {
  const match = /^(https?):\/\/([^/?#]+)(.*)$/is.exec(target)
  if (match === null) return bad('target-form', 'neither origin-form nor absolute-form')
  const [, scheme = '', authority = '', rest = ''] = match
  if (authority.toLowerCase() !== host && !isSameAuthority(scheme, authority, host))
    return bad('target-form', 'the authority of the absolute-form is not the Host')
  if (rest === '' && method === 'OPTIONS') return { path: '*', query: '', hasEncodedSlash: false }
  return parseOriginForm(rest.charCodeAt(0) === SLASH ? rest : `/${rest}`)
}

/** RFC 9110 section 4.2.3: no port, an empty port and the default port of the scheme are equal. */
function isSameAuthority(scheme: string, authority: string, host: string): boolean {
  const port = scheme.toLowerCase() === 'https' ? /:(?:443)?$/ : /:(?:80)?$/
  return host !== '' && authority.toLowerCase().replace(port, '') === host.replace(port, '')
}

/** Most paths are in normal form: one scan finds that out and copies nothing. */
function parseOriginForm(target: string): Target | Refusal {
  let pathEnd = target.length
  let isNormal = true
  let previous = 0
  for (let i = 0; i < target.length; i++) {
    const code = target.charCodeAt(i)
    if (code === QUESTION) {
      pathEnd = i
      break
    }
    const kind = code < 0x80 ? PATH_BYTES[code] : REFUSED
    if (kind === REFUSED) return bad('path-characters', `byte 0x${code.toString(16)} in the path`)
    // Only an encodable character, "//", "/." or "%" can make a path differ from its normal form.
    if (kind === ENCODED || code === PERCENT || (previous === SLASH && (code === SLASH || code === DOT)))
      isNormal = false
    previous = code
  }
  const query = pathEnd === target.length ? '' : target.slice(pathEnd)
  for (let i = pathEnd; i < target.length; i++) {
    const code = target.charCodeAt(i)
    if (code <= 0x20 || code >= 0x7f || code === 0x23)
      return bad('path-characters', `byte 0x${code.toString(16)} in the query`)
  }
  const path = pathEnd === target.length ? target : target.slice(0, pathEnd)
  return isNormal ? { path, query, hasEncodedSlash: false } : normalise(path, query)
}

/** Raw `#`, `\`, spaces, controls and bytes >= 0x80. */
const REFUSED = 0
/** RFC 3986 section 3.3 `pchar`, `/` and `%`; `[` and `]` too, which browsers and most servers leave as they are. */
const KEPT = 1
/** Browsers and curl send these raw, and strict origins such as Tomcat answer 400. So the gateway encodes them. */
const ENCODED = 2

const PATH_BYTES = new Uint8Array(0x80)
for (const char of "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~!$&'()*+,;=:@/%[]") {
  PATH_BYTES[char.charCodeAt(0)] = KEPT
}
for (const char of '"<>^`{|}') PATH_BYTES[char.charCodeAt(0)] = ENCODED

/**
 * Normalises the case of escapes, escapes of unreserved characters, dot segments (RFC 3986 section 6.2.2) and repeated
 * slashes. Raw characters and a `%` without an escape are encoded first, so that every check sees the upstream's path.
 */
function normalise(path: string, query: string): Target | Refusal {
  const decoded = normaliseEscapes(path)
  if (decoded instanceof Refusal) return decoded
  const hasEncodedSlash = ENCODED_SLASH.test(decoded)
  const segments: string[] = []
  let endsWithSlash = false
  for (const segment of decoded.split('/')) {
    endsWithSlash = segment === '' || segment === '.' || segment === '..'
    if (segment === '' || segment === '.') continue
    if (segment === '..') segments.pop()
    else if (isDisguisedDots(segment)) return bad('dot-segments', 'a dot segment in disguise')
    else segments.push(segment)
  }
  const trailing = endsWithSlash && segments.length > 0 ? '/' : ''
  return { path: `/${segments.join('/')}${trailing}`, query, hasEncodedSlash }
}

/** `%2F` and `%5C`, and the same (or a dot, or NUL) escaped twice: some servers decode them to a separator. */
const ENCODED_SLASH = /%2F|%5C|%25(?:2[EF]|5C|00)/i

/**
 * Tomcat and Jetty read `..;x` as `..`, and `..%3Bx` too after a proxy has decoded it. A server that decodes before it
 * splits reads `..%2Fx` as `..` and `x`. A server that decodes twice reads `.%252E` as `..`.
 */
function isDisguisedDots(segment: string): boolean {
  return DISGUISED_DOTS.test(segment) || /(?:^|%2F|%5C|%252F|%255C)%252E/i.test(segment)
}

const DISGUISED_DOTS = /(?:^|%2F|%5C|%252F|%255C)(?:\.|%252E){1,2}(?:;|%3B|%253B|%2F|%5C|%252F|%255C|$)/i

function normaliseEscapes(path: string): string | Refusal {
  const encoded = path.replace(/["<>^`{|}]/g, encodeCharacter)
  if (!encoded.includes('%')) return encoded
  // IIS reads `%u002f` as a slash.
  if (/%u[0-9A-Fa-f]{4}/i.test(encoded)) return bad('path-escapes', 'a "%u" escape')
  if (/%(?:[01][0-9A-Fa-f]|7[Ff])/.test(encoded)) return bad('path-escapes', 'an escaped control character')
  if (OVERLONG.test(encoded)) return bad('path-escapes', 'an overlong UTF-8 sequence')
  const unescaped = encoded.replace(/%(?![0-9A-Fa-f]{2})/g, LONE_PERCENT).replace(/%[0-9A-Fa-f]{2}/g, (encodedByte) => {
    const char = String.fromCharCode(Number.parseInt(encodedByte.slice(1), 16))
    return /[A-Za-z0-9._~-]/.test(char) ? char : encodedByte.toUpperCase()
  })
  // A lenient server decodes `%%32e` to `%2e`: an escape that consists of escapes.
  if (/ [0-9A-Fa-f]{2}/.test(unescaped)) return bad('path-escapes', 'an escape in disguise')
  return unescaped.replaceAll(LONE_PERCENT, '%25')
}

/** A placeholder for a `%` without an escape. A path contains no space. */
const LONE_PERCENT = ' '

function encodeCharacter(char: string): string {
  return `%${char.charCodeAt(0).toString(16).toUpperCase()}`
}

/** RFC 3629 section 10: lenient decoders turn `%C0%AF` into `/`. Latin-1 text such as `%E9t%E9` is not matched. */
const OVERLONG = /%(?:C[01]%[89AB][0-9A-F]|E0%[89][0-9A-F]|F0%8[0-9A-F]|F8%8[0-7]|FC%8[0-3])/i

function bad(rule: RefusalRule, detail: string): Refusal {
  return new Refusal('bad-target', detail, undefined, rule)
}
