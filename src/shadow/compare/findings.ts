// Collects the differences of two responses: one for each path and kind, without those that a rule forgives.
import type { Difference, DifferenceKind } from '../../model/comparison.ts'
import { type JsonNumber, numberText, sameNumber, toDouble } from './json-number.ts'
import { type Path, pathText } from './path.ts'
import type { CompiledRules, ListRule, PlaceRules } from './rules.ts'

export type Findings = {
  /** Reports a difference; forgiven if the path is ignored. */
  readonly differ: (path: Path, kind: DifferenceKind, legacy: string | null, service: string | null) => void
  /** Compares two values, which may be equal after normalisation or within a tolerance. */
  readonly leaf: (path: Path, legacy: Leaf, service: Leaf) => void
  /** How the list at this path is compared; undefined: in order. */
  readonly listRule: (path: Path) => ListRule | undefined
  /** Counts a difference that a rule forgives. */
  readonly forgive: () => void
  readonly areEquivalent: (status: number, other: number) => boolean
  readonly result: () => {
    readonly differences: readonly Difference[]
    readonly more: boolean
    readonly forgiven: number
  }
}

export type Leaf = null | boolean | string | JsonNumber

export function createFindings(rules: CompiledRules, maxDifferences: number): Findings {
  const differences = new Map<string, { -readonly [K in keyof Difference]: Difference[K] }>()
  let more = false
  let forgiven = 0
  const forgive = (): void => {
    forgiven++
  }

  const differ: Findings['differ'] = (path, kind, legacy, service) => {
    if (rules.rulesAt(path).ignored) return forgive()
    const text = pathText(path)
    const key = `${kind} ${text}`
    const existing = differences.get(key)
    if (existing !== undefined) existing.times++
    else if (differences.size < maxDifferences) differences.set(key, { kind, path: text, legacy, service, times: 1 })
    else more = true
  }

  return {
    differ,
    forgive,
    areEquivalent: rules.areEquivalent,
    listRule: (path) => rules.rulesAt(path).list,
    leaf: (path, legacy, service) => {
      if (legacy === service) return
      const type = leafType(legacy)
      const otherType = leafType(service)
      if (type === 'number' && type === otherType && sameNumber(legacy as JsonNumber, service as JsonNumber)) return
      if (isForgiven(rules.rulesAt(path), legacy, service)) return forgive()
      const kind = type === otherType ? 'value' : type === 'null' || otherType === 'null' ? 'null' : 'type'
      differ(path, kind, leafText(legacy), leafText(service))
    },
    result: () => ({ differences: [...differences.values()], more, forgiven }),
  }
}

export function leafText(leaf: Leaf): string {
  return typeof leaf === 'object' && leaf !== null ? numberText(leaf) : String(leaf)
}

function leafType(leaf: Leaf): 'null' | 'boolean' | 'string' | 'number' {
  if (leaf === null) return 'null'
  return typeof leaf === 'object' ? 'number' : (typeof leaf as 'boolean' | 'string' | 'number')
}

function isForgiven({ normalise, isDate, tolerance }: PlaceRules, legacy: Leaf, service: Leaf): boolean {
  const type = leafType(legacy)
  const otherType = leafType(service)
  if (normalise !== undefined) {
    const areTexts = type === 'string' && otherType === 'string'
    const isText = (word: string) => word === 'string' || word === 'number'
    // As dates, a number and a text can be equal: 1714521600 and "2024-05-01T00:00:00Z".
    if (areTexts || (isDate && isText(type) && isText(otherType))) {
      if (normalise(leafText(legacy)) === normalise(leafText(service))) return true
    }
  }
  if (tolerance === undefined || type !== 'number' || otherType !== 'number') return false
  return isNear(toDouble(legacy as JsonNumber), toDouble(service as JsonNumber), tolerance)
}

/** The last term allows for rounding of doubles: 10.02 - 10.01 is slightly more than 0.01. */
function isNear(a: number, b: number, { absolute, relative }: { absolute: number; relative: number }): boolean {
  const largest = Math.max(Math.abs(a), Math.abs(b))
  if (!Number.isFinite(largest)) return false
  return Math.abs(a - b) <= Math.max(absolute, relative * largest) + largest * 1e-14
}
