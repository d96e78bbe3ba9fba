// Limits the expressions of a rule trial, by number and total length. Compiling 1,500 expressions takes more than a second; counting
// them is cheap.

const MAX_EXPRESSIONS = 100
const MAX_CHARACTERS = 5_000

/** The message for rules with too many or too long expressions; undefined within the limits. Compiles nothing. Pure. */
export function excessOfExpressions(written: unknown): string | undefined {
  const expressions = membersOf(written, 'normalise').flatMap(expressionsOf)
  if (expressions.length > MAX_EXPRESSIONS) {
    return `has ${expressions.length} expressions; a trial takes at most ${MAX_EXPRESSIONS}: try them in parts`
  }
  const characters = expressions.reduce((sum, expression) => sum + expression.length, 0)
  if (characters > MAX_CHARACTERS) {
    return `has expressions of ${characters} characters in total; a trial takes at most ${MAX_CHARACTERS}: try them in parts`
  }
  return undefined
}

function expressionsOf(rule: unknown): string[] {
  return membersOf(rule, 'steps').flatMap((step) => {
    const expression = propertyOf(step, 'regex')
    return typeof expression === 'string' ? [expression] : []
  })
}

function membersOf(value: unknown, key: string): readonly unknown[] {
  const members = propertyOf(value, key)
  return Array.isArray(members) ? members : []
}

function propertyOf(value: unknown, key: string): unknown {
  const isObject = typeof value === 'object' && value !== null
  return isObject && Object.hasOwn(value, key) ? (value as Readonly<Record<string, unknown>>)[key] : undefined
}
