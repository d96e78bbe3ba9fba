// Durations and times: reads 90s, 30m, 2h and 1d; shows durations and local times.
import { durationMs } from '../../admin/contract/durations.ts'
import { formatValue } from '../../config/mistake.ts'
import { UsageError } from '../usage-error.ts'

const HOUR_MINUTES = 60
const DAY_HOURS = 24

/** @returns the text in lower case, such as `30m` @throws {UsageError} if it is not a duration */
export function readDuration(text: string, option: string): string {
  const duration = text.trim().toLowerCase()
  if ((durationMs(duration) ?? 0) > 0) return duration
  throw new UsageError(`${option}: must be a duration such as 90s, 30m, 2h or 1d (found ${formatValue(text)})`)
}

/** A duration in its two largest units: `2 h 5 min`, `12 s`, `84 ms`. */
export function showDuration(ms: number): string {
  const whole = Math.max(0, Math.round(ms))
  if (whole < 1_000) return `${whole} ms`
  if (whole < 10_000) return `${(whole / 1_000).toFixed(1).replace(/\.0$/, '')} s`
  if (whole < 59_500) return `${Math.round(whole / 1_000)} s`
  const minutes = Math.round(whole / 60_000)
  if (minutes < HOUR_MINUTES) return `${minutes} min`
  const hours = Math.round(minutes / HOUR_MINUTES)
  if (minutes < DAY_HOURS * HOUR_MINUTES) {
    return twoUnits(Math.floor(minutes / HOUR_MINUTES), 'h', minutes % HOUR_MINUTES, 'min')
  }
  return twoUnits(Math.floor(hours / DAY_HOURS), 'd', hours % DAY_HOURS, 'h')
}

function twoUnits(large: number, unit: string, small: number, smallUnit: string): string {
  return small === 0 ? `${large} ${unit}` : `${large} ${unit} ${small} ${smallUnit}`
}

/**
 * The start of the data: the beginning of the window, or the first hour with data in it.
 *
 * @param from milliseconds since 1970
 * @param dataSince null without data; undefined if an older gateway does not send it
 */
export function showSince(from: number, dataSince: number | null | undefined, now: number): string {
  if (dataSince === null) return `since ${showTime(from, now)}: no data`
  if (dataSince === undefined || dataSince <= from) return `since ${showTime(from, now)}`
  return `since ${showTime(dataSince, now)}`
}

/** `14:32` today, `2026-11-22 14:32` on another day, in the local time zone. @param time milliseconds since 1970 */
export function showTime(time: number, now: number): string {
  const [date, clock] = [dateOf(time), clockOf(time)]
  return date === dateOf(now) ? clock : `${date} ${clock}`
}

/** Date and time to the second, in the local time zone. @param time milliseconds since 1970 */
export function showMoment(time: number): string {
  return `${dateOf(time)} ${clockOf(time)}:${digits(new Date(time).getSeconds())}`
}

/** `until 14:32 (in 30 min)`, `without end`. */
export function showEnd(until: number | null, now: number): string {
  if (until === null) return 'without end'
  return `until ${showTime(until, now)} (${until > now ? `in ${showDuration(until - now)}` : 'over'})`
}

function dateOf(time: number): string {
  const date = new Date(time)
  return `${date.getFullYear()}-${digits(date.getMonth() + 1)}-${digits(date.getDate())}`
}

function clockOf(time: number): string {
  const date = new Date(time)
  return `${digits(date.getHours())}:${digits(date.getMinutes())}`
}

function digits(number: number): string {
  return String(number).padStart(2, '0')
}
