// The application log: what happened to the gateway, as opposed to what it was asked (access-log.ts). On stderr,
// so that an access log on stdout stays one line a request.
//
// ERROR wakes somebody and is zero on a healthy day; WARN heals itself; INFO tells the story of a deploy.
import { type Logger, pino } from 'pino'
import { isColorSupported, prettyFactory } from 'pino-pretty'
import { escapeControls } from '../../lib/escape.ts'
import type { LineFile } from './line-file.ts'

export type LogLevel = 'silent' | 'error' | 'warn' | 'info' | 'debug'

/** Whatever somebody puts into a log call by accident, these never come out. */
const SECRETS = ['authorization', 'proxy-authorization', 'cookie', 'set-cookie', 'token', 'password', 'secret']
const SECRET_PATHS = SECRETS.flatMap((name) => [name, name.replace(/(^|-)[a-z]/g, (start) => start.toUpperCase())])
  .map((name) => `["${name}"]`)
  .flatMap((name) => [name, `*${name}`, `*.*${name}`])

export function createLog(to: LineFile, level: LogLevel, pretty: boolean): Logger {
  const print = pretty ? forPeople : forMachines
  return pino(
    {
      level,
      base: null,
      formatters: { level: (label) => ({ level: label }) },
      redact: { paths: SECRET_PATHS, censor: '***' },
    },
    { write: (line) => to.write(print(line)) },
  )
}

const prettyLine = prettyFactory({
  colorize: isColorSupported,
  singleLine: true,
  translateTime: 'SYS:HH:MM:ss.l',
})

/** pino has escaped what JSON must; its own line break is the last character. */
function forMachines(line: string): string {
  return `${escapeControls(line.slice(0, -1))}\n`
}

function forPeople(line: string): string {
  return prettyLine(parsePrintable(line))
}

/** A log line as a value whose strings no terminal acts upon; a stack trace keeps its lines. */
export function parsePrintable(line: string): Record<string, unknown> {
  return JSON.parse(line, (key, value) => {
    if (typeof value !== 'string') return value
    return key === 'stack' ? value.split('\n').map(escapeControls).join('\n') : escapeControls(value)
  })
}
