// Which format a recording has, by its content: names end in anything.
import { readAccessLine } from './read-access-line.ts'
import { readNginxLine } from './read-nginx-line.ts'
import type { ParsedEntry, RecordingFormat } from './recording.ts'

/** @param beginning some kilobytes; its last line may be cut @returns undefined where it is none that we know */
export function detectFormat(beginning: string): RecordingFormat | undefined {
  const text = beginning.replace(/^\ufeff/, '').trimStart()
  if (/^\{\s*"log"\s*:\s*\{/.test(text)) return 'har'
  // A log that was rotated or filtered may begin with half a line, or with somebody else's.
  const lines = text.split('\n', MAX_LINES).filter((line) => line.trim() !== '')
  const fits = (read: (line: string) => ParsedEntry) =>
    lines.filter((line) => read(line.trimEnd()).kind !== 'unreadable').length
  const [json, combined] = [fits(readAccessLine), fits(readNginxLine)]
  if (json === 0 && combined === 0) return undefined
  return json >= combined ? 'access-log' : 'nginx'
}

const MAX_LINES = 100
