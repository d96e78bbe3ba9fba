// Patterns of paths, as rules contain them. Each path of a difference is a pattern that matches itself and all paths below it. `.*`
// matches any key, `[*]` any member of a list, `..name` this name at any depth, `.x-*` any name with this prefix.
import { ANY_KEY, BODY, EACH, isIdLike, namedSegment } from './path.ts'

/** One token per segment: a text or a wildcard. */
export type PathPattern = { readonly text: string; readonly tokens: readonly PatternToken[] }

type PatternToken =
  | { readonly kind: 'exactly'; readonly segment: string }
  | { readonly kind: 'beginning'; readonly segment: string }
  | { readonly kind: 'any-key' }
  | { readonly kind: 'any-depth' }

type ParsedPattern =
  | { readonly ok: true; readonly pattern: PathPattern }
  | { readonly ok: false; readonly message: string }

/** Parses a pattern; the message of a rejected one contains the correction. */
export function parsePathPattern(text: string): ParsedPattern {
  if (text.length > MAX_PATTERN_LENGTH) return rejectPattern(`must be at most ${MAX_PATTERN_LENGTH} characters`)
  const root = /^(?:\$|status(?![\w-])|header(?![\w-])|cookie(?![\w-]))/.exec(text)?.[0]
  if (root === undefined) {
    return rejectPattern(
      `must begin with "$" for the body ("$.items[*].price"), "header." or "cookie.", or be "status"; write "$.${text.replace(/^\.+/, '')}" for a member of the body`,
    )
  }
  const tokens: PatternToken[] = [{ kind: 'exactly', segment: root }]
  let position = root.length
  while (position < text.length) {
    const rest = text.slice(position)
    const token = READERS.map((read) => read(rest)).find((result) => result !== undefined)
    if (token === undefined) return rejectPattern(`cannot be read from "${shorten(rest)}" on; ${HELP}`)
    if ('message' in token) return rejectPattern(token.message)
    tokens.push(...token.tokens)
    position += token.length
  }
  if (tokens.length > MAX_TOKENS) return rejectPattern(`must have at most ${MAX_TOKENS} parts`)
  if (tokens.at(-1)?.kind === 'any-depth') return rejectPattern(`must not end in ".."; ${HELP}`)
  return { ok: true, pattern: { text, tokens } }
}

/** Whether the pattern matches the path or one above it. Linear in the length of the path for each token. */
export function covers(pattern: PathPattern, path: readonly string[]): boolean {
  return matches(pattern, path, true)
}

/** Whether the pattern matches exactly this path. */
export function matchesPath(pattern: PathPattern, path: readonly string[]): boolean {
  return matches(pattern, path, false)
}

/**
 * Runs the pattern as a nondeterministic automaton: each segment advances all positions at once. Without backtracking, a pattern with
 * several `..` cannot take exponential time.
 */
function matches({ tokens }: PathPattern, path: readonly string[], includesAncestors: boolean): boolean {
  const end = tokens.length
  let places = spread([0], tokens)
  for (const segment of path) {
    const next: number[] = []
    for (const place of places) {
      const token = tokens[place]
      if (token === undefined) continue
      if (token.kind === 'any-depth') next.push(place)
      else if (accepts(token, segment)) next.push(place + 1)
    }
    places = spread(next, tokens)
    if (includesAncestors && places.includes(end)) return true
    if (places.length === 0) return false
  }
  return places.includes(end)
}

/** A position before `..` is also the position after it. */
function spread(places: readonly number[], tokens: readonly PatternToken[]): number[] {
  const positions = new Set(places)
  for (const place of positions) if (tokens[place]?.kind === 'any-depth') positions.add(place + 1)
  return [...positions]
}

function accepts(token: Exclude<PatternToken, { kind: 'any-depth' }>, segment: string): boolean {
  if (token.kind === 'any-key') return segment !== EACH && segment !== BODY
  return token.kind === 'exactly' ? segment === token.segment : segment.startsWith(token.segment)
}

type ReadToken =
  | { readonly tokens: readonly PatternToken[]; readonly length: number }
  | { readonly message: string }
  | undefined

const HELP = 'write ".name", ".*" for any key, "[*]" for each member of a list, "..name" for any depth, or ["odd name"]'
const NAME = /^[A-Za-z_@#][\w@#:-]*/

const READERS: readonly ((rest: string) => ReadToken)[] = [
  (rest) => {
    if (!rest.startsWith('..')) return undefined
    // The second dot begins the name, except in `..[*]`.
    const length = rest[2] === '[' ? 2 : 1
    return rest.length === 2 || rest.startsWith('...')
      ? { message: `has ".." with no name behind it; ${HELP}` }
      : { tokens: [{ kind: 'any-depth' }], length }
  },
  (rest) => (rest.startsWith(EACH) ? { tokens: [{ kind: 'exactly', segment: EACH }], length: EACH.length } : undefined),
  (rest) => (rest.startsWith(ANY_KEY) ? { tokens: [{ kind: 'any-key' }], length: ANY_KEY.length } : undefined),
  (rest) => {
    if (!/^\[\d/.test(rest)) return undefined
    return { message: 'names one position; paths have no positions: write "[*]"' }
  },
  (rest) => {
    const quoted = /^\[("(?:[^"\\]|\\.)*")\]/.exec(rest)
    if (quoted === null) return undefined
    try {
      const name = JSON.parse(quoted[1]!) as string
      if (isIdLike(name)) return rejectIdLike(name)
      return { tokens: [{ kind: 'exactly', segment: namedSegment(name) }], length: quoted[0].length }
    } catch {
      return { message: `has a name that is not a JSON string: ${shorten(quoted[0])}` }
    }
  },
  (rest) => {
    const name = rest.startsWith('.') ? NAME.exec(rest.slice(1))?.[0] : undefined
    if (name === undefined) return undefined
    const begins = rest[name.length + 1] === '*'
    if (!begins && isIdLike(name)) return rejectIdLike(name)
    const token: PatternToken = { kind: begins ? 'beginning' : 'exactly', segment: `.${name}` }
    return { tokens: [token], length: name.length + (begins ? 2 : 1) }
  },
]

const MAX_PATTERN_LENGTH = 512
const MAX_TOKENS = 32

function rejectPattern(message: string): ParsedPattern {
  return { ok: false, message }
}

/** Paths never contain such a name, so the rule would never apply. */
function rejectIdLike(name: string): ReadToken {
  return { message: `names "${shorten(name)}", which looks like an id; paths contain no such keys: write ".*"` }
}

function shorten(text: string): string {
  return text.length > 40 ? `${text.slice(0, 40)}…` : text
}
