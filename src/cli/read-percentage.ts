// Percentages on the command line: `25` or `25%`.
import { formatValue } from '../config/mistake.ts'
import { UsageError } from './usage-error.ts'

/** @throws {UsageError} unless it is a whole number from 0 to 100 */
export function readPercentage(text: string): number {
  const percentage = /^\d{1,3}%?$/.test(text) ? Number.parseInt(text, 10) : Number.NaN
  if (percentage <= 100) return percentage
  throw new UsageError(`the percentage must be whole, from 0 to 100 (found ${formatValue(text)})`)
}
