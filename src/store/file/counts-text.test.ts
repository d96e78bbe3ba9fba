import { describe, expect, it } from 'vitest'
import { matched, routeCounts } from '../comparisons.test-kit.ts'
import { createEntries } from '../counts-entries.ts'
import { InvalidStoredValue } from '../state-schema.ts'
import { formatCounts, parseCounts } from './counts-text.ts'

const COUNTS = [routeCounts(), matched(1, { route: 'a tab \t, a line \n, a quote "' })]
const ENTRIES = [...createEntries('writer\t\n', COUNTS).values()][0]!

describe('a file of counts', () => {
  it('is read as it was written, also without entries', () => {
    expect(parseCounts(formatCounts(ENTRIES))).toEqual(ENTRIES)
    expect(parseCounts(formatCounts(new Map()))).toEqual(new Map())
  })

  it('is rejected if it was cut at any byte', () => {
    const text = formatCounts(ENTRIES)
    for (let length = 0; length < text.length; length++) {
      expect(() => parseCounts(text.slice(0, length)), String(length)).toThrow(InvalidStoredValue)
    }
  })

  it('is rejected if any byte was changed', () => {
    const text = formatCounts(ENTRIES)
    for (let index = 0; index < text.length; index++) {
      expect(() => parseCounts(`${text.slice(0, index)}\u0001${text.slice(index + 1)}`), String(index)).toThrow(
        InvalidStoredValue,
      )
    }
  })
})
