// The text of a file of counts: a digest of all that follows, then a line for each entry. A file that was cut at the end
// of a line, or in which a digit was changed, would otherwise be read as if nothing had happened.
import { createHash } from 'node:crypto'
import type { Entries } from '../counts-entries.ts'
import { NotThat } from '../shape.ts'

/** Neither JSON has one in it. */
const BETWEEN = '\t'

export function countsText(entries: Entries): string {
  const lines = [...entries].map(([name, text]) => `${name}${BETWEEN}${text}\n`).join('')
  return `${digestOf(lines)}\n${lines}`
}

/** @throws {NotThat} if it is not as it was written */
export function entriesIn(text: string): Entries {
  const end = text.indexOf('\n') + 1
  const lines = text.slice(end)
  if (text.slice(0, end) !== `${digestOf(lines)}\n`) throw new NotThat('a file of counts', 'it was cut or changed')
  const entries: Entries = new Map()
  for (const line of lines.split('\n').slice(0, -1)) {
    const at = line.indexOf(BETWEEN)
    entries.set(line.slice(0, at), line.slice(at + 1))
  }
  return entries
}

function digestOf(lines: string): string {
  return createHash('sha256').update(lines).digest('hex')
}
