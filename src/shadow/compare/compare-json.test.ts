import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { compared, comparedJson, findingsFor, jsonTexts } from './compare.test-kit.ts'
import { compareJson } from './compare-json.ts'
import { DEFAULT_LIMITS } from './compare-limits.ts'
import { type JsonDocument, readJson } from './read-json.ts'
import { splitPath } from './split-path.ts'

describe('the kinds of JSON differences', () => {
  test.each<[string, unknown, unknown, string[]]>([
    ['a member that only legacy has', { a: 1, b: 2 }, { a: 1 }, ['missing $.b']],
    ['a member that only the service has', { a: 1 }, { a: 1, b: 2 }, ['extra $.b']],
    ['null instead of a missing member', { a: null }, {}, ['missing $.a']],
    ['null instead of a value', { a: null }, { a: 1 }, ['null $.a']],
    ['a text for a number', { a: 1 }, { a: '1' }, ['type $.a']],
    ['an object for a list', { a: [] }, { a: {} }, ['type $.a']],
    ['another value', { a: { b: [{ c: 1 }] } }, { a: { b: [{ c: 2 }] } }, ['value $.a.b[*].c']],
    ['another boolean', { a: true }, { a: false }, ['value $.a']],
    ['a list that is longer', { a: [1, 2] }, { a: [1, 2, 3] }, ['length $.a']],
    ['a list without its first member', { a: [1, 2, 3] }, { a: [2, 3] }, ['length $.a']],
    ['another order', [1, 2, 3], [3, 2, 1], ['order $']],
    [
      'another order of objects with further differences',
      [
        { id: 1, t: 5 },
        { id: 2, t: 5 },
      ],
      [
        { id: 2, t: 6 },
        { id: 1, t: 6 },
      ],
      ['order $', 'value $[*].t'],
    ],
    [
      'a page that begins one later',
      [{ n: 'a' }, { n: 'b' }, { n: 'c' }],
      [{ n: 'b' }, { n: 'c' }, { n: 'd' }],
      ['extra $[*]', 'missing $[*]'],
    ],
    ['a number in a list', [1, 2, 3], [1, 5, 3], ['value $[*]']],
    ['null instead of an object', { a: 1 }, null, ['null $']],
    [
      'a wrong id in a list of objects',
      [{ id: 1 }, { id: 2 }, { id: 3 }],
      [{ id: 1 }, { id: 9 }, { id: 3 }],
      ['value $[*].id'],
    ],
    ['all ids of another type', [{ id: 1 }, { id: 2 }], [{ id: '1' }, { id: '2' }], ['type $[*].id']],
  ])('are reported for %s', (_, legacy, service, expected) => {
    expect(comparedJson(legacy, service)).toEqual(expected)
  })

  test('keep digits that JSON.parse rounds', () => {
    expect(compared('{"n":9007199254740993}', '{"n":9007199254740992}')).toEqual(['value $.n'])
    expect(compared('[1, 10, 0.5]', '[1.0, 1e1, 5e-1]')).toEqual([])
  })

  test('contain a name that one side repeats', () => {
    expect(compared('{"a":1,"a":2}', '{"a":2}')).toEqual(['repeated $.a'])
    expect(compared('{"a":1,"a":2}', '{"a":3,"a":2}')).toEqual([])
  })

  test('contain a malformed side; two malformed sides are compared as bytes', () => {
    expect(compared('{"a":1}', '{"a":1')).toEqual(['malformed $'])
    expect(compared('{"a":1', '{"a":2')).toEqual(['value $'])
  })

  test('handle inherited names and lone surrogates', () => {
    expect(compared('{"__proto__":1,"toString":1}', '{"__proto__":2,"toString":2}')).toEqual([
      'value $.__proto__',
      'value $.toString',
    ])
    expect(compared('{"\\ud800":"\\udfff"}', '{"\\ud800":"\\udffe"}')).toEqual(['value $["\\ud800"]'])
  })
})

