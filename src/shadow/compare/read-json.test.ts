import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { DEFAULT_LIMITS } from './compare-limits.ts'
import { numberText } from './json-number.ts'
import { type JsonValue, readJson } from './read-json.ts'

function read(text: string, limits = DEFAULT_LIMITS): unknown {
  const result = readJson(text, limits)
  return result.kind === 'read' ? plain(result.document.root) : result.kind
}

/** The result of JSON.parse in the form of the parser. */
function plain(value: JsonValue): unknown {
  if (Array.isArray(value)) return value.map(plain)
  if (value instanceof Map) return Object.fromEntries([...value].map(([name, member]) => [name, plain(member)]))
  return typeof value === 'object' && value !== null && 'digits' in value ? Number(numberText(value)) : value
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return 'malformed'
  }
}

describe('the JSON parser', () => {
  test('accepts what JSON.parse accepts, with the same result', () => {
    fc.assert(
      fc.property(fc.json({ maxDepth: 8 }), fc.nat({ max: 4 }), (text, space) => {
        const spaced = JSON.stringify(JSON.parse(text), null, space)
        expect(read(spaced)).toEqual(JSON.parse(spaced))
      }),
      { numRuns: 500 },
    )
  })

  test('rejects what JSON.parse rejects', () => {
    const pieces = fc.constantFrom(
      ...[
        '{',
        '}',
        '[',
        ']',
        ',',
        ':',
        '"',
        '\\',
        '\\u12',
        '\\ud800',
        '-',
        '0',
        '01',
        '1.',
        '.5',
        '1e',
        '1e5',
        'e',
        ' ',
      ],
      ...['\n', '\t', '\u0000', '\u001f', '\ufeff', '\u00a0', 'true', 'tru', 'null', 'NaN', "'", '/*x*/', '"a":', '1,'],
    )
    fc.assert(
      fc.property(fc.array(pieces, { maxLength: 9 }), (parts) => {
        const text = parts.join('')
        expect(read(text), text).toEqual(parsed(text))
      }),
      { numRuns: 5000 },
    )
  })

  test.each([
    ['', 'malformed'],
    ['1 2', 'malformed'],
    ['{"a":1,}', 'malformed'],
    ['[1,]', 'malformed'],
    ['"\u0001"', 'malformed'],
  ])('rejects %j', (text, kind) => {
    expect(read(text)).toBe(kind)
  })

  test('rejects a hundred thousand brackets as too deep, at no cost', () => {
    expect(read('['.repeat(100_000))).toBe('too-deep')
    expect(read('{"a":'.repeat(100_000))).toBe('too-deep')
    expect(read(`${'['.repeat(128)}${']'.repeat(128)}`)).not.toBe('too-deep')
  })

  test('rejects a body with too many values as too complex', () => {
    expect(read(`[${'0,'.repeat(300_000)}0]`)).toBe('too-complex')
  })

  test('keeps a member called __proto__ as an ordinary member', () => {
    const result = readJson('{"__proto__":{"polluted":1},"constructor":2}', DEFAULT_LIMITS)
    if (result.kind !== 'read') throw new Error(result.kind)
    expect([...(result.document.root as Map<string, unknown>).keys()]).toEqual(['__proto__', 'constructor'])
    expect(({} as Record<string, unknown>).polluted).toBeUndefined()
  })

  test('notes repeated names, also if they are escaped differently', () => {
    const result = readJson('{"a":1,"b":{"c":1},"\\u0061":2}', DEFAULT_LIMITS)
    if (result.kind !== 'read') throw new Error(result.kind)
    expect([...result.document.repeated.values()].map((names) => [...names])).toEqual([['a']])
  })

  test('takes linear time for a text and a number of a mebibyte', () => {
    const startedAt = performance.now()
    expect(read(`"${'x'.repeat(1 << 20)}"`)).toHaveLength(1 << 20)
    expect(read(`"${'\\n'.repeat(1 << 19)}"`)).toHaveLength(1 << 19)
    readJson(`${'1'.repeat(1 << 20)}e-${'9'.repeat(1 << 20)}`, DEFAULT_LIMITS)
    readJson(`0.${'0'.repeat(1 << 20)}1`, DEFAULT_LIMITS)
    expect(performance.now() - startedAt).toBeLessThan(1000)
  })
})
