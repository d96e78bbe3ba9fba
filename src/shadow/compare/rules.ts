// The rules of a route: parsed with all mistakes at once, and looked up only for paths in which responses differ.
import { RE2JS } from 're2js'
import type { NormaliseStep, RuleMistake, Rules } from '../../model/comparison-rules.ts'
import { pathText } from './path.ts'
import { covers, matchesPath, type PathPattern, parsePathPattern } from './path-pattern.ts'

export type CompiledRules = {
  /** The rules for a path. */
  readonly rulesAt: (path: readonly string[]) => PlaceRules
  readonly areEquivalent: (status: number, other: number) => boolean
}

export type PlaceRules = {
  readonly ignored: boolean
  /** All steps as one function; undefined without a step. */
  readonly normalise: ((text: string) => string) | undefined
  /** The values are compared as instants, so a number can equal a text. */
  readonly isDate: boolean
  readonly tolerance: { readonly absolute: number; readonly relative: number } | undefined
  readonly list: ListRule | undefined
}

export type ListRule =
  | { readonly kind: 'set' }
  | { readonly kind: 'keyed'; readonly by: string }
  | { readonly kind: 'sorted'; readonly by: string }

type ReadRules =
  | { readonly ok: true; readonly rules: CompiledRules }
  | { readonly ok: false; readonly mistakes: readonly RuleMistake[] }

/** @param written the rules in the config or of a trial, not validated yet */
export function readRules(written: unknown): ReadRules {
  const mistakes: RuleMistake[] = []
  const report = (path: string, message: string): void => {
    if (mistakes.length < MAX_MISTAKES) mistakes.push({ path, message })
  }
  if (!isObject(written)) {
    report('', `must be an object with any of ${Object.keys(READERS).join(', ')}`)
    return { ok: false, mistakes }
  }
  for (const key of Object.keys(written)) {
    if (!Object.hasOwn(READERS, key)) report(key, `is not a rule; the rules are ${Object.keys(READERS).join(', ')}`)
  }
  const read = (key: keyof Rules) => readList(written, key, report)
  const patterns = (key: 'ignore' | 'treatAsSet') =>
    read(key).flatMap((item, i) => readPattern(item, `${key}[${i}]`, report))
  const byMember = (key: 'keyed' | 'sortBy') =>
    read(key).flatMap((item, i) => readByMember(item, `${key}[${i}]`, report))
  const parts: RuleParts = {
    ignore: patterns('ignore'),
    normalise: read('normalise').flatMap((item, i) => readNormalise(item, `normalise[${i}]`, report)),
    tolerance: read('tolerance').flatMap((item, i) => readTolerance(item, `tolerance[${i}]`, report)),
    lists: [
      ...patterns('treatAsSet').map((pattern) => ({ pattern, rule: { kind: 'set' } as const })),
      ...byMember('keyed').map(({ pattern, by }) => ({ pattern, rule: { kind: 'keyed', by } as const })),
      ...byMember('sortBy').map(({ pattern, by }) => ({ pattern, rule: { kind: 'sorted', by } as const })),
    ],
    statuses: read('equivalentStatuses').flatMap((item, i) => readStatuses(item, `equivalentStatuses[${i}]`, report)),
  }
  return mistakes.length > 0 ? { ok: false, mistakes } : { ok: true, rules: compile(parts) }
}

const NO_PLACE_RULES: PlaceRules = {
  ignored: false,
  normalise: undefined,
  isDate: false,
  tolerance: undefined,
  list: undefined,
}

export const NO_RULES: CompiledRules = { rulesAt: () => NO_PLACE_RULES, areEquivalent: () => false }

type RuleParts = {
  readonly ignore: readonly PathPattern[]
  readonly normalise: readonly { readonly pattern: PathPattern; readonly steps: readonly CompiledStep[] }[]
  readonly tolerance: readonly { readonly pattern: PathPattern; readonly absolute: number; readonly relative: number }[]
  readonly lists: readonly { readonly pattern: PathPattern; readonly rule: ListRule }[]
  readonly statuses: readonly (readonly number[])[]
}
type CompiledStep = { readonly isDate: boolean; readonly apply: (text: string) => string }
type ReportRuleMistake = (path: string, message: string) => void

/** Paths have no positions, so there are few of them, and the rules of each are cached. */
function compile(parts: RuleParts): CompiledRules {
  const rulesByPath = new Map<string, PlaceRules>()
  return {
    rulesAt: (path) => {
      const text = pathText(path)
      const existing = rulesByPath.get(text)
      if (existing !== undefined) return existing
      const compiled = placeRules(parts, path)
      if (rulesByPath.size >= MAX_CACHED_PATHS) rulesByPath.clear()
      rulesByPath.set(text, compiled)
      return compiled
    },
    areEquivalent: (status, other) => parts.statuses.some((group) => group.includes(status) && group.includes(other)),
  }
}

