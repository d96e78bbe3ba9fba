// A mistake in what an operator wrote: where, what was found there, and what to write instead.

export type Mistake = {
  /** Where, as one would write it: `contexts.orders.routes[2].rewrite`; or the file, with its line where that is known. */
  readonly path: string
  /** What was found there, shortened and without secrets; `''` where there is nothing to show. */
  readonly found: string
  /** What is wrong with it, and what to write instead. */
  readonly message: string
}

/** Collects a mistake; validation goes on, so that every mistake is reported at once. */
export type ReportMistake = (mistake: Mistake) => void

/** The mistakes for a person to read, one a line. */
export function formatMistakes(mistakes: readonly Mistake[]): string {
  return mistakes.map(formatOne).join('\n')
}

/** `at('contexts', 'orders')` is `contexts.orders`; `at('routes', 2)` is `routes[2]`. */
export function joinPath(path: string, key: PropertyKey): string {
  if (typeof key === 'number') return `${path}[${key}]`
  const name = String(key)
  if (!/^[\w$-]+$/.test(name)) return `${path}[${formatValue(name)}]`
  return path === '' ? name : `${path}.${name}`
}

/** A value as a mistake shows it: short, on one line, without control characters, credentials or private keys. */
export function formatValue(value: unknown): string {
  if (typeof value === 'string') return showText(value)
  if (Array.isArray(value)) return value.length === 1 ? 'a list of 1' : `a list of ${value.length}`
  if (value === null) return 'null'
  if (value === undefined) return ''
  if (typeof value === 'object') return 'an object'
  if (typeof value === 'function') return 'a function'
  return shorten(String(value))
}

/** What was probably meant by a name that is not known; undefined if nothing comes near. */
export function nearest(name: string, known: Iterable<string>): string | undefined {
  const wanted = name.toLowerCase().slice(0, 64)
  let best: string | undefined
  let bestDistance = Math.max(2, Math.floor(wanted.length / 3)) + 1
  for (const candidate of known) {
    const distance = editDistance(wanted, candidate.toLowerCase())
    if (distance < bestDistance && distance < candidate.length) {
      best = candidate
      bestDistance = distance
    }
  }
  return best
}

/** `did you mean "timeouts"?`, or the list of what is known. */
export function suggestName(name: string, known: readonly string[]): string {
  const meant = nearest(name, known)
  if (meant !== undefined) return `did you mean "${meant}"?`
  return known.length === 0 ? 'there are none' : `known here: ${known.join(', ')}`
}

function formatOne({ path, found, message }: Mistake): string {
  const where = path === '' ? '' : `${path}: `
  return found === '' ? `${where}${message}` : `${where}${message} (found ${found})`
}

const LONGEST_SHOWN = 80

function showText(text: string): string {
  if (text.includes('PRIVATE KEY')) return 'a private key, not shown'
  const harmless = withoutQuerySecrets(text.replace(/\/\/[^/?#]*@/g, '//***@'))
  return shorten(escapeControls(JSON.stringify(harmless)))
}

/** An address may carry a token in its query. */
function withoutQuerySecrets(text: string): string {
  return text.includes('://') ? text.replace(/[?#].*$/s, '?…') : text
}

function shorten(text: string): string {
  return text.length <= LONGEST_SHOWN ? text : `${text.slice(0, LONGEST_SHOWN - 1)}…`
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
