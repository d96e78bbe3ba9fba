// Finds members with the same name in a JSON object: JSON.parse uses the last of them, other parsers the first.

/**
 * Whether any object in a JSON text contains a name twice, escaped or not (RFC 8259 section 4).
 *
 * @param json a text that JSON.parse accepts
 */
export function hasDuplicateMembers(json: string): boolean {
  /** The names in each open object; undefined for an array. */
  const open: (Set<string> | undefined)[] = []
  for (let i = 0; i < json.length; i++) {
    const character = json[i]
    if (character === '{') open.push(new Set())
    else if (character === '[') open.push(undefined)
    else if (character === '}' || character === ']') open.pop()
    else if (character === '"') {
      const end = endOfString(json, i)
      const names = open.at(-1)
      if (names !== undefined && isName(json, end)) {
        const name = JSON.parse(json.slice(i, end)) as string
        if (names.has(name)) return true
        names.add(name)
      }
      i = end - 1
    }
  }
  return false
}

/** The index after the string that begins at `start`. */
function endOfString(json: string, start: number): number {
  let i = start + 1
  while (json[i] !== '"') i += json[i] === '\\' ? 2 : 1
  return i + 1
}

/** A string is a member's name if a colon follows it. */
function isName(json: string, end: number): boolean {
  let i = end
  while (json[i] === ' ' || json[i] === '\t' || json[i] === '\n' || json[i] === '\r') i++
  return json[i] === ':'
}
