// Parses JSON without losing differences: it keeps all digits of a number, repeated names, and members called `__proto__`. JSON.parse
// rounds 9007199254740993, keeps the last of two members, and has no limits.
import type { CompareLimits } from './compare-limits.ts'
import { type JsonNumber, readNumber } from './json-number.ts'

export type JsonValue = null | boolean | string | JsonNumber | JsonArray | JsonObject
export type JsonArray = readonly JsonValue[]
export type JsonObject = ReadonlyMap<string, JsonValue>

export type JsonDocument = {
  readonly root: JsonValue
  /** The repeated names of each object (RFC 8259 section 4). The object has the last value of a repeated name. */
  readonly repeated: ReadonlyMap<JsonObject, ReadonlySet<string>>
}

type ReadJson =
  | { readonly kind: 'read'; readonly document: JsonDocument }
  | { readonly kind: 'malformed' }
  | { readonly kind: 'too-deep' }
  | { readonly kind: 'too-complex' }

/** Accepts the same texts as JSON.parse, within limits. It has its own stack, so nesting cannot overflow the call stack. */
export function readJson(text: string, limits: Pick<CompareLimits, 'maxDepth' | 'maxNodes'>): ReadJson {
  const open: Container[] = []
  const repeated = new Map<JsonObject, Set<string>>()
  let nodes = 0
  let position = skipSpace(text, 0)
  for (;;) {
    // A value begins here.
    if (++nodes > limits.maxNodes) return { kind: 'too-complex' }
    const code = text.charCodeAt(position)
    let value: JsonValue
    if (code === OPEN_OBJECT || code === OPEN_ARRAY) {
      if (open.length === limits.maxDepth) return { kind: 'too-deep' }
      const container = code === OPEN_OBJECT ? openObject() : openArray()
      position = skipSpace(text, position + 1)
      if (text.charCodeAt(position) !== container.closes) {
        open.push(container)
        if (container.kind === 'object') {
          position = readName(text, position, container, repeated)
          if (position === -1) return MALFORMED
        }
        continue
      }
      position++
      value = container.value
    } else if (code === QUOTE) {
      const end = endOfString(text, position)
      const read = end === -1 ? undefined : readString(text, position, end)
      if (read === undefined) return MALFORMED
      value = read
      position = end
    } else if (code === MINUS || (code >= ZERO && code <= NINE)) {
      NUMBER.lastIndex = position
      const number = NUMBER.exec(text)?.[0]
      if (number === undefined) return MALFORMED
      value = readNumber(number)
      position += number.length
    } else if (text.startsWith('true', position)) {
      value = true
      position += 4
    } else if (text.startsWith('false', position)) {
      value = false
      position += 5
    } else if (text.startsWith('null', position)) {
      value = null
      position += 4
    } else return MALFORMED

    // The value has ended, and perhaps the containers around it.
    for (;;) {
      const holder = open.at(-1)
      position = skipSpace(text, position)
      if (holder === undefined) {
        return position === text.length ? { kind: 'read', document: { root: value, repeated } } : MALFORMED
      }
      if (holder.kind === 'array') holder.value.push(value)
      else holder.value.set(holder.name, value)
      const next = text.charCodeAt(position)
      position = skipSpace(text, position + 1)
      if (next === COMMA) {
        if (holder.kind === 'object') {
          position = readName(text, position, holder, repeated)
          if (position === -1) return MALFORMED
        }
        break
      }
      if (next !== holder.closes) return MALFORMED
      value = holder.value
      open.pop()
    }
  }
}

type Container = OpenArray | OpenObject
type OpenArray = { readonly kind: 'array'; readonly closes: number; readonly value: JsonValue[] }
type OpenObject = {
  readonly kind: 'object'
  readonly closes: number
  readonly value: Map<string, JsonValue>
  /** The name of the member whose value is being parsed. */
  name: string
}

const MALFORMED = { kind: 'malformed' } as const
const QUOTE = 34
const COMMA = 44
const MINUS = 45
const ZERO = 48
const NINE = 57
const COLON = 58
const OPEN_ARRAY = 91
const BACKSLASH = 92
const CLOSE_ARRAY = 93
const OPEN_OBJECT = 123
const CLOSE_OBJECT = 125
/** RFC 8259 section 6. */
const NUMBER = /-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?/y

function openObject(): OpenObject {
  return { kind: 'object', closes: CLOSE_OBJECT, value: new Map(), name: '' }
}

function openArray(): OpenArray {
  return { kind: 'array', closes: CLOSE_ARRAY, value: [] }
}

/** Parses the name of a member and its colon. @returns the position of its value, or -1 */
function readName(text: string, position: number, object: OpenObject, repeated: Map<JsonObject, Set<string>>): number {
  const end = text.charCodeAt(position) === QUOTE ? endOfString(text, position) : -1
  const name = end === -1 ? undefined : readString(text, position, end)
  if (name === undefined) return -1
  const colon = skipSpace(text, end)
  if (text.charCodeAt(colon) !== COLON) return -1
  object.name = name
  if (object.value.has(name)) {
    const names = repeated.get(object.value)
    if (names === undefined) repeated.set(object.value, new Set([name]))
    else names.add(name)
  }
  return skipSpace(text, colon + 1)
}

/** The position after the closing quote; -1 without one, or with a control character before it. */
function endOfString(text: string, start: number): number {
  for (let i = start + 1; i < text.length; i++) {
    const code = text.charCodeAt(i)
    if (code === QUOTE) return i + 1
    if (code === BACKSLASH) i++
    else if (code < 32) return -1
  }
  return -1
}

function readString(text: string, start: number, end: number): string | undefined {
  const inside = text.slice(start + 1, end - 1)
  if (!inside.includes('\\')) return inside
  try {
    return JSON.parse(text.slice(start, end)) as string
  } catch {
    return undefined
  }
}

function skipSpace(text: string, start: number): number {
  let i = start
  for (;;) {
    const code = text.charCodeAt(i)
    if (code !== 32 && code !== 10 && code !== 13 && code !== 9) return i
    i++
  }
}
