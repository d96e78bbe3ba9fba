// Helpers for tests of comparisons: responses, and comparisons as short lines.
import { gzipSync } from 'node:zlib'
import fc from 'fast-check'
import type { Comparison } from '../../model/comparison.ts'
import { type ComparedResponse, compareAnswers } from './compare-answers.ts'
import { DEFAULT_LIMITS } from './compare-limits.ts'
import { createFindings } from './findings.ts'
import { type CompiledRules, NO_RULES, readRules } from './rules.ts'

export function answer(
  body: string | Uint8Array,
  type = 'application/json',
  more: Partial<ComparedResponse> = {},
): ComparedResponse {
  const bytes = typeof body === 'string' ? Buffer.from(body) : body
  return { status: 200, headers: type === '' ? [] : ['Content-Type', type], body: bytes, isTruncated: false, ...more }
}

export function gzipped(body: string, type = 'application/json'): ComparedResponse {
  return answer(gzipSync(body), type, { headers: ['Content-Type', type, 'Content-Encoding', 'gzip'] })
}

/** `value $.a`, … in order; or `uncomparable bomb`. */
export function summary(comparison: Comparison): string[] {
  if (comparison.kind === 'uncomparable') return [`uncomparable ${comparison.reason}`]
  return comparison.differences.map(({ kind, path }) => `${kind} ${path}`).sort()
}

/** Two bodies of one type. */
export function compared(legacy: string, service: string, type = 'application/json', rules: unknown = {}): string[] {
  return summary(compareAnswers(answer(legacy, type), answer(service, type), rulesOf(rules)))
}

/** Two values as JSON. */
export function comparedJson(legacy: unknown, service: unknown, rules: unknown = {}): string[] {
  return compared(JSON.stringify(legacy), JSON.stringify(service), 'application/json', rules)
}

export function rulesOf(written: unknown): CompiledRules {
  const read = readRules(written)
  if (!read.ok) throw new Error(JSON.stringify(read.mistakes))
  return read.rules
}

export function findingsFor(rules: CompiledRules = NO_RULES) {
  return createFindings(rules, DEFAULT_LIMITS.maxDifferences)
}

/** JSON with unusual names and numbers. */
export const jsonTexts = fc.json({ maxDepth: 6 })

/** Random numbers that are the same for the same seed: mulberry32, in the public domain. */
export function seeded(seed: number): () => number {
  let state = seed
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4294967296
  }
}
