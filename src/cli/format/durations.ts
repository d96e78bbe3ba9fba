// Durations and times as a person writes and reads them: 90s, 30m, 2h, 1d; and an end by the clock on the wall.
import { durationMs } from '../../admin/contract/durations.ts'
import { formatValue } from '../../config/mistake.ts'
import { UsageError } from '../usage-error.ts'

const HOUR_MINUTES = 60
const DAY_HOURS = 24

/** `30m` as it was written, where it is a duration. @throws {UsageError} if it is none */
export function readDuration(text: string, option: string): string {
  const written = text.trim().toLowerCase()
  if ((durationMs(written) ?? 0) > 0) return written
  throw new UsageError(`${option}: must be a duration such as 90s, 30m, 2h or 1d (found ${formatValue(text)})`)
}

/** A length of time in its two largest units that say something: `2 h 5 min`, `12 s`, `84 ms`. */
export function showDuration(ms: number): string {
  const whole = Math.max(0, Math.round(ms))
  if (whole < 1_000) return `${whole} ms`
  if (whole < 10_000) return `${(whole / 1_000).toFixed(1).replace(/\.0$/, '')} s`
  if (whole < 59_500) return `${Math.round(whole / 1_000)} s`
  const minutes = Math.round(whole / 60_000)
  if (minutes < HOUR_MINUTES) return `${minutes} min`
  const hours = Math.round(minutes / HOUR_MINUTES)
  if (minutes < DAY_HOURS * HOUR_MINUTES) {
    return two(Math.floor(minutes / HOUR_MINUTES), 'h', minutes % HOUR_MINUTES, 'min')
  }
  return two(Math.floor(hours / DAY_HOURS), 'd', hours % DAY_HOURS, 'h')
}

function two(large: number, unit: string, small: number, smallUnit: string): string {
  return small === 0 ? `${large} ${unit}` : `${large} ${unit} ${small} ${smallUnit}`
}

/** `14:32` today, `2026-11-22 14:32` on another day; in the time zone of whoever reads it. */
/**
 * Since when numbers are known: from the beginning of the window, or from the first hour with data in it.
 *
 * @param dataSince null without data; undefined where an older gateway does not send it
 */
export function showSince(from: number, dataSince: number | null | undefined, now: number): string {
  if (dataSince === null) return `since ${showTime(from, now)}: no data`
  if (dataSince === undefined || dataSince <= from) return `since ${showTime(from, now)}`
  return `since ${showTime(dataSince, now)}`
}

export function showTime(at: number, now: number): string {
  const [date, clock] = [dateOf(at), clockOf(at)]
  return date === dateOf(now) ? clock : `${date} ${clock}`
}

/** Date and time to the second, in the time zone of whoever reads it. */
export function showMoment(at: number): string {
  return `${dateOf(at)} ${clockOf(at)}:${digits(new Date(at).getSeconds())}`
}

/** `until 14:32 (in 30 min)`, `without end`. */
export function showEnd(until: number | null, now: number): string {
  if (until === null) return 'without end'
  return `until ${showTime(until, now)} (${until > now ? `in ${showDuration(until - now)}` : 'over'})`
}

function dateOf(at: number): string {
  const date = new Date(at)
  return `${date.getFullYear()}-${digits(date.getMonth() + 1)}-${digits(date.getDate())}`
}

function clockOf(at: number): string {
  const date = new Date(at)
  return `${digits(date.getHours())}:${digits(date.getMinutes())}`
}

function digits(number: number): string {
  return String(number).padStart(2, '0')
}
