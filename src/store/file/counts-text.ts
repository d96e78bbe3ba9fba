// The format of a file of counts: a digest of the rest, then one line for each entry. Without the digest, a file that was cut
// at the end of a line, or in which a digit was changed, would be read without an error.
import { createHash } from 'node:crypto'
import type { Entries } from '../counts-entries.ts'
import { InvalidStoredValue } from '../state-schema.ts'

/** JSON contains no raw tab. */
const SEPARATOR = '\t'

export function formatCounts(entries: Entries): string {
  const lines = [...entries].map(([name, text]) => `${name}${SEPARATOR}${text}\n`).join('')
  return `${digestOf(lines)}\n${lines}`
}

/** @throws {InvalidStoredValue} if the file was changed */
export function parseCounts(text: string): Entries {
  const end = text.indexOf('\n') + 1
  const lines = text.slice(end)
  if (text.slice(0, end) !== `${digestOf(lines)}\n`)
    throw new InvalidStoredValue('a file of counts', 'it was cut or changed')
  const entries: Entries = new Map()
  for (const line of lines.split('\n').slice(0, -1)) {
    const separatorIndex = line.indexOf(SEPARATOR)
    entries.set(line.slice(0, separatorIndex), line.slice(separatorIndex + 1))
  }
  return entries
}

function digestOf(lines: string): string {
  return createHash('sha256').update(lines).digest('hex')
}
