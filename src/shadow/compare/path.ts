// The path of a value in a response, without positions: `$.items[*].price`. A list of segments during the comparison, a text in its
// result.
import { quote } from '../../lib/escape.ts'

/** `['$', '.items', '[*]', '.price']`. One list, which the comparison extends and shortens. */
export type Path = string[]

export const BODY = '$'
export const EACH = '[*]'
export const ANY_KEY = '.*'

/** An object with more members counts as a dictionary: its keys are data. */
export const DICTIONARY_SIZE = 200

export function pathText(path: readonly string[]): string {
  return path.join('')
}

/** The segment of a member; `.*` for a key that looks like data. */
export function keySegment(key: string): string {
  const existing = cachedSegments.get(key)
  if (existing !== undefined) return existing
  const segment = isIdLike(key) ? ANY_KEY : namedSegment(key)
  if (cachedSegments.size >= MAX_CACHED_SEGMENTS) cachedSegments.clear()
  if (key.length <= MAX_NAME_LENGTH) cachedSegments.set(key, segment)
  return segment
}

/** The segment of exactly this name, in quotes unless it is a plain word. */
export function namedSegment(name: string): string {
  return PLAIN_NAME.test(name) ? `.${name}` : `[${quote(name)}]`
}

/**
 * Whether a key is an id, a date, an address or a token. There are as many such keys as data, so one path covers all of them. This is
 * a heuristic; the cap on fields bounds the keys that it misses.
 */
export function isIdLike(key: string): boolean {
  if (key.length > MAX_NAME_LENGTH) return true
  return ID_LIKE.some((looks) => looks.test(key)) || (key.length >= 16 && digitsIn(key) >= 3)
}

const MAX_NAME_LENGTH = 64
const PLAIN_NAME = /^[A-Za-z_@#][\w@#:-]*$/

/** Each is linear, because bodies choose the keys. */
const ID_LIKE = [
  // 2024-05-01, 404, 7f3a...
  /^\d/,
  // an e-mail address, a URL, a path
  /.@|\//,
  // user-17, SKU_0017
  /[-_:.]\d\d+$/,
  // order20241
  /\d{4}/,
  // a hexadecimal id
  /^(?=[a-f-]*\d)[0-9a-f-]{8,}$/i,
]

function digitsIn(key: string): number {
  let digits = 0
  for (let i = 0; i < key.length; i++) {
    const code = key.charCodeAt(i)
    if (code >= 48 && code <= 57) digits++
  }
  return digits
}

const MAX_CACHED_SEGMENTS = 5000
const cachedSegments = new Map<string, string>()
