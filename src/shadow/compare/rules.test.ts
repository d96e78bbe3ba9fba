import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { keySegment } from './path.ts'
import { covers, matchesPath, parsePathPattern } from './path-pattern.ts'
import { readRules } from './rules.ts'
import { splitPath } from './split-path.ts'

/** Includes lone surrogates. */
const codeUnit = fc.integer({ min: 0, max: 0xffff }).map((code) => String.fromCharCode(code))

/** The mistakes, as `path: message`. */
function mistakes(written: unknown): string[] {
  const read = readRules(written)
  return read.ok ? [] : read.mistakes.map(({ path, message }) => `${path}: ${message}`)
}

describe('the parser of rules', () => {
  test.each<[unknown, RegExp]>([
    ['x', /^: must be an object with any of ignore, normalise/],
    [{ ignored: [] }, /^ignored: is not a rule; the rules are ignore/],
    [{ ignore: '$.a' }, /^ignore: must be a list/],
    [{ ignore: [1] }, /^ignore\[0\]: must be a path in quotes/],
    [{ ignore: ['items.price'] }, /write "\$\.items\.price"/],
    [{ ignore: ['$.items[0].price'] }, /paths have no positions: write "\[\*\]"/],
    [{ ignore: ['$.users["4711"]'] }, /looks like an id.*write "\.\*"/],
    [{ ignore: ['$.a..'] }, /no name behind it/],
    [{ ignore: ['$.a b'] }, /cannot be read from " b" on/],
    [{ ignore: [`$${'.a'.repeat(300)}`] }, /at most 512 characters/],
    [{ ignore: [`$${'.a'.repeat(40)}`] }, /at most 32 parts/],
    [
      { normalise: [{ path: '$.a', steps: ['upper'] }] },
      /^normalise\[0\]\.steps\[0\]: must be one of "trim", "case", "date"/,
    ],
    [
      { normalise: [{ path: '$.a', steps: [{ regex: '(a+', with: '' }] }] },
      /not a valid RE2 expression: missing closing \)/,
    ],
    [
      { normalise: [{ path: '$.a', steps: [{ regex: '(?=a)b', with: '' }] }] },
      /RE2 has no look-around and no back-references/,
    ],
    [{ normalise: [{ path: '$.a', steps: [{ regex: '(a)\\1', with: '' }] }] }, /is not a valid RE2 expression/],
    [{ normalise: [{ path: '$.a', steps: [{ regex: '((a{30}){30})', with: '' }] }] }, /a program that is too large/],
    [{ normalise: [{ path: '$.a', steps: [{ regex: 'a' }] }] }, /with: must be the text/],
    [{ tolerance: [{ path: '$.a' }] }, /must have "absolute" or "relative"/],
    [{ tolerance: [{ path: '$.a', relative: 2 }] }, /relative: must be a number from 0 to below 1/],
    [{ tolerance: [{ path: '$.a', absolut: 2 }] }, /absolut: is not known here/],
    [{ keyed: [{ path: '$.a' }] }, /by: must be the name of a member/],
    [{ equivalentStatuses: [[200]] }, /two or more statuses/],
    [{ equivalentStatuses: [[200, 99]] }, /two or more statuses/],
  ])('reports the mistake in %j with its correction', (written, message) => {
    expect(mistakes(written).join('\n')).toMatch(message)
  })

  test('reports several mistakes at once', () => {
    expect(mistakes({ ignore: ['a', 'b'], tolerance: [{}] })).toHaveLength(4)
  })

  test('never throws', () => {
    const keys = fc.constantFrom(
      'ignore',
      'normalise',
      'tolerance',
      'treatAsSet',
      'keyed',
      'sortBy',
      'equivalentStatuses',
    )
    const parts = fc.constantFrom(
      '$',
      '.',
      '..',
      '[*]',
      '["',
      '"]',
      '*',
      'a',
      '\\',
      '[',
      ']',
      'header',
      '\ud800',
      '__proto__',
    )
    const pattern = fc.array(parts, { maxLength: 8 }).map((segments) => segments.join(''))
    fc.assert(
      fc.property(fc.anything(), fc.dictionary(keys, fc.oneof(fc.array(pattern), fc.anything())), (anything, rules) => {
        readRules(anything)
        readRules(rules)
      }),
      { numRuns: 1000 },
    )
  })
})

describe('patterns of paths', () => {
  test.each<[string, string, boolean, boolean]>([
    ['$.a', '$.a', true, true],
    ['$.a', '$.a.b[*]', false, true],
    ['$.a', '$.ab', false, false],
    ['$.*.b', '$.a.b', true, true],
    ['$.*.b', '$.*.b', true, true],
    ['$.*', '$[*]', false, false],
    ['$[*].a', '$[*].a', true, true],
    ['$..a', '$.a', true, true],
    ['$..a', '$.b[*].a', true, true],
    ['$..[*]', '$.b[*]', true, true],
    ['$..b..a', '$.b.c.a.d', false, true],
    ['$["a b"]', '$["a b"]', true, true],
    ['$["ab"]', '$.ab', true, true],
    ['header.x-*', 'header.x-debug', true, true],
    ['header', 'header.etag', false, true],
    ['status', 'status', true, true],
    ['cookie.sid.path', 'cookie.sid.path', true, true],
    ['$.x', 'header.x', false, false],
  ])('match as expected: %s against %s', (text, path, exactly, orAbove) => {
    const parsed = parsePathPattern(text)
    if (!parsed.ok) throw new Error(parsed.message)
    expect(matchesPath(parsed.pattern, splitPath(path))).toBe(exactly)
    expect(covers(parsed.pattern, splitPath(path))).toBe(orAbove)
  })

  test('match themselves if they are the path of a difference', () => {
    fc.assert(
      fc.property(
        fc.array(
          fc.oneof(fc.string(), fc.string({ unit: codeUnit }), fc.constantFrom('a', '[*]', '*', '"', '\\', '')),
          { maxLength: 6 },
        ),
        (keys) => {
          const segments = ['$', ...keys.map(keySegment)]
          const path = segments.join('')
          expect(splitPath(path)).toEqual(segments)
          const parsed = parsePathPattern(path)
          if (!parsed.ok) throw new Error(`${path}: ${parsed.message}`)
          expect(matchesPath(parsed.pattern, segments)).toBe(true)
        },
      ),
      { numRuns: 300 },
    )
  })

  test('match in linear time', () => {
    const parsed = parsePathPattern(`$${'..a'.repeat(14)}..b`)
    if (!parsed.ok) throw new Error(parsed.message)
    const startedAt = performance.now()
    matchesPath(parsed.pattern, ['$', ...Array.from({ length: 128 }, () => '.a')])
    expect(performance.now() - startedAt).toBeLessThan(200)
  })

  test('normalise in linear time with any expression', () => {
    const read = readRules({
      normalise: [
        {
          path: '$',
          steps: [
            { regex: '(a+)+$', with: '' },
            { regex: '(a|a)*b', with: '' },
          ],
        },
      ],
    })
    if (!read.ok) throw new Error()
    const startedAt = performance.now()
    read.rules.rulesAt(['$']).normalise?.(`${'a'.repeat(10_000)}c`)
    expect(performance.now() - startedAt).toBeLessThan(2000)
  })
})
