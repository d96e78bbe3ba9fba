// JSON that every parser reads alike: UTF-8, limited depth, and no object with a repeated name, of which JSON.parse uses the
// last value and other parsers the first (RFC 8259 section 4).

/** Deeper than every request of the API. */
const MAX_DEPTH = 16
const UTF8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

/** @returns the value; or the mistake in the text, undefined if the text is not JSON at all */
export function parseStrictly(
  bytes: Uint8Array,
): { readonly value: unknown } | { readonly trouble: string | undefined } {
  try {
    const text = UTF8.decode(bytes)
    // The depth is checked before parsing: a recursive parser can overflow its stack.
    const { depth, members } = measure(text)
    if (depth > MAX_DEPTH) return { trouble: `more than ${MAX_DEPTH} levels deep` }
    const value: unknown = JSON.parse(text)
    return countMembers(value) < members ? { trouble: 'an object has the same name twice' } : { value }
  } catch {
    return { trouble: undefined }
  }
}

/** The depth of a text, up to the first level that is too deep, and the number of members of its objects. */
function measure(text: string): { readonly depth: number; readonly members: number } {
  let [depth, deepest, members] = [0, 0, 0]
  for (let i = 0; i < text.length && deepest <= MAX_DEPTH; i++) {
    const character = text[i]
    if (character === '"') i = endOfString(text, i)
    // Outside of strings a colon follows a name, and occurs nowhere else.
    else if (character === ':') members++
    else if (character === '{' || character === '[') deepest = Math.max(deepest, ++depth)
    else if (character === '}' || character === ']') depth--
  }
  return { depth: deepest, members }
}

/** The index of the closing quote of the string that begins at `start`; the end of the text if there is no quote. */
function endOfString(text: string, start: number): number {
  let i = start + 1
  while (i < text.length && text[i] !== '"') i += text[i] === '\\' ? 2 : 1
  return i
}

/** The number of members after parsing, which keeps one of each name. */
function countMembers(value: unknown): number {
  if (typeof value !== 'object' || value === null) return 0
  const inner = Object.values(value).reduce((sum: number, member) => sum + countMembers(member), 0)
  return inner + (Array.isArray(value) ? 0 : Object.keys(value).length)
}
