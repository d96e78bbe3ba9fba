// Detects the format of a recording by its content, because file names have any extension.
import { readAccessLine } from './read-access-line.ts'
import { readNginxLine } from './read-nginx-line.ts'
import type { ParsedEntry, RecordingFormat } from './recording.ts'

/** @param beginning some kilobytes, with a possibly incomplete last line @returns undefined for an unknown format */
export function detectFormat(beginning: string): RecordingFormat | undefined {
  const text = beginning.replace(/^\ufeff/, '').trimStart()
  if (/^\{\s*"log"\s*:\s*\{/.test(text)) return 'har'
  // A rotated or filtered log can begin with an incomplete line, or with a line of another program.
  const lines = text.split('\n', MAX_LINES).filter((line) => line.trim() !== '')
  const fits = (read: (line: string) => ParsedEntry) =>
    lines.filter((line) => read(line.trimEnd()).kind !== 'unreadable').length
  const [json, combined] = [fits(readAccessLine), fits(readNginxLine)]
  if (json === 0 && combined === 0) return undefined
  return json >= combined ? 'access-log' : 'nginx'
}

const MAX_LINES = 100
