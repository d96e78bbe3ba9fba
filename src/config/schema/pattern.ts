// Path patterns, such as `/orders/:id/items/*`, parsed once into segments.
import type { RewritePart } from '../../model/route.ts'

/** A parsed pattern. The same grammar serves `path` and `rewrite`. */
export type Pattern = {
  /** The written form, which metrics and logs use as a label. */
  readonly text: string
  readonly segments: readonly Segment[]
}

/** One segment: literal text, with at most one parameter in it. The wildcard is the parameter `*`. */
type Segment = { readonly prefix: string; readonly param: string | undefined; readonly suffix: string }

type ParsedRoutePattern =
  | { readonly ok: true; readonly pattern: Pattern }
  | { readonly ok: false; readonly complaints: readonly string[] }

/** Parses a pattern. Returns every complaint if it is not valid. */
export function parsePattern(text: string): ParsedRoutePattern {
  const complaints = COMPLAINTS.flatMap(({ when, say }) => (when(text) ? [say(text)] : []))
  if (complaints.length > 0) return { ok: false, complaints }
  const segments = text.slice(1).split('/').map(parseSegment)
  const segmentComplaints = [...segments.flatMap((segment) => segment.complaints), ...repeatedParams(segments)]
  if (segmentComplaints.length > 0) return { ok: false, complaints: segmentComplaints }
  return { ok: true, pattern: { text, segments } }
}

/** The names of the parameters, in order. */
export function paramNames(pattern: Pattern): string[] {
  return pattern.segments.flatMap(({ param }) => (param === undefined ? [] : [param]))
}

/** Two patterns have the same key if they match the same paths: names of parameters do not count. */
export function patternKey(pattern: Pattern, matching: Matching): string {
  return template(pattern, matching, ({ prefix, param, suffix }) => {
    // A valid pattern does not contain `{`, so a parameter cannot be mistaken for text.
    return param === undefined ? prefix : `${prefix}{${param === '*' ? '*' : ''}}${suffix}`
  })
}

/** The compiled form of a rewrite: text and parameters to fill in. */
export function rewriteParts(pattern: Pattern): RewritePart[] {
  const parts: RewritePart[] = []
  let text = ''
  for (const { prefix, param, suffix } of pattern.segments) {
    text += `/${prefix}`
    if (param === undefined) continue
    if (text !== '') parts.push({ text })
    parts.push({ param })
    text = suffix
  }
  if (text !== '') parts.push({ text })
  return parts
}

/**
 * The pattern in the syntax of find-my-way, for paths that `matchable` has prepared.
 *
 * A parameter is never empty. A parameter that is only a part of its segment does not begin with a dot: `/x-:id` would otherwise
 * take `..` from `/x-..` and insert it into a rewrite. The expressions run in linear time: they match any text in only one way.
 */
export function routerPattern(pattern: Pattern, matching: Matching): string {
  return template(pattern, matching, ({ prefix, param, suffix }) => {
    if (param === undefined) return literal(prefix)
    if (param === '*') return '*'
    if (prefix !== '' || suffix !== '') return `${literal(prefix)}:p(^${hidePercents(PART)}$)${literal(suffix)}`
    // If the trailing slash is ignored, the path does not end in a slash, so that its last segment is not empty.
    return matching.trailingSlash === 'ignore' ? ':p' : ':p(^.+$)'
  })
}

/** Prepares a path for the router, with the same changes that `routerPattern` makes to patterns. */
export function matchable(path: string, matching: Matching): string {
  const trimmed = matching.trailingSlash === 'ignore' ? trimSlash(path) : path
  const cased = matching.caseSensitive ? trimmed : trimmed.toLowerCase()
  return hidePercents(cased)
}

/** Returns a function that reads the parameters of a path, still percent-encoded; undefined if the pattern has no parameters. */
export function paramReader(pattern: Pattern, matching: Matching): ParamReader | undefined {
  const names = paramNames(pattern)
  if (names.length === 0) return undefined
  const source = pattern.segments.map((segment) => `/${segmentSource(segment)}`).join('')
  const ignored = matching.trailingSlash === 'ignore' && names.at(-1) !== '*'
  const expression = new RegExp(`^${ignored ? `${trimSlash(source)}/?` : source}$`, matching.caseSensitive ? 's' : 'is')
  return (path) => {
    const match = expression.exec(path)
    if (match === null) return undefined
    // No prototype: a parameter may have any name, such as `constructor`.
    const params: Record<string, string> = Object.create(null)
    for (let index = 0; index < names.length; index++) params[names[index]!] = match[index + 1]!
    return params
  }
}

/** A part of a segment that begins neither with a dot nor with a dot that is escaped twice. */
const PART = '(?!\\.|%252E)[^/]+'

export type ParamReader = (path: string) => Readonly<Record<string, string>> | undefined

