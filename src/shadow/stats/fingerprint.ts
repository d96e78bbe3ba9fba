// What a person calls a difference by.
import { createHash } from 'node:crypto'
import type { Field } from '../../model/comparison.ts'

/** The same for the same field of the same route, on every gateway: ten hexadecimal digits. */
export function fingerprintOf(context: string, route: string, field: Field): string {
  const what = `${context}\n${route}\n${field}`
  const known = kept.get(what)
  if (known !== undefined) return known
  const made = createHash('sha256').update(what).digest('hex').slice(0, 10)
  if (kept.size >= MOST_KEPT) kept.clear()
  kept.set(what, made)
  return made
}

/** The same few differ in comparison after comparison. */
const kept = new Map<string, string>()
const MOST_KEPT = 5000
