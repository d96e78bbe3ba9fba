// Path patterns: `/orders/:id/items/*`. Parsed once into segments; everything else is made from those.
import type { RewritePart } from '../../model/route.ts'

/** A parsed pattern. The same grammar serves `path` and `rewrite`. */
export type Pattern = {
  /** As it was written: a metric label and a log word. */
  readonly text: string
  readonly segments: readonly Segment[]
}

/** One segment: literal text, perhaps with one parameter in it. The wildcard is the parameter `*`. */
export type Segment = { readonly before: string; readonly param: string | undefined; readonly after: string }

export type Parsed =
  | { readonly ok: true; readonly pattern: Pattern }
  | { readonly ok: false; readonly complaints: readonly string[] }

/** Reads a pattern; says everything that is wrong with it. */
export function parsePattern(text: string): Parsed {
  const complaints = COMPLAINTS.flatMap(({ when, say }) => (when(text) ? [say(text)] : []))
  if (complaints.length > 0) return { ok: false, complaints }
  const segments = text.slice(1).split('/').map(parseSegment)
  const inSegments = [...segments.flatMap((segment) => segment.complaints), ...repeatedParams(segments)]
  if (inSegments.length > 0) return { ok: false, complaints: inSegments }
  return { ok: true, pattern: { text, segments } }
}

/** The names of its parameters, in order. */
export function paramNames(pattern: Pattern): string[] {
  return pattern.segments.flatMap(({ param }) => (param === undefined ? [] : [param]))
}

/** Two patterns with the same key take the same paths, whatever their parameters are called. */
export function patternKey(pattern: Pattern, matching: Matching): string {
  return template(pattern, matching, ({ before, param, after }) => {
    // `{` is in no valid pattern, so a parameter cannot be mistaken for text.
    return param === undefined ? before : `${before}{${param === '*' ? '*' : ''}}${after}`
  })
}

/** The pattern as parts to be filled in: what a rewrite becomes. */
export function rewriteParts(pattern: Pattern): RewritePart[] {
  const parts: RewritePart[] = []
  let text = ''
  for (const { before, param, after } of pattern.segments) {
    text += `/${before}`
    if (param === undefined) continue
    if (text !== '') parts.push({ text })
    parts.push({ param })
    text = after
  }
  if (text !== '') parts.push({ text })
  return parts
}

/**
 * The pattern in find-my-way's own language, for paths made ready by `matchable`.
 *
 * A parameter is never empty, and where it is only a part of its segment it does not begin with a dot: `/x-:id` would
 * otherwise take `..` out of `/x-..` and put it into a rewrite. The expressions are linear: one way to read any text.
 */
export function routerPattern(pattern: Pattern, matching: Matching): string {
  return template(pattern, matching, ({ before, param, after }) => {
    if (param === undefined) return literal(before)
    if (param === '*') return '*'
    if (before !== '' || after !== '') return `${literal(before)}:p(^${hidePercents(PART)}$)${literal(after)}`
    // Where the trailing slash is ignored the path never ends in one, so a whole segment is never empty.
    return matching.trailingSlash === 'ignore' ? ':p' : ':p(^.+$)'
  })
}

/** A path as the router compares it: the same changes that `routerPattern` makes to patterns. */
export function matchable(path: string, matching: Matching): string {
  const trimmed = matching.trailingSlash === 'ignore' ? trimSlash(path) : path
  const cased = matching.caseSensitive ? trimmed : trimmed.toLowerCase()
  return hidePercents(cased)
}

/** Takes the values of the parameters out of a path, percent-encoded as they stand there; undefined if it has none. */
export function paramReader(pattern: Pattern, matching: Matching): ParamReader | undefined {
  const names = paramNames(pattern)
  if (names.length === 0) return undefined
  const source = pattern.segments.map((segment) => `/${segmentSource(segment)}`).join('')
  const ignored = matching.trailingSlash === 'ignore' && names.at(-1) !== '*'
  const expression = new RegExp(`^${ignored ? `${trimSlash(source)}/?` : source}$`, matching.caseSensitive ? 's' : 'is')
  return (path) => {
    const found = expression.exec(path)
    if (found === null) return undefined
    // No prototype: a parameter may be called what it likes.
    const params: Record<string, string> = Object.create(null)
    for (let index = 0; index < names.length; index++) params[names[index]!] = found[index + 1]!
    return params
  }
}

/** No dot first, nor one that is escaped twice. */
const PART = '(?!\\.|%252E)[^/]+'

export type ParamReader = (path: string) => Readonly<Record<string, string>> | undefined

