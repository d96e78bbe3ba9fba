import { describe, expect, it } from 'vitest'
import { matched, routeCounts } from '../comparisons.test-kit.ts'
import { entriesOf } from '../counts-entries.ts'
import { NotThat } from '../shape.ts'
import { countsText, entriesIn } from './counts-text.ts'

const COUNTS = [routeCounts(), matched(1, { route: 'a tab \t, a line \n, a quote "' })]
const ENTRIES = [...entriesOf('writer\t\n', COUNTS).values()][0]!

describe('a file of counts', () => {
  it('is read as it was written, with none too', () => {
    expect(entriesIn(countsText(ENTRIES))).toEqual(ENTRIES)
    expect(entriesIn(countsText(new Map()))).toEqual(new Map())
  })

  it('is refused when it was cut, at whatever byte', () => {
    const text = countsText(ENTRIES)
    for (let length = 0; length < text.length; length++) {
      expect(() => entriesIn(text.slice(0, length)), String(length)).toThrow(NotThat)
    }
  })

  it('is refused when it was changed, at whatever byte', () => {
    const text = countsText(ENTRIES)
    for (let at = 0; at < text.length; at++) {
      expect(() => entriesIn(`${text.slice(0, at)}\u0001${text.slice(at + 1)}`), String(at)).toThrow(NotThat)
    }
  })
})
