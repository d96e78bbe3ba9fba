import { stripVTControlCharacters } from 'node:util'
import { describe, expect, test } from 'vitest'
import { escapeControls, formatJson, formatTable, paint } from './print.ts'

const PIPE = { hasColor: false, width: undefined }
const ROWS = [
  ['catalog', { text: '25 %', tone: 'good' }],
  ['a-much-longer-context-name', '-'],
] as const

describe('a table', () => {
  test('has aligned columns, and no spaces at the end of a line', () => {
    expect(formatTable(['context', 'percent'], ROWS, PIPE)).toBe(
      ['context                     percent', 'catalog                     25 %', 'a-much-longer-context-name  -'].join(
        '\n',
      ),
    )
  })

  test('narrows the widest column on a narrow screen', () => {
    const lines = formatTable(['context', 'percent'], ROWS, { hasColor: false, width: 24 }).split('\n')
    expect(lines).toEqual(['context          percent', 'catalog          25 %', 'a-much-longer-…  -'])
    expect(Math.max(...lines.map((line) => line.length))).toBeLessThanOrEqual(24)
  })

  test('never narrows a column that must not be cut', () => {
    const rows = [['2026-11-21 15:25:04', 'short', 'a reason that is quite long']]
    const lines = formatTable(['when', 'what', 'why'], rows, { hasColor: false, width: 40 }, ['when']).split('\n')
    expect(lines[1]).toBe('2026-11-21 15:25:04  short  a reason th…')
    const narrow = formatTable(['when', 'what', 'why'], rows, { hasColor: false, width: 10 }, ['when']).split('\n')
    expect(narrow[1]).toBe('2026-11-21 15:25:04  short  a rea…')
  })

  test('has aligned columns with colours', () => {
    const colored = formatTable(['context', 'percent'], ROWS, { hasColor: true, width: undefined })
    expect(colored).toContain('\u001b[32m25 %\u001b[39m')
    expect(stripVTControlCharacters(colored)).toBe(formatTable(['context', 'percent'], ROWS, PIPE))
  })

  test('keeps its columns if a cell contains control characters', () => {
    const [, row] = formatTable(['name', 'next'], [['a\u001b[2Kb\tc\nd', 'x']], PIPE).split('\n')
    expect(row).toBe('a\\u001b[2Kb\\u0009c\\u000ad  x')
  })
})

test('invisible and control characters are escaped, with and without colours', () => {
  const text = 'a\u202eb\u200bc\u2028d\u009be\u{e0041}'
  expect(escapeControls(text)).toBe('a\\u202eb\\u200bc\\u2028d\\u009be\\udb40\\udc41')
  expect(paint({ text: '\u001b[0m', tone: 'bad' }, { hasColor: true, width: undefined })).toBe(
    '\u001b[31m\\u001b[0m\u001b[39m',
  )
})

test('escaping does not change the value of JSON', () => {
  const value = { text: 'a\u009b\n\u2028\u007f', list: [1] }
  expect(JSON.parse(formatJson(value, 2))).toEqual(value)
  expect(formatJson(value)).not.toMatch(/[\p{Cc}\u2028]/u)
})