const COMPLAINTS: readonly { when: (text: string) => boolean; say: (text: string) => string }[] = [
  { when: (text) => text.length > 1024, say: () => 'must be at most 1024 characters' },
  { when: (text) => !text.startsWith('/'), say: (text) => `must start with "/"; write "/${text}"` },
  {
    when: (text) => /[(){}]/.test(text),
    say: () =>
      'regular expressions and groups are not taken, as one can be made to hang; name a parameter (":id") or end with "/*"',
  },
  {
    when: (text) => /:\w+\?/.test(text),
    say: () => 'optional parameters are not taken; write two routes, one with the parameter and one without',
  },
  {
    when: (text) => text.includes('?') && !/:\w+\?/.test(text),
    say: () => 'must have no "?": a query is not matched and is passed on as it came; leave it out',
  },
  { when: (text) => text.includes('#'), say: () => 'must have no "#"; leave it and what follows it out' },
  { when: (text) => text.includes('//'), say: (text) => `must have no empty segment; write "${mergeSlashes(text)}"` },
  {
    when: (text) => /\/\.\.?([/;]|$)/.test(text),
    say: () => 'must have no "." or ".." segment; write the path it leads to',
  },
  {
    when: (text) => text.includes('\\') || /%(2f|5c|[01].|7f)/i.test(text),
    say: () =>
      'must have no backslash, and no encoded slash, backslash or control character: such requests are refused',
  },
  { when: (text) => /%(?![0-9A-Fa-f]{2})/.test(text), say: () => 'has a "%" that begins no escape; write "%25"' },
  {
    when: (text) => normalEscapes(text) !== text,
    say: (text) => `must be in normal form (RFC 3986 section 6.2.2); write "${normalEscapes(text)}"`,
  },
  {
    when: (text) => /[^\x21-\x7e]|["<>^`|]/.test(text),
    say: (text) => `has characters that a path can only hold encoded; write "${encodeRest(text)}"`,
  },
  {
    when: (text) => /\*./.test(text) || /[^/]\*$/.test(text),
    say: () => '"*" stands for the whole rest of the path: it must be the last segment, as in "/api/*"',
  },
]

type ParsedSegment = Segment & { readonly complaints: readonly string[] }

function parseSegment(text: string): ParsedSegment {
  if (text === '*') return { before: '', param: '*', after: '', complaints: [] }
  // A doubled colon is a literal one; what single colons are left begin parameters.
  const [before = '', ...rest] = text.replaceAll('::', '\0').split(':')
  const colons = (part: string) => part.replaceAll('\0', ':')
  if (rest.length === 0) return { before: colons(before), param: undefined, after: '', complaints: [] }
  const [, name = '', after = ''] = /^([A-Za-z_]\w*)?(.*)$/s.exec(rest[0]!) ?? []
  const complaints: string[] = []
  if (name === '') {
    complaints.push(
      `":" must be followed by a parameter's name (letters, digits, "_"); a literal colon is written "::"`,
    )
  }
  if (/^\.+$/.test(before))
    complaints.push(`"${colons(text)}" puts dots before a parameter; it could become ".." that way`)
  if (rest.length > 1) complaints.push(`"${colons(text)}" has two parameters; a segment can have one`)
  return { before: colons(before), param: name, after: colons(after), complaints }
}

function repeatedParams(segments: readonly Segment[]): string[] {
  const names = segments.flatMap(({ param }) => (param ? [param] : []))
  const repeated = new Set(names.filter((name, index) => names.indexOf(name) !== index))
  return [...repeated].map((name) => `has the parameter ":${name}" twice; give each its own name`)
}

/** Joins segments, with the changes that the way of matching asks for. */
function template(pattern: Pattern, matching: Matching, write: (segment: Segment) => string): string {
  const path = pattern.segments.map((segment) => `/${write(cased(segment, matching))}`).join('')
  return matching.trailingSlash === 'ignore' ? trimSlash(path) : path
}

function cased(segment: Segment, { caseSensitive }: Matching): Segment {
  if (caseSensitive) return segment
  return { ...segment, before: segment.before.toLowerCase(), after: segment.after.toLowerCase() }
}

function segmentSource({ before, param, after }: Segment): string {
  if (param === undefined) return RegExp.escape(before)
  if (param === '*') return '(.*)'
  const value = before === '' && after === '' ? '[^/]+' : PART
  return `${before && RegExp.escape(before)}(${value})${after && RegExp.escape(after)}`
}

function literal(text: string): string {
  return hidePercents(text).replaceAll(':', '::')
}

/**
 * find-my-way decodes what it matches, so `/a%2Fb` and its kin would need a second opinion. It has nothing to decode
 * where there is no `%`: a control character, which no path can hold, stands for it, and encoded bytes are compared.
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

/** Escapes in upper case, and none for characters that need none. */
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
