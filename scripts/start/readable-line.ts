// Formats a log line for a terminal. The gateway writes JSON lines, the other programs write text.

export function readableLine(line: string): string {
  const entry = line.startsWith('{') ? parsed(line) : undefined
  return printable(entry === undefined ? line : isRequest(entry) ? requestLine(entry) : logLine(entry))
}

type Entry = Readonly<Record<string, unknown>>

/** `GET /products 200 service (flag) 3.1 ms`, with the failure if there is one. */
function requestLine(entry: Entry): string {
  const decided =
    entry.side === undefined ? '' : ` ${entry.side}${entry.reason === undefined ? '' : ` (${entry.reason})`}`
  const took = typeof entry.durationMs === 'number' ? ` ${entry.durationMs.toFixed(1)} ms` : ''
  const trouble = ['failure', 'error', 'fellBack'].filter((key) => entry[key] !== undefined)
  return `${entry.method} ${entry.path} ${entry.status}${decided}${took}${trouble.map((key) => ` ${key}=${shown(entry[key])}`).join('')}`
}

function logLine({ level, time: _time, msg, ...facts }: Entry): string {
  const entries = Object.entries(facts)
  const inline = entries.filter(([, value]) => !isList(value)).map(([key, value]) => ` ${key}=${shown(value)}`)
  const listed = entries.flatMap(([, value]) => (isList(value) ? value.map((text) => `\n  ${text}`) : []))
  const loud =
    level === undefined || level === 'info' || level === 30
      ? ''
      : `${String(LEVELS[Number(level)] ?? level).toUpperCase()} `
  return `${loud}${msg ?? ''}${inline.join('')}${listed.join('')}`
}

const LEVELS: Readonly<Record<number, string>> = { 10: 'trace', 20: 'debug', 40: 'warn', 50: 'error', 60: 'fatal' }

function isRequest(entry: Entry): boolean {
  return typeof entry.method === 'string' && typeof entry.path === 'string' && typeof entry.status === 'number'
}

/** Mistakes and warnings of the map: each gets its own line. */
function isList(value: unknown): value is readonly string[] {
  return Array.isArray(value) && value.length > 0 && value.every((text) => typeof text === 'string')
}

function shown(value: unknown): string {
  return typeof value === 'string' ? value : JSON.stringify(value)
}

function parsed(line: string): Entry | undefined {
  try {
    return JSON.parse(line)
  } catch {
    return undefined
  }
}

/** Replaces control characters, with which a client could control the terminal of the reader. */
function printable(text: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
  return text.replace(/[\u0000-\u0008\u000b-\u001f\u007f-\u009f]/g, '\ufffd')
}
