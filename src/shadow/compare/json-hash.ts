// Hashes JSON values, to align members of lists. Members with equal hashes are still compared, so a collision can cost precision but
// never hides a difference.
import { leafText } from './findings.ts'
import type { JsonArray, JsonObject, JsonValue } from './read-json.ts'

export type JsonHasher = (value: JsonValue) => number

/** Caches lists and objects, so that nested lists are not hashed once per level. */
export function createJsonHasher(): JsonHasher {
  const hashes = new WeakMap<object, number>()
  const hashOf = (value: JsonValue): number => {
    if (!isContainer(value)) return textHash(`${typeof value === 'string' ? 's' : 'v'}${leafText(value)}`)
    const existing = hashes.get(value)
    if (existing !== undefined) return existing
    let hash: number
    if (value instanceof Map) {
      // A sum, because the order of members has no meaning.
      hash = 1
      for (const [name, member] of value) hash = (hash + mix(textHash(name), hashOf(member))) % MODULUS
    } else {
      hash = 2
      for (const member of value as JsonArray) hash = mix(hash, hashOf(member))
    }
    hashes.set(value, hash)
    return hash
  }
  return hashOf
}

export function isContainer(value: JsonValue): value is JsonArray | JsonObject {
  return Array.isArray(value) || value instanceof Map
}

/** 53 bits of two 32-bit FNV-1a hashes with different seeds. */
export function textHash(text: string): number {
  let low = 0x811c9dc5
  let high = 0x01234567
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i)
    low = Math.imul(low ^ code, 0x01000193)
    high = Math.imul(high ^ code, 0x85ebca6b)
  }
  return joined(high, low)
}

const MODULUS = 2 ** 53 - 111

function mix(a: number, b: number): number {
  const low = Math.imul((a >>> 0) ^ 0x9e3779b9, 0x85ebca6b) ^ (b >>> 0)
  const high = Math.imul((a / 2 ** 32) ^ (b >>> 0), 0xc2b2ae35) ^ (b / 2 ** 32)
  return joined(Math.imul(high ^ (low >>> 15), 0x2c1b3c6d), Math.imul(low ^ (high >>> 13), 0x297a2d39))
}

function joined(high: number, low: number): number {
  return (high >>> 11) * 2 ** 32 + (low >>> 0)
}
