// What a person calls a difference by.
import { createHash } from 'node:crypto'
import type { Field } from '../model/comparison.ts'

/** The same for the same field of the same route, on every gateway: ten hexadecimal digits. */
export function fingerprintOf(context: string, route: string, field: Field): string {
  return createHash('sha256').update(`${context}\n${route}\n${field}`).digest('hex').slice(0, 10)
}