/** If several rules match, `ignore` wins, all steps apply in order, and of the other rules the first one applies. */
function placeRules({ ignore, normalise, tolerance, lists }: RuleParts, path: readonly string[]): PlaceRules {
  const steps = normalise.filter(({ pattern }) => matchesPath(pattern, path)).flatMap((rule) => rule.steps)
  return {
    ignored: ignore.some((pattern) => covers(pattern, path)),
    normalise: steps.length === 0 ? undefined : (text) => steps.reduce((changed, { apply }) => apply(changed), text),
    isDate: steps.some(({ isDate }) => isDate),
    tolerance: tolerance.find(({ pattern }) => matchesPath(pattern, path)),
    list: lists.find(({ pattern }) => matchesPath(pattern, path))?.rule,
  }
}

/** All rules. The type check rejects a rule that is missing here. */
const READERS = {
  ignore: true,
  normalise: true,
  tolerance: true,
  treatAsSet: true,
  keyed: true,
  sortBy: true,
  equivalentStatuses: true,
} as const satisfies Record<keyof Rules, true>

function readList(
  written: Readonly<Record<string, unknown>>,
  key: keyof Rules,
  report: ReportRuleMistake,
): readonly unknown[] {
  const value = Object.hasOwn(written, key) ? written[key] : undefined
  if (value === undefined) return []
  if (!Array.isArray(value)) {
    report(key, 'must be a list')
    return []
  }
  if (value.length > MAX_RULES) report(key, `must have at most ${MAX_RULES} members; one pattern can stand for many`)
  return value.slice(0, MAX_RULES)
}

function readPattern(written: unknown, path: string, report: ReportRuleMistake): PathPattern[] {
  if (typeof written !== 'string') {
    report(path, 'must be a path in quotes, such as "$.items[*].price"')
    return []
  }
  const parsed = parsePathPattern(written)
  if (parsed.ok) return [parsed.pattern]
  report(path, parsed.message)
  return []
}

function readNormalise(written: unknown, path: string, report: ReportRuleMistake) {
  const members = readKeys(written, path, ['path', 'steps'], report)
  if (members === undefined) return []
  const [pattern] = readPattern(members.path, `${path}.path`, report)
  if (!Array.isArray(members.steps) || members.steps.length === 0) {
    report(`${path}.steps`, `must be a list of ${STEPS}`)
    return []
  }
  const steps = members.steps.flatMap((step: unknown, i) => readStep(step, `${path}.steps[${i}]`, report))
  return pattern === undefined ? [] : [{ pattern, steps }]
}

const PLAIN_STEPS = {
  trim: { isDate: false, apply: (text) => text.trim() },
  case: { isDate: false, apply: (text) => text.toLowerCase() },
  date: { isDate: true, apply: instantOf },
  'strip-host': { isDate: false, apply: withoutHost },
} as const satisfies Record<Extract<NormaliseStep, string>, CompiledStep>

const STEPS = `${Object.keys(PLAIN_STEPS)
  .map((name) => `"${name}"`)
  .join(', ')} or { regex, with }`

function readStep(written: unknown, path: string, report: ReportRuleMistake): CompiledStep[] {
  if (typeof written === 'string' && Object.hasOwn(PLAIN_STEPS, written)) {
    return [PLAIN_STEPS[written as keyof typeof PLAIN_STEPS]]
  }
  if (!isObject(written)) {
    report(path, `must be one of ${STEPS}`)
    return []
  }
  const members = readKeys(written, path, ['regex', 'with'], report)
  if (members === undefined) return []
  const { regex, with: replacement } = members
  if (typeof replacement !== 'string') report(`${path}.with`, 'must be the text to put there; "" leaves it out')
  if (typeof regex !== 'string' || regex === '' || regex.length > MAX_REGEX_LENGTH) {
    report(`${path}.regex`, `must be an expression of 1 to ${MAX_REGEX_LENGTH} characters`)
    return []
  }
  const compiled = compileRegex(regex, `${path}.regex`, report)
  return compiled === undefined || typeof replacement !== 'string'
    ? []
    : [{ isDate: false, apply: replacing(compiled, replacement) }]
}

/**
 * The time of RE2 is proportional to text times program for any input. The alternative was a checker for native expressions: fast
 * checkers reject harmless expressions and accept slow ones, and sound checkers are slow.
 */
function compileRegex(regex: string, path: string, report: ReportRuleMistake): RE2JS | undefined {
  try {
    const compiled = RE2JS.compile(regex)
    if (compiled.programSize() <= MAX_PROGRAM_SIZE) return compiled
    report(path, 'compiles to a program that is too large; reduce its repetitions')
  } catch (error) {
    const why = error instanceof Error ? error.message.replace(/^error parsing regexp: /, '') : 'it cannot be read'
    report(path, `is not a valid RE2 expression: ${why}; RE2 has no look-around and no back-references`)
  }
  return undefined
}