describe('the paths of JSON differences', () => {
  test('are one path for a hundred thousand ids as keys', () => {
    const keys = Array.from({ length: 300 }, (_, i) => [
      ...[`${i}`, `user-${i + 100}`, `${'0123456789abcdef'.repeat(2)}${i}`, `a${i}@example.com`, `/items/${i}`],
    ]).flat()
    const fields = new Set(keys.flatMap((key) => comparedJson({ [key]: 1 }, { [key]: 2 })))
    expect([...fields]).toEqual(['value $.*'])
  })

  test('keep plain names', () => {
    const names = [
      'price',
      'address2',
      'line_1',
      'sha256',
      'iso8601x'.slice(0, 3),
      'createdAt',
      'x-y',
      '_links',
      '@type',
    ]
    for (const name of names) expect(comparedJson({ [name]: 1 }, { [name]: 2 })).toEqual([`value $.${name}`])
  })

  test('treat an object of very many members as a dictionary', () => {
    const words = Object.fromEntries(
      Array.from({ length: 500 }, (_, i) => [
        `w${'abcdefghij'[i % 10]}${'klmnopqrst'[Math.floor(i / 10) % 10]}${'uvwxyz'[Math.floor(i / 100)]}`,
        1,
      ]),
    )
    expect(comparedJson(words, {})).toEqual(['missing $.*'])
  })
})

describe('the rules for JSON', () => {
  test.each<[string, unknown, unknown, unknown, string[]]>([
    ['ignored', { at: 1, b: 1 }, { at: 2, b: 1 }, { ignore: ['$.at'] }, []],
    ['ignored with all below', { m: { at: 1 } }, { m: { at: 2 } }, { ignore: ['$.m'] }, []],
    ['ignored at any depth', [{ x: { at: 1 } }], [{ x: { at: 2 } }], { ignore: ['$..at'] }, []],
    ['ignored for any key', { a: { at: 1 } }, { a: { at: 2 } }, { ignore: ['$.*.at'] }, []],
    ['within the absolute tolerance', { p: 10.01 }, { p: 10.02 }, { tolerance: [{ path: '$.p', absolute: 0.01 }] }, []],
    [
      'outside the absolute tolerance',
      { p: 10.01 },
      { p: 10.03 },
      { tolerance: [{ path: '$.p', absolute: 0.01 }] },
      ['value $.p'],
    ],
    ['within the relative tolerance', { p: 1000 }, { p: 1009 }, { tolerance: [{ path: '$.p', relative: 0.01 }] }, []],
    ['a set', { t: [1, 2, 2] }, { t: [2, 1, 2] }, { treatAsSet: ['$.t'] }, []],
    ['a set with one different member', { t: [1, 2] }, { t: [3, 1] }, { treatAsSet: ['$.t'] }, ['value $.t[*]']],
    [
      'keyed',
      [
        { k: 1, v: 1 },
        { k: 2, v: 2 },
      ],
      [
        { k: 2, v: 2 },
        { k: 1, v: 3 },
      ],
      { keyed: [{ path: '$', by: 'k' }] },
      ['value $[*].v'],
    ],
    ['keyed, one missing', [{ k: 1 }, { k: 2 }], [{ k: 2 }], { keyed: [{ path: '$', by: 'k' }] }, ['missing $[*]']],
    ['sorted', [{ k: 'b' }, { k: 'a' }], [{ k: 'a' }, { k: 'b' }], { sortBy: [{ path: '$', by: 'k' }] }, []],
    ['trim and case', { a: ' X ' }, { a: 'x' }, { normalise: [{ path: '$.a', steps: ['trim', 'case'] }] }, []],
    [
      'a date',
      { a: '2024-05-01T02:00:00+02:00' },
      { a: 1714521600 },
      { normalise: [{ path: '$.a', steps: ['date'] }] },
      [],
    ],
    [
      'HTTP date',
      { a: 'Wed, 01 May 2024 00:00:00 GMT' },
      { a: '2024-05-01' },
      { normalise: [{ path: '$.a', steps: ['date'] }] },
      [],
    ],
    [
      'another host',
      { a: 'http://legacy:3001/x' },
      { a: 'https://svc/x' },
      { normalise: [{ path: '$.a', steps: ['strip-host'] }] },
      [],
    ],
    [
      'an expression',
      { a: 'v1-abc' },
      { a: 'v2-abc' },
      { normalise: [{ path: '$.a', steps: [{ regex: '^v[0-9]+', with: 'v' }] }] },
      [],
    ],
    [
      'not a date, so it is not normalised',
      { a: 'x1' },
      { a: 'x2' },
      { normalise: [{ path: '$.a', steps: ['date'] }] },
      ['value $.a'],
    ],
  ])('apply to a value: %s', (_, legacy, service, rules, expected) => {
    expect(comparedJson(legacy, service, rules)).toEqual(expected)
  })
})

