import { describe, expect, test } from 'vitest'
import { readDuration, showDuration, showEnd, showTime } from './durations.ts'

describe('a duration', () => {
  test.each(['90s', '30m', '2h', '1d', ' 1D '])('%j is accepted', (text) => {
    expect(readDuration(text, '--for')).toBe(text.trim().toLowerCase())
  })

  test.each(['', '30', 'm', '0m', '-1h', '1.5h', '1w', '1h30m'])('%j is rejected', (text) => {
    expect(() => readDuration(text, '--for')).toThrow('--for: must be a duration such as 90s, 30m, 2h or 1d')
  })

  test.each([
    [84, '84 ms'],
    [999.6, '1 s'],
    [5_012, '5 s'],
    [9_960, '10 s'],
    [12_400, '12 s'],
    [59_900, '1 min'],
    [30 * 60_000, '30 min'],
    [59.8 * 60_000, '1 h'],
    [125 * 60_000, '2 h 5 min'],
    [23.99 * 3_600_000, '23 h 59 min'],
    [24 * 3_600_000, '1 d'],
    [27 * 3_600_000, '1 d 3 h'],
    [-5, '0 ms'],
  ])('of %d ms is shown as %j', (ms, shown) => {
    expect(showDuration(ms)).toBe(shown)
  })
})

describe('an end', () => {
  const now = new Date(2026, 2, 1, 14, 2).getTime()

  test('is shown as a local time with the remaining duration', () => {
    expect(showEnd(now + 30 * 60_000, now)).toBe('until 14:32 (in 30 min)')
    expect(showEnd(now + 24 * 3_600_000, now)).toBe('until 2026-03-02 14:02 (in 1 d)')
    expect(showEnd(now - 1, now)).toBe('until 14:01 (over)')
    expect(showEnd(null, now)).toBe('without end')
  })

  test('is shown without its date only if it is today', () => {
    expect(showTime(now, now)).toBe('14:02')
    expect(showTime(now, now - 24 * 3_600_000)).toBe('2026-03-01 14:02')
  })
})
