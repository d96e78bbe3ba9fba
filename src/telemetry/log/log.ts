// The application log: events of the gateway itself; requests are in the access log (access-log.ts). It goes to stderr, so
// that an access log on stdout has exactly one line for each request.
//
// ERROR needs an operator and does not occur on a healthy day; WARN recovers by itself; INFO describes a deploy.
import { type Logger, pino } from 'pino'
import { isColorSupported, prettyFactory } from 'pino-pretty'
import { escapeControls } from '../../lib/escape.ts'
import type { LogLevel } from '../../model/log-level.ts'
import type { LineSink } from './line-file.ts'

/** Fields that the log never contains, even if a log call contains them by accident. */
const SECRETS = ['authorization', 'proxy-authorization', 'cookie', 'set-cookie', 'token', 'password', 'secret']
const SECRET_PATHS = SECRETS.flatMap((name) => [name, name.replace(/(^|-)[a-z]/g, (start) => start.toUpperCase())])
  .map((name) => `["${name}"]`)
  .flatMap((name) => [name, `*${name}`, `*.*${name}`])

export function createLog(sink: LineSink, level: LogLevel, pretty: boolean): Logger {
  const print = pretty ? formatSentence : escapeLine
  return pino(
    {
      level,
      base: null,
      formatters: { level: (label) => ({ level: label }) },
      redact: { paths: SECRET_PATHS, censor: '***' },
    },
    { write: (line) => sink.write(print(line)) },
  )
}

const prettyLine = prettyFactory({
  colorize: isColorSupported,
  singleLine: true,
  translateTime: 'SYS:HH:MM:ss.l',
})

/** pino escapes only what JSON requires. Its line break is the last character. */
function escapeLine(line: string): string {
  return `${escapeControls(line.slice(0, -1))}\n`
}

function formatSentence(line: string): string {
  return prettyLine(parsePrintable(line))
}

/** Parses a log line and escapes every control character in its strings; a stack trace keeps its line breaks. */
export function parsePrintable(line: string): Record<string, unknown> {
  return JSON.parse(line, (key, value) => {
    if (typeof value !== 'string') return value
    return key === 'stack' ? value.split('\n').map(escapeControls).join('\n') : escapeControls(value)
  })
}
