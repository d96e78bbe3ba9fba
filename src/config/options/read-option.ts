// Readers of single options. Each reports a mistake under the name that the option has in its source.
import { readFileSync } from 'node:fs'
import { isIP } from 'node:net'
import { LOG_LEVELS, type LogLevel } from '../../model/log-level.ts'
import { findNearest, formatValue, type ReportMistake } from '../mistake.ts'
import { addressRange } from '../schema/leaves.ts'
import type { OptionName } from './option-table.ts'

/** The value of an option, with the name that the option has in the source of the value. */
export type OptionValue = {
  readonly value: string
  /** The flag, such as `--port`, or the variable, such as `STRANGLER_PORT`. */
  readonly name: string
  /** False where the value is the default. */
  readonly isWritten: boolean
}

/** Returns the value of an option: from the command line, else from the environment, else the default. */
export type OptionLookup = (name: OptionName) => OptionValue

const MIN_SECRET_LENGTH = 16
const MIN_ADMIN_TOKEN_LENGTH = 32

export function readText({ value, name }: OptionValue, report: ReportMistake): string {
  if (value.trim() === '' || value.includes('\0')) {
    report({ path: name, found: formatValue(value), message: 'must not be empty; leave it out for the default' })
  }
  return value
}

export function readHost({ value, name }: OptionValue, report: ReportMistake): string {
  const host = value.replace(/^\[(.*)\]$/, '$1')
  if (isIP(host) === 0 && !/^[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?$/i.test(host)) {
    report({
      path: name,
      found: formatValue(value),
      message: 'must be an address or name to listen on, such as "127.0.0.1" or "0.0.0.0"',
    })
  }
  return host
}

export function readNames({ value, name }: OptionValue, report: ReportMistake): string[] {
  const names = value.split(',').map((part) => part.trim().toLowerCase())
  const isName = (text: string) => /^[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?$/.test(text)
  if (value === '') return []
  if (!names.every(isName)) {
    report({
      path: name,
      found: formatValue(value),
      message: 'must be host names without ports, such as "gateway,gateway.prod"',
    })
  }
  return names
}

export function readRanges({ value, name }: OptionValue, report: ReportMistake): string[] {
  const ranges = value === '' ? [] : value.split(',').map((range) => range.trim())
  for (const range of ranges) {
    const checked = addressRange.safeParse(range)
    if (!checked.success)
      report({ path: name, found: formatValue(range), message: checked.error.issues[0]?.message ?? '' })
  }
  return ranges
}

export function readMetricsToken(token: OptionValue, file: OptionValue, report: ReportMistake): string | undefined {
  if (token.isWritten && file.isWritten) {
    const message = `is set, and ${file.name} as well; set one of them`
    report({ path: token.name, found: '', message })
  }
  if (!file.isWritten) return readAdminToken(token, report)
  const value = readText(file, report)
  try {
    return readAdminToken({ ...file, value: readFileSync(value, 'utf8').trim() }, report)
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code ?? 'no reason given'
    report({ path: file.name, found: formatValue(value), message: `must be a file that can be read (${code})` })
    return undefined
  }
}

export function readMilliseconds({ value, name }: OptionValue, report: ReportMistake): number {
  const ms = /^\d{1,6}$/.test(value) ? Number(value) : Number.NaN
  if (!(ms <= 60_000))
    report({ path: name, found: formatValue(value), message: 'must be milliseconds from 0 to 60000' })
  return ms
}

export function readPort({ value, name }: OptionValue, report: ReportMistake): number {
  const port = /^\d{1,5}$/.test(value) ? Number(value) : Number.NaN
  // Kubernetes sets STRANGLER_PORT=tcp://10.0.0.1:80 in every pod beside a Service named "strangler".
  const hint = value.startsWith('tcp://') ? ': rename the Service, or set "enableServiceLinks: false" in the pod' : ''
  if (!(port <= 65_535))
    report({ path: name, found: formatValue(value), message: `must be a port from 0 to 65535${hint}` })
  return port
}

export function readLogLevel({ value, name }: OptionValue, report: ReportMistake): LogLevel {
  const level = LOG_LEVELS.find((candidate) => candidate === value)
  if (level !== undefined) return level
  const suggestion = findNearest(value, LOG_LEVELS)
  const hint = suggestion === undefined ? '' : `; did you mean "${suggestion}"?`
  report({ path: name, found: formatValue(value), message: `must be one of ${LOG_LEVELS.join(', ')}${hint}` })
  return 'info'
}

export function readSwitch({ value, name }: OptionValue, report: ReportMistake): boolean {
  if (value !== 'on' && value !== 'off') report({ path: name, found: formatValue(value), message: 'must be on or off' })
  return value === 'on'
}

export function readName({ value, name, isWritten }: OptionValue, report: ReportMistake): string | undefined {
  if (!isWritten) return undefined
  if (!/^[\w.:-]{1,64}$/.test(value))
    report({ path: name, found: formatValue(value), message: 'must be up to 64 letters, digits, and - _ . :' })
  // No command could remove a gateway named `.` or `..`, which cannot be a path segment, or `-x`, which is read as an option.
  else if (!/^[A-Za-z0-9]/.test(value))
    report({ path: name, found: formatValue(value), message: 'must begin with a letter or a digit' })
  return value
}

const UNITS_MS: Readonly<Record<string, number>> = { s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 }
const MIN_FORGET_MS = 10_000
const MAX_FORGET_MS = 7 * 86_400_000

export function readForgetAfter({ value, name }: OptionValue, report: ReportMistake): number {
  const [, amount, unit = ''] = /^(\d{1,6})([smhd])$/.exec(value) ?? []
  const ms = Number(amount) * (UNITS_MS[unit] ?? Number.NaN)
  if (!(ms >= MIN_FORGET_MS && ms <= MAX_FORGET_MS))
    report({ path: name, found: formatValue(value), message: 'must be a duration from 10s to 7d, such as 15m' })
  return ms
}

export function readSecret(
  { value, name, isWritten }: OptionValue,
  report: ReportMistake,
  minLength = MIN_SECRET_LENGTH,
): string | undefined {
  if (!isWritten) return undefined
  if (value.length < minLength) {
    const message = `must have at least ${minLength} characters; make one with "openssl rand -hex 32"`
    report({ path: name, found: `${value.length} characters, not shown`, message })
  }
  return value
}

/** The address as a mistake shows it: without user, password, query and fragment, which may contain a secret. */
export function showAddress(value: string): string {
  return formatValue(value.replace(/^.*@/s, '***@').replace(/[?#].*$/s, '?…'))
}

export function readUrl({ value, name, isWritten }: OptionValue, report: ReportMistake): string | undefined {
  if (!isWritten) return undefined
  const url = URL.parse(value)
  const isHttp =
    url !== null && ['http:', 'https:'].includes(url.protocol) && url.username === '' && url.password === ''
  if (!isHttp) {
    report({ path: name, found: showAddress(value), message: 'must be an address such as "http://10.0.0.7:8081"' })
  }
  return value
}

export function readAdminToken(token: OptionValue, report: ReportMistake): string | undefined {
  checkToken(token, report)
  return readSecret(token, report, MIN_ADMIN_TOKEN_LENGTH)
}

/** Reports a token that is not visible ASCII: it could not be sent in a header. */
export function checkToken({ value, name, isWritten }: OptionValue, report: ReportMistake): void {
  if (!isWritten || /^[\x21-\x7e]+$/.test(value)) return
  report({ path: name, found: 'not shown', message: 'must be one token, without spaces or line ends' })
}
