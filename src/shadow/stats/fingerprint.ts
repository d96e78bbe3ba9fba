// The short name of a difference, for people.
import { createHash } from 'node:crypto'
import { LruMap } from '../../lib/lru-map.ts'
import type { Field } from '../../model/comparison.ts'

/** Ten hexadecimal digits, the same for the same field of the same route on every gateway. */
export function fingerprintOf(context: string, route: string, field: Field): string {
  const name = `${context}\n${route}\n${field}`
  const cached = fingerprints.get(name)
  if (cached !== undefined) return cached
  const fingerprint = createHash('sha256').update(name).digest('hex').slice(0, 10)
  fingerprints.set(name, fingerprint)
  return fingerprint
}

/** The same few fields differ in comparison after comparison. */
const fingerprints = new LruMap<string, string>(5000)