const COMPLAINTS: readonly { when: (text: string) => boolean; say: (text: string) => string }[] = [
  { when: (text) => text.length > 1024, say: () => 'must be at most 1024 characters' },
  { when: (text) => !text.startsWith('/'), say: (text) => `must start with "/"; write "/${text}"` },
  {
    when: (text) => /[(){}]/.test(text),
    say: () =>
      'must have no regular expression or group, as a request could make it hang; write a parameter (":id") or end with "/*"',
  },
  {
    when: (text) => /:\w+\?/.test(text),
    say: () => 'must have no optional parameter; write two routes, one with the parameter and one without',
  },
  {
    when: (text) => text.includes('?') && !/:\w+\?/.test(text),
    say: () => 'must have no "?": a query is not matched and is forwarded unchanged; leave it out',
  },
  { when: (text) => text.includes('#'), say: () => 'must have no "#"; leave it and the rest out' },
  { when: (text) => text.includes('//'), say: (text) => `must have no empty segment; write "${mergeSlashes(text)}"` },
  {
    when: (text) => /\/\.\.?([/;]|$)/.test(text),
    say: () => 'must have no "." or ".." segment; write the resolved path',
  },
  {
    when: (text) => text.includes('\\') || /%(2f|5c|[01].|7f)/i.test(text),
    say: () =>
      'must have no backslash, and no encoded slash, backslash or control character: such requests are refused',
  },
  {
    when: (text) => /%(?![0-9A-Fa-f]{2})/.test(text),
    say: () => 'has a "%" that does not begin an escape; write "%25"',
  },
  {
    when: (text) => normalEscapes(text) !== text,
    say: (text) => `must be in normal form (RFC 3986 section 6.2.2); write "${normalEscapes(text)}"`,
  },
  {
    when: (text) => /[^\x21-\x7e]|["<>^`|]/.test(text),
    say: (text) => `has characters that must be percent-encoded in a path; write "${encodeRest(text)}"`,
  },
  {
    when: (text) => /\*./.test(text) || /[^/]\*$/.test(text),
    say: () => '"*" matches the whole rest of the path: it must be the last segment, as in "/api/*"',
  },
]

type ParsedSegment = Segment & { readonly complaints: readonly string[] }

function parseSegment(text: string): ParsedSegment {
  if (text === '*') return { prefix: '', param: '*', suffix: '', complaints: [] }
  // A double colon is a literal colon; each remaining colon begins a parameter.
  const [prefix = '', ...rest] = text.replaceAll('::', '\0').split(':')
  const colons = (part: string) => part.replaceAll('\0', ':')
  if (rest.length === 0) return { prefix: colons(prefix), param: undefined, suffix: '', complaints: [] }
  const [, name = '', suffix = ''] = /^([A-Za-z_]\w*)?(.*)$/s.exec(rest[0]!) ?? []
  const complaints: string[] = []
  if (name === '') {
    complaints.push(
      `":" must be followed by a parameter's name (letters, digits, "_"); a literal colon is written "::"`,
    )
  }
  if (/^\.+$/.test(prefix))
    complaints.push(`"${colons(text)}" has dots before a parameter; the segment could become ".."`)
  if (rest.length > 1) complaints.push(`"${colons(text)}" has two parameters; a segment can have one parameter`)
  return { prefix: colons(prefix), param: name, suffix: colons(suffix), complaints }
}

function repeatedParams(segments: readonly Segment[]): string[] {
  const names = segments.flatMap(({ param }) => (param ? [param] : []))
  const repeated = new Set(names.filter((name, index) => names.indexOf(name) !== index))
  return [...repeated].map((name) => `has the parameter ":${name}" twice; give each parameter its own name`)
}

/** Joins segments, with the changes that `matching` requires. */
function template(pattern: Pattern, matching: Matching, write: (segment: Segment) => string): string {
  const path = pattern.segments.map((segment) => `/${write(cased(segment, matching))}`).join('')
  return matching.trailingSlash === 'ignore' ? trimSlash(path) : path
}

function cased(segment: Segment, { caseSensitive }: Matching): Segment {
  if (caseSensitive) return segment
  return { ...segment, prefix: segment.prefix.toLowerCase(), suffix: segment.suffix.toLowerCase() }
}

function segmentSource({ prefix, param, suffix }: Segment): string {
  if (param === undefined) return RegExp.escape(prefix)
  if (param === '*') return '(.*)'
  const value = prefix === '' && suffix === '' ? '[^/]+' : PART
  return `${prefix && RegExp.escape(prefix)}(${value})${suffix && RegExp.escape(suffix)}`
}

function literal(text: string): string {
  return hidePercents(text).replaceAll(':', '::')
}

/**
 * Replaces `%` by a control character, which a valid path does not contain, so that find-my-way compares encoded bytes: it decodes
 * paths before it matches them, and `/a%2Fb` would otherwise match like `/a/b`.
 */
function hidePercents(text: string): string {
  return text.indexOf('%') === -1 ? text : text.replaceAll('%', '\x02')
}

function trimSlash(path: string): string {
  return path.length > 1 && path.charCodeAt(path.length - 1) === 47 ? path.slice(0, -1) : path
}

function mergeSlashes(text: string): string {
  return text.replace(/\/{2,}/g, '/')
}

/** Writes escapes in upper case, and decodes characters that need no escape. */
function normalEscapes(text: string): string {
  return text.replace(/%[0-9A-Fa-f]{2}/g, (escaped) => {
    const character = String.fromCharCode(Number.parseInt(escaped.slice(1), 16))
    return /[A-Za-z0-9._~-]/.test(character) ? character : escaped.toUpperCase()
  })
}

function encodeRest(text: string): string {
  return text.replace(/[^\x21-\x7e]+|["<>^`|]/gu, (part) => encodeURIComponent(part.toWellFormed()))
}

export type Matching = { readonly caseSensitive: boolean; readonly trailingSlash: 'ignore' | 'strict' }
