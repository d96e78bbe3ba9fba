// Reads `shadow` of a context or a route: which requests are copied to the other side, and how responses are compared.
import { z } from 'zod'
import type { Rules } from '../../model/comparison-rules.ts'
import type { NoisePolicy, ShadowPolicy } from '../../model/shadow-policy.ts'
import { readRules } from '../../shadow/compare/rules.ts'
import { formatValue, joinPath, type ReportMistake } from '../mistake.ts'
import { ownValue, readFields } from './fields.ts'
import { bytes, milliseconds, oneOf, share } from './leaves.ts'

const MEBIBYTE = 1024 * 1024

/** The defaults: no request is copied until the map or an operator sets a sample. */
export const DEFAULT_SHADOW: ShadowPolicy = {
  sample: 0,
  compare: {},
  maxBodyBytes: MEBIBYTE,
  timeoutMs: 10_000,
  noise: { pairShare: 0.1, pairShareOpen: 1 },
  writes: 'never',
  identities: 'keep',
  showOnly: undefined,
}

/** Returns `base` with the keys that are written. @param base the policy of the context for a route, else the defaults */
export function readShadow(written: unknown, path: string, base: ShadowPolicy, report: ReportMistake): ShadowPolicy {
  const { compare, noise, showOnly, ...fields } = readFields(written, path, SHADOW, report, EXAMPLE)
  return {
    ...base,
    ...fields,
    compare: compare === undefined ? base.compare : readCompare(compare, joinPath(path, 'compare'), report),
    showOnly: showOnly === undefined ? base.showOnly : readShowOnly(showOnly, joinPath(path, 'showOnly'), report),
    noise: noise === undefined ? base.noise : readNoise(noise, joinPath(path, 'noise'), base.noise, report),
  }
}

const SHADOW = {
  sample: share.optional(),
  compare: z.unknown(),
  maxBodyBytes: bytes(1, 16 * MEBIBYTE).optional(),
  timeoutMs: milliseconds(1).optional(),
  noise: z.unknown(),
  writes: oneOf(['never', 'dry-run']).optional(),
  identities: oneOf(['keep', 'strip']).optional(),
  showOnly: z.unknown(),
} as const

const NOISE = { pairShare: share.optional(), pairShareOpen: share.optional() } as const

const EXAMPLE = '{ sample: 0.1 }'

function readNoise(written: unknown, path: string, base: NoisePolicy, report: ReportMistake): NoisePolicy {
  return { ...base, ...readFields(written, path, NOISE, report) }
}

/** Returns a copy of the rules as plain values: the comparing thread receives them, and later changes of the map object have no effect. */
function readCompare(written: unknown, path: string, report: ReportMistake): Rules {
  const read = readRules(written)
  if (read.ok) return JSON.parse(JSON.stringify(written)) as Rules
  for (const mistake of read.mistakes) {
    const value = valueAt(written, mistake.path)
    const isMissing = value === undefined && mistake.message.startsWith('must')
    const message = isMissing ? `is missing; it ${mistake.message}` : mistake.message
    report({ path: joinRulePath(path, mistake.path), found: formatValue(value), message })
  }
  return {}
}

/** Reads path patterns, in the syntax of `ignore`. */
function readShowOnly(written: unknown, path: string, report: ReportMistake): readonly string[] {
  const read = readRules({ ignore: written })
  if (read.ok) return [...(written as readonly string[])]
  for (const mistake of read.mistakes) {
    const place = mistake.path.replace(/^ignore/, '')
    report({
      path: `${path}${place}`,
      found: formatValue(valueAt({ ignore: written }, mistake.path)),
      message: mistake.message,
    })
  }
  return []
}

/** Joins the path of a mistake within the rules to the path of the rules; an unusual key is quoted. */
function joinRulePath(path: string, place: string): string {
  if (place === '') return path
  return /^[\w$.[\]-]+$/.test(place) ? `${path}.${place}` : joinPath(path, place)
}

/** Returns the value at a place such as `normalise[0].path`; undefined if the place does not exist. */
function valueAt(rules: unknown, place: string): unknown {
  const keys = place.split(/[.[\]]+/).filter((key) => key !== '')
  return keys.reduce(ownValue, rules)
}
