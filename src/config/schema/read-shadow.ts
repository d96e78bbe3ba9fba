// How requests are copied to the other side and compared, as it is written: for a context, and for a route over it.
import { z } from 'zod'
import type { Rules } from '../../model/comparison-rules.ts'
import type { NoisePolicy, ShadowPolicy } from '../../model/shadow-policy.ts'
import { readRules } from '../../shadow/compare/rules.ts'
import { formatValue, joinPath, type ReportMistake } from '../mistake.ts'
import { ownValue, readFields } from './fields.ts'
import { bytes, milliseconds, oneOf, share } from './leaves.ts'

const MEBIBYTE = 1024 * 1024

/** Nothing is copied unless somebody says so; all else is ready for an operator who does. */
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

/** The keys that are written, over those of `under`. @param under the context's where a route is read, else the defaults */
export function readShadow(written: unknown, path: string, under: ShadowPolicy, report: ReportMistake): ShadowPolicy {
  const { compare, noise, showOnly, ...fields } = readFields(written, path, SHADOW, report, EXAMPLE)
  return {
    ...under,
    ...fields,
    compare: compare === undefined ? under.compare : readCompare(compare, joinPath(path, 'compare'), report),
    showOnly: showOnly === undefined ? under.showOnly : readShowOnly(showOnly, joinPath(path, 'showOnly'), report),
    noise: noise === undefined ? under.noise : readNoise(noise, joinPath(path, 'noise'), under.noise, report),
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

function readNoise(written: unknown, path: string, under: NoisePolicy, report: ReportMistake): NoisePolicy {
  return { ...under, ...readFields(written, path, NOISE, report) }
}

/** The rules as plain values of our own: they go to a worker, and nobody edits them behind our back. */
function readCompare(written: unknown, path: string, report: ReportMistake): Rules {
  const read = readRules(written)
  if (read.ok) return JSON.parse(JSON.stringify(written)) as Rules
  for (const mistake of read.mistakes) {
    const value = valueAt(written, mistake.path)
    const isMissing = value === undefined && mistake.message.startsWith('must')
    const message = isMissing ? `is missing; it ${mistake.message}` : mistake.message
    report({ path: below(path, mistake.path), found: formatValue(value), message })
  }
  return {}
}

/** Patterns as those of `ignore`, and read as those are. */
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

/** A place within rules is written as we write places, but for a key that nobody should have written. */
function below(path: string, place: string): string {
  if (place === '') return path
  return /^[\w$.[\]-]+$/.test(place) ? `${path}.${place}` : joinPath(path, place)
}

/** `normalise[0].path` in the rules; undefined where nothing is. */
function valueAt(rules: unknown, place: string): unknown {
  const keys = place.split(/[.[\]]+/).filter((key) => key !== '')
  return keys.reduce(ownValue, rules)
}