function replacing(regex: RE2JS, replacement: string): (text: string) => string {
  const literal = RE2JS.quoteReplacement(replacement)
  // Longer texts are compared without normalisation.
  return (text) => (text.length > MAX_NORMALISED_LENGTH ? text : regex.matcher(text).replaceAll(literal))
}

/** The instant as ISO 8601 in UTC; the text itself if it is not a date. Without a zone it is in UTC. */
function instantOf(text: string): string {
  const date = text.trim()
  if (/^\d{9,13}(?:\.\d+)?$/.test(date)) {
    const number = Number(date)
    return isoText(number < MIN_MILLISECONDS ? number * 1000 : number, text)
  }
  if (date.length > 40) return text
  const iso = /^(\d{4}-\d\d-\d\d)(?:[T ](\d\d:\d\d(?::\d\d(?:[.,]\d{1,9})?)?)\s?(Z|[+-]\d\d:?\d\d)?)?$/i.exec(date)
  if (iso !== null) {
    const [, day, time = '00:00', zone = 'Z'] = iso
    return isoText(Date.parse(`${day}T${time.replace(',', '.')}${zone.replace(/^([+-]\d\d)(\d\d)$/, '$1:$2')}`), text)
  }
  return /^[A-Z][a-z]{2,8}, /.test(date) ? isoText(Date.parse(date), text) : text
}

/** Seconds since 1970 are below this until the year 5138; milliseconds have been above it since 1973. */
const MIN_MILLISECONDS = 1e11

function isoText(ms: number, otherwise: string): string {
  return Math.abs(ms) <= 8.64e15 ? new Date(ms).toISOString() : otherwise
}

function withoutHost(text: string): string {
  return text.replace(/\bhttps?:\/\/[^/?#\s"'<>]+/gi, '')
}

function readTolerance(written: unknown, path: string, report: ReportRuleMistake) {
  const members = readKeys(written, path, ['path', 'absolute', 'relative'], report)
  if (members === undefined) return []
  const [pattern] = readPattern(members.path, `${path}.path`, report)
  const { absolute = 0, relative = 0 } = members
  const isDistance = (value: unknown): value is number =>
    typeof value === 'number' && value >= 0 && Number.isFinite(value)
  if (!isDistance(absolute)) report(`${path}.absolute`, 'must be a number, 0 or more')
  if (!isDistance(relative) || relative >= 1) report(`${path}.relative`, 'must be a number from 0 to below 1')
  if (absolute === 0 && relative === 0)
    report(path, 'must have "absolute" or "relative"; without either it does nothing')
  return pattern !== undefined && isDistance(absolute) && isDistance(relative) ? [{ pattern, absolute, relative }] : []
}

function readByMember(written: unknown, path: string, report: ReportRuleMistake) {
  const members = readKeys(written, path, ['path', 'by'], report)
  if (members === undefined) return []
  const [pattern] = readPattern(members.path, `${path}.path`, report)
  const { by } = members
  if (typeof by !== 'string' || by === '') {
    report(`${path}.by`, 'must be the name of a member that each of the list has, such as "id"')
    return []
  }
  return pattern === undefined ? [] : [{ pattern, by }]
}

function readStatuses(written: unknown, path: string, report: ReportRuleMistake): number[][] {
  const isStatus = (status: unknown) =>
    Number.isInteger(status) && (status as number) >= 100 && (status as number) < 600
  if (Array.isArray(written) && written.length > 1 && written.every(isStatus)) return [written]
  report(path, 'must be a list of two or more statuses, such as [200, 204]')
  return []
}

/** The expected members of the object. Reports each unknown one; reports and returns undefined if it is not an object. */
function readKeys<K extends string>(written: unknown, path: string, keys: readonly K[], report: ReportRuleMistake) {
  if (!isObject(written)) {
    report(path, `must be an object: { ${keys.join(', ')} }`)
    return undefined
  }
  for (const key of Object.keys(written)) {
    if (!(keys as readonly string[]).includes(key))
      report(`${path}.${key}`, `is not known here; the keys are ${keys.join(', ')}`)
  }
  const own = keys.filter((key) => Object.hasOwn(written, key)).map((key) => [key, written[key]] as const)
  return Object.fromEntries(own) as Partial<Record<K, unknown>>
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

const MAX_RULES = 200
const MAX_MISTAKES = 100
const MAX_CACHED_PATHS = 5000
const MAX_REGEX_LENGTH = 200
/** Instructions: the time of a match is text times program. */
const MAX_PROGRAM_SIZE = 300
const MAX_NORMALISED_LENGTH = 10_000
