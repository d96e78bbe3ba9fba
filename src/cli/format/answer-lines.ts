// The lines of an answer, each with the place that it shows, so that what differs on the screen can be told from what
// differs in the comparison. Pure.

/** `['$', 'items', 0, 'price']`, or `['header', 'vary']`; undefined where nothing can be said of it. */
export type Place = readonly (string | number)[] | undefined
export type Line = { readonly text: string; readonly place: Place }

/** @param headers `[name, value, ...]` */
export function headerLines(headers: readonly string[]): Line[] {
  const lines = headers.flatMap((name, i) =>
    i % 2 === 0 ? [headerLine(name.toLowerCase(), headers[i + 1] ?? '')] : [],
  )
  return lines.toSorted((one, other) => (one.text < other.text ? -1 : one.text > other.text ? 1 : 0))
}

function headerLine(name: string, value: string): Line {
  const place = name === 'set-cookie' ? ['cookie', value.split('=')[0]!.trim()] : ['header', name]
  return { text: `${name}: ${value}`, place }
}

export function bodyLines(body: string): Line[] {
  try {
    return jsonLines(JSON.parse(body), ['$'], '', '')
  } catch {
    return [{ text: body, place: undefined }]
  }
}

/** As JSON.stringify sets it out. */
function jsonLines(value: unknown, place: readonly (string | number)[], before: string, indent: string): Line[] {
  if (typeof value !== 'object' || value === null) return [{ text: `${before}${JSON.stringify(value)}`, place }]
  const isList = Array.isArray(value)
  const [open, close] = isList ? ['[', ']'] : ['{', '}']
  const members = Object.entries(value)
  if (members.length === 0) return [{ text: `${before}${open}${close}`, place }]
  const inner = `${indent}  `
  const lines = members.flatMap(([key, member], i) => {
    const name = isList ? '' : `${JSON.stringify(key)}: `
    const own = jsonLines(member, [...place, isList ? i : key], `${inner}${name}`, inner)
    return i === members.length - 1 ? own : withComma(own)
  })
  return [{ text: `${before}${open}`, place }, ...lines, { text: `${indent}${close}`, place }]
}

function withComma(lines: readonly Line[]): Line[] {
  return lines.map((line, i) => (i === lines.length - 1 ? { ...line, text: `${line.text},` } : line))
}

/** Whether what is at this place is part of what a difference is about. @param path `$.items[*].price` */
export function isPartOf(path: string, place: Place): boolean {
  if (place === undefined) return true
  const segments = path.match(SEGMENTS) ?? []
  // All attributes of a cookie are on one line.
  const above = segments[0] === 'cookie' ? segments.slice(0, 2) : segments
  return above.length > 0 && above.length <= place.length && above.every((segment, i) => stands(segment, place[i]!))
}

const SEGMENTS = /\[\*\]|\["(?:[^"\\]|\\.)*"\]|\.\*|\.[\w@#:-]+|^[$\w]+/g

function stands(segment: string, at: string | number): boolean {
  if (segment === '[*]') return typeof at === 'number'
  if (segment === '.*') return typeof at === 'string'
  if (segment.startsWith('[')) return JSON.parse(segment.slice(1, -1)) === at
  return (segment.startsWith('.') ? segment.slice(1) : segment) === at
}
