// Durations as clients write them: `90s`, `30m`, `2h` or `1d`.
import { z } from 'zod'

/** Milliseconds of each unit. */
export const UNITS = { s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 } as const

/** @returns milliseconds; undefined if the text is not a duration such as `90s`, `30m`, `2h` or `1d` */
export function durationMs(text: string): number | undefined {
  const [, amount, unit] = /^(\d{1,9})([smhd])$/.exec(text) ?? []
  return unit === undefined ? undefined : Number(amount) * UNITS[unit as keyof typeof UNITS]
}

const LONGEST_WINDOW_MS = 7 * UNITS.d

/** The period that a report covers, up to now. */
export const windowText = z
  .string()
  .default('24h')
  .refine((text) => isWithin(durationMs(text), UNITS.h, LONGEST_WINDOW_MS), 'must be from 1h to 7d, such as 24h')
  .describe('The length of the period up to now, such as 2h or 7d. Counts are kept by the hour, for 7 days')

/** @param window a text that {@link windowText} accepts */
export function windowMs(window: string): number {
  return durationMs(window) ?? Number.NaN
}

function isWithin(value: number | undefined, least: number, most: number): boolean {
  return value !== undefined && value >= least && value <= most
}
