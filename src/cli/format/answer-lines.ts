// The lines of an answer, each with its place in the answer, so that lines which differ can be matched with the differences that
// the comparison reported. Pure.

/** `['$', 'items', 0, 'price']`, or `['header', 'vary']`; undefined for a body that is not JSON. */
type JsonPlace = readonly (string | number)[] | undefined
export type AnswerLine = { readonly text: string; readonly place: JsonPlace }

/** @param headers `[name, value, ...]` */
export function headerLines(headers: readonly string[]): AnswerLine[] {
  const lines = headers.flatMap((name, i) =>
    i % 2 === 0 ? [headerLine(name.toLowerCase(), headers[i + 1] ?? '')] : [],
  )
  return lines.toSorted((left, right) => (left.text < right.text ? -1 : left.text > right.text ? 1 : 0))
}

function headerLine(name: string, value: string): AnswerLine {
  const place = name === 'set-cookie' ? ['cookie', value.split('=')[0]!.trim()] : ['header', name]
  return { text: `${name}: ${value}`, place }
}

export function bodyLines(body: string): AnswerLine[] {
  try {
    return jsonLines(JSON.parse(body), ['$'], '', '')
  } catch {
    return [{ text: body, place: undefined }]
  }
}

/** The layout of JSON.stringify with an indentation of 2. @param prefix the indentation and name before the value */
function jsonLines(value: unknown, place: readonly (string | number)[], prefix: string, indent: string): AnswerLine[] {
  if (typeof value !== 'object' || value === null) return [{ text: `${prefix}${JSON.stringify(value)}`, place }]
  const isList = Array.isArray(value)
  const [open, close] = isList ? ['[', ']'] : ['{', '}']
  const members = Object.entries(value)
  if (members.length === 0) return [{ text: `${prefix}${open}${close}`, place }]
  const inner = `${indent}  `
  const lines = members.flatMap(([key, member], i) => {
    const name = isList ? '' : `${JSON.stringify(key)}: `
    const own = jsonLines(member, [...place, isList ? i : key], `${inner}${name}`, inner)
    return i === members.length - 1 ? own : addComma(own)
  })
  return [{ text: `${prefix}${open}`, place }, ...lines, { text: `${indent}${close}`, place }]
}

function addComma(lines: readonly AnswerLine[]): AnswerLine[] {
  return lines.map((line, i) => (i === lines.length - 1 ? { ...line, text: `${line.text},` } : line))
}

/** Whether a place is inside the field of a difference. @param path of the difference, such as `$.items[*].price` */
export function isPartOf(path: string, place: JsonPlace): boolean {
  if (place === undefined) return true
  const segments = path.match(SEGMENTS) ?? []
  // All attributes of a cookie are on one line, so only the name is compared.
  const field = segments[0] === 'cookie' ? segments.slice(0, 2) : segments
  return (
    field.length > 0 && field.length <= place.length && field.every((segment, i) => matchesSegment(segment, place[i]!))
  )
}

const SEGMENTS = /\[\*\]|\["(?:[^"\\]|\\.)*"\]|\.\*|\.[\w@#:-]+|^[$\w]+/g

function matchesSegment(segment: string, key: string | number): boolean {
  if (segment === '[*]') return typeof key === 'number'
  if (segment === '.*') return typeof key === 'string'
  if (segment.startsWith('[')) return JSON.parse(segment.slice(1, -1)) === key
  return (segment.startsWith('.') ? segment.slice(1) : segment) === key
}
