// Generates the part of an exported test that reads the differing value from a response: only this field and kind, so that noise
// elsewhere in the response does not fail the test. Pure.
import { quote } from '../../lib/escape.ts'
import { type DifferenceKind, type Field, splitField } from '../../model/comparison.ts'
import type { Example } from '../../model/comparison-example.ts'
import { firstField } from '../compare/first-field.ts'
import { familyOf } from '../compare/media-type.ts'
import { ANY_KEY, BODY, EACH } from '../compare/path.ts'
import { splitPath } from '../compare/split-path.ts'

type ValueReader = {
  /** The body of `read(answer)`, in TypeScript. */
  readonly body: string
  readonly helpers: readonly string[]
  readonly remarks: readonly string[]
}

export function readerOf(field: Field, example: Pick<Example, 'legacy' | 'service'>): ValueReader {
  const { kind, path } = splitField(field)
  const [root, ...segments] = splitPath(path)
  if (root === 'status') return plainly('return answer.status')
  const names = segments.map(nameOf)
  const [name, attribute] = names
  if (root === 'header' && name !== undefined && names.length === 1) return headerReader(name, kind)
  if (root === 'cookie' && name !== undefined) return cookieReader(name, attribute, kind)
  if (root === BODY && isJson(example)) return jsonReader(segments, kind)
  return plainly('return answer.text', ['The body is not JSON, so its whole text is compared: narrow it in read().'])
}

function plainly(statement: string, remarks: readonly string[] = []): ValueReader {
  return { body: `  ${statement}`, helpers: [], remarks }
}

function isJson({ legacy, service }: Pick<Example, 'legacy' | 'service'>): boolean {
  return [legacy, service].every(({ headers }) => familyOf(firstField(headers, 'content-type')) === 'json')
}

/** Undefined for a segment that covers several members. */
function nameOf(segment: string): string | undefined {
  if (segment === EACH || segment === ANY_KEY) return undefined
  return segment.startsWith('[') ? (JSON.parse(segment.slice(1, -1)) as string) : segment.slice(1)
}

function isPresence(kind: DifferenceKind): boolean {
  return kind === 'missing' || kind === 'extra'
}

function headerReader(name: string, kind: DifferenceKind): ValueReader {
  const value = `answer.headers[${quote(name)}]`
  return plainly(isPresence(kind) ? `return ${value} !== undefined` : `return ${value}`)
}

function cookieReader(name: string, attribute: string | undefined, kind: DifferenceKind): ValueReader {
  const cookie = `cookieOf(answer, ${quote(name)})`
  const value = attribute === undefined ? `${cookie}?.isRemoved` : `${cookie}?.attributes.get(${quote(attribute)})`
  const thing = attribute === undefined ? cookie : value
  return { ...plainly(`return ${isPresence(kind) ? `${thing} !== undefined` : value}`), helpers: [COOKIE_OF] }
}

const COOKIE_OF = `/** The last cookie of that name that the answer sets. Its value differs for each client and is not compared. */
function cookieOf({ headers }: Answer, name: string) {
  const lines = [headers['set-cookie'] ?? []].flat().map(String)
  const line = lines.findLast((candidate) => candidate.split('=')[0]?.trim() === name)
  if (line === undefined) return undefined
  const pairs = line.split(';').slice(1).map((part) => part.split('='))
  const attributes = new Map(pairs.map(([key = '', ...value]) => [key.trim().toLowerCase(), value.join('=').trim()]))
  const isRemoved = Number(attributes.get('max-age')) <= 0 || Date.parse(attributes.get('expires') ?? '') < Date.now()
  return { isRemoved, attributes }
}`

function jsonReader(segments: readonly string[], kind: DifferenceKind): ValueReader {
  if (kind === 'malformed') return { body: MALFORMED, helpers: [], remarks: [] }
  if (kind === 'repeated') {
    return plainly('return answer.text', [
      'JSON.parse keeps one of two members with one name, so the whole text is compared.',
    ])
  }
  if (segments.length === 0 && isPresence(kind)) return plainly(`return answer.text !== ''`)
  const steps = segments.map((segment) => {
    const name = nameOf(segment)
    return name === undefined ? (segment === EACH ? "'each'" : "'any'") : `{ member: ${quote(name)} }`
  })
  const values = `valuesAt(JSON.parse(answer.text), [${steps.join(', ')}])`
  // Compares the members as a set.
  if (segments.at(-1) === EACH && isPresence(kind))
    return { ...plainly(`return ${values}.map((value) => JSON.stringify(value)).sort()`), helpers: [VALUES_AT] }
  const selector = SELECTORS[kind]
  return { ...plainly(`return ${values}${selector === '' ? '' : `.map(${selector})`}`), helpers: [VALUES_AT] }
}

/** Selects the compared part of a value; `''` for the whole value. */
const SELECTORS: Readonly<
  Record<Exclude<DifferenceKind, 'malformed' | 'repeated' | 'status'>, string> & { status: '' }
> = {
  status: '',
  value: '',
  order: '',
  missing: '(value) => value !== MISSING',
  extra: '(value) => value !== MISSING',
  null: '(value) => value === null',
  type: "(value) => (value === null ? 'null' : Array.isArray(value) ? 'list' : typeof value)",
  length: "(value) => (Array.isArray(value) || typeof value === 'string' ? value.length : MISSING)",
}

const MALFORMED = `  try {
    JSON.parse(answer.text)
    return 'JSON'
  } catch {
    return 'not JSON'
  }`

const VALUES_AT = `const MISSING = '(missing)'
type Step = 'each' | 'any' | { readonly member: string }

/** All values at a path, in order. */
function valuesAt(value: unknown, [step, ...rest]: readonly Step[]): unknown[] {
  if (step === undefined) return [value]
  if (step === 'each') return Array.isArray(value) ? value.flatMap((member) => valuesAt(member, rest)) : []
  if (typeof value !== 'object' || value === null) return [MISSING]
  const members = value as Record<string, unknown>
  if (step === 'any') return Object.keys(members).sort().flatMap((key) => valuesAt(members[key], rest))
  return Object.hasOwn(members, step.member) ? valuesAt(members[step.member], rest) : [MISSING]
}`