describe('the comparison of random JSON', () => {
  test('finds no difference between a value and itself', () => {
    fc.assert(
      fc.property(jsonTexts, (text) => {
        expect(compared(text, ` ${text} `)).toEqual([])
      }),
    )
  })

  test('ignores the order of members', () => {
    fc.assert(
      fc.property(fc.dictionary(fc.string(), fc.jsonValue({ maxDepth: 3 })), (object) => {
        const turned = Object.fromEntries(Object.entries(object).reverse())
        expect(comparedJson(object, turned)).toEqual([])
      }),
    )
  })

  test('finds a difference between unequal values, at existing paths and within the limit', () => {
    fc.assert(
      fc.property(jsonTexts, jsonTexts, (legacy, service) => {
        const document = documentOf(legacy)
        const other = documentOf(service)
        const findings = findingsFor()
        compareJson(document, other, ['$'], findings)
        const { differences } = findings.result()
        const areEqual = JSON.stringify(sorted(JSON.parse(legacy))) === JSON.stringify(sorted(JSON.parse(service)))
        expect(differences.length > 0).toBe(!areEqual)
        expect(differences.length).toBeLessThanOrEqual(DEFAULT_LIMITS.maxDifferences)
        for (const { kind, path } of differences) {
          const inLegacy = isThere(document.root, splitPath(path).slice(1))
          const inService = isThere(other.root, splitPath(path).slice(1))
          expect(inLegacy || inService, path).toBe(true)
          if (kind === 'missing') expect(inLegacy).toBe(true)
          if (kind === 'extra') expect(inService).toBe(true)
        }
      }),
      { numRuns: 500 },
    )
  })

  test('swaps missing and extra if the sides are swapped', () => {
    // Without lists: of two equally good alignments either may be used.
    const { value: objects } = fc.letrec((tie) => ({
      value: fc.oneof(
        { maxDepth: 4 },
        fc.constantFrom(null, true, 0, 1, 'a', '1'),
        fc.dictionary(fc.constantFrom('a', 'b', 'c', '17'), tie('value')),
      ),
    }))
    fc.assert(
      fc.property(objects, objects, (legacy, service) => {
        const turned = comparedJson(service, legacy).map((line) =>
          line.replace(/^(missing|extra) /, (word) => (word === 'missing ' ? 'extra ' : 'missing ')),
        )
        expect(turned.sort()).toEqual(comparedJson(legacy, service))
      }),
    )
  })

  test('bounds the number of differences and reports that there are more', () => {
    const object = (value: number) =>
      Object.fromEntries(
        Array.from({ length: 150 }, (_, i) => [
          `n${'abcdefghijklmno'[i % 15]}${'pqrstuvwxy'[Math.floor(i / 15)]}`,
          value,
        ]),
      )
    expect(comparedJson(object(1), object(2))).toHaveLength(DEFAULT_LIMITS.maxDifferences)
  })
})

describe('the time of JSON comparisons', () => {
  test('is a few milliseconds for a hundred kilobytes, also for long lists without common members', () => {
    const items = (shift: number) =>
      Array.from({ length: 1000 }, (_, i) => ({
        id: i + shift,
        name: `item ${i}`,
        price: i / 100,
        tags: ['a', 'b'],
        at: i * 7,
      }))
    const legacy = JSON.stringify({ items: items(0), x: 1 })
    const service = JSON.stringify({ x: 1, items: items(0) })
    compared(legacy, service)
    const startedAt = performance.now()
    for (let i = 0; i < 10; i++) compared(legacy, service)
    // A few milliseconds each on an idle machine; the bound allows for a busy one.
    expect((performance.now() - startedAt) / 10).toBeLessThan(50)
    const began = performance.now()
    comparedJson(
      Array.from({ length: 50_000 }, (_, i) => i),
      Array.from({ length: 50_000 }, (_, i) => -i - 1),
    )
    expect(performance.now() - began).toBeLessThan(2000)
  })
})

function documentOf(text: string): JsonDocument {
  const read = readJson(text, DEFAULT_LIMITS)
  if (read.kind !== 'read') throw new Error(read.kind)
  return read.document
}

function sorted(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sorted)
  if (typeof value !== 'object' || value === null) return value
  const members = Object.entries(value).map(([name, member]) => [name, sorted(member)] as const)
  return { members: members.sort(([a], [b]) => (a < b ? -1 : 1)) }
}

/** Whether the value has a member at this path. */
function isThere(value: unknown, path: readonly string[]): boolean {
  const [segment, ...rest] = path
  if (segment === undefined) return true
  if (Array.isArray(value)) return segment === '[*]' && value.some((member) => isThere(member, rest))
  if (!(value instanceof Map) || segment === '[*]') return false
  if (segment === '.*') return [...value.values()].some((member) => isThere(member, rest))
  const name = segment.startsWith('.') ? segment.slice(1) : (JSON.parse(segment.slice(1, -1)) as string)
  return value.has(name) && isThere(value.get(name), rest)
}
