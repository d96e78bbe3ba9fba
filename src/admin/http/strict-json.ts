// JSON that every reader takes for the same: UTF-8, not too deep, and no object that says a name twice, of which JSON.parse
// takes the last and others the first (RFC 8259 section 4).

/** No request of ours is as deep. */
const DEEPEST = 16
const UTF8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

/** The value; or what is wrong with the text, undefined where it is no JSON at all. */
export function parseStrictly(
  bytes: Uint8Array,
): { readonly value: unknown } | { readonly trouble: string | undefined } {
  try {
    const text = UTF8.decode(bytes)
    // Before it is parsed: a parser that recurses has a stack to lose.
    const { depth, members } = measure(text)
    if (depth > DEEPEST) return { trouble: `more than ${DEEPEST} levels deep` }
    const value: unknown = JSON.parse(text)
    return membersOf(value) < members ? { trouble: 'a name is said twice' } : { value }
  } catch {
    return { trouble: undefined }
  }
}

/** How deep a text goes, at least as far as is too deep, and how many members its objects have. */
function measure(text: string): { readonly depth: number; readonly members: number } {
  let [depth, deepest, members] = [0, 0, 0]
  for (let i = 0; i < text.length && deepest <= DEEPEST; i++) {
    const character = text[i]
    if (character === '"') i = endOfString(text, i)
    // Outside of strings a colon stands behind a name, and nowhere else.
    else if (character === ':') members++
    else if (character === '{' || character === '[') deepest = Math.max(deepest, ++depth)
    else if (character === '}' || character === ']') depth--
  }
  return { depth: deepest, members }
}

/** Where the string that begins at `start` has its last quote; the end of the text if it has none. */
function endOfString(text: string, start: number): number {
  let i = start + 1
  while (i < text.length && text[i] !== '"') i += text[i] === '\\' ? 2 : 1
  return i
}

/** How many there are once the last of each name is left. */
function membersOf(value: unknown): number {
  if (typeof value !== 'object' || value === null) return 0
  const inner = Object.values(value).reduce((sum: number, one) => sum + membersOf(one), 0)
  return inner + (Array.isArray(value) ? 0 : Object.keys(value).length)
}
