// Mistakes in the input of an operator: the place, the value, and what to write instead.

export type Mistake = {
  /** The place, such as `contexts.orders.routes[2].rewrite`; or the file, with its line if it is known. */
  readonly path: string
  /** The value at that place, shortened and without secrets; `''` if there is nothing to show. */
  readonly found: string
  /** The problem, and what to write instead. */
  readonly message: string
}

/** Collects a mistake. Validation continues, so that every mistake is reported at once. */
export type ReportMistake = (mistake: Mistake) => void

/** Formats mistakes for a person, one per line. */
export function formatMistakes(mistakes: readonly Mistake[]): string {
  return mistakes.map(formatMistake).join('\n')
}

/** `joinPath('contexts', 'orders')` is `contexts.orders`; `joinPath('routes', 2)` is `routes[2]`. */
export function joinPath(path: string, key: PropertyKey): string {
  if (typeof key === 'number') return `${path}[${key}]`
  const name = String(key)
  if (!/^[\w$-]+$/.test(name)) return `${path}[${formatValue(name)}]`
  return path === '' ? name : `${path}.${name}`
}

/** Formats a value for a mistake: short, on one line, without control characters, credentials or private keys. */
export function formatValue(value: unknown): string {
  if (typeof value === 'string') return showText(value)
  if (Array.isArray(value)) return value.length === 1 ? 'a list of 1' : `a list of ${value.length}`
  if (value === null) return 'null'
  if (value === undefined) return ''
  if (typeof value === 'object') return 'an object'
  if (typeof value === 'function') return 'a function'
  return shorten(String(value))
}

/** Returns the candidate with the smallest edit distance to `name`; undefined if none is similar. */
export function findNearest(name: string, candidates: Iterable<string>): string | undefined {
  const lower = name.toLowerCase().slice(0, 64)
  let best: string | undefined
  let bestDistance = Math.max(2, Math.floor(lower.length / 3)) + 1
  for (const candidate of candidates) {
    const distance = editDistance(lower, candidate.toLowerCase())
    if (distance < bestDistance && distance < candidate.length) {
      best = candidate
      bestDistance = distance
    }
  }
  return best
}

/** Returns `did you mean "timeouts"?`, or the list of valid names. */
export function suggestName(name: string, candidates: readonly string[]): string {
  const suggestion = findNearest(name, candidates)
  if (suggestion !== undefined) return `did you mean "${suggestion}"?`
  return candidates.length === 0 ? 'none is defined' : `valid names: ${candidates.join(', ')}`
}

function formatMistake(mistake: Mistake): string {
  const place = mistake.path === '' ? '' : `${mistake.path}: `
  const value = mistake.found === '' ? '' : ` (found ${mistake.found})`
  return `${place}${mistake.message}${value}`
}

const MAX_SHOWN_LENGTH = 80

function showText(text: string): string {
  if (text.includes('PRIVATE KEY')) return 'a private key, not shown'
  const harmless = withoutQuerySecrets(text.replace(/\/\/[^/?#]*@/g, '//***@'))
  return shorten(escapeControls(JSON.stringify(harmless)))
}

/** Removes the query of an address, which may contain a token. */
function withoutQuerySecrets(text: string): string {
  return text.includes('://') ? text.replace(/[?#].*$/s, '?…') : text
}

function shorten(text: string): string {
  return text.length <= MAX_SHOWN_LENGTH ? text : `${text.slice(0, MAX_SHOWN_LENGTH - 1)}…`
}

/** JSON leaves DEL, C1 controls and line separators as they are; a terminal does not. */
function escapeControls(text: string): string {
  return text.replace(/[\u007f-\u009f\u2028\u2029\u202a-\u202e\u2066-\u2069]/g, (character) => {
    return `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`
  })
}

function editDistance(from: string, to: string): number {
  let previous = Array.from({ length: to.length + 1 }, (_, index) => index)
  for (let row = 1; row <= from.length; row++) {
    const current = [row]
    for (let column = 1; column <= to.length; column++) {
      const same = from[row - 1] === to[column - 1] ? 0 : 1
      current.push(Math.min(previous[column]! + 1, current[column - 1]! + 1, previous[column - 1]! + same))
    }
    previous = current
  }
  return previous[to.length]!
}
