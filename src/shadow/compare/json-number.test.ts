import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { readNumber, sameNumber } from './json-number.ts'

const same = (a: string, other: string) => sameNumber(readNumber(a), readNumber(other))

describe('numbers by value', () => {
  test.each([
    ['1', '1.0'],
    ['1', '1e0'],
    ['100', '1E+2'],
    ['0.001', '1e-3'],
    ['-0', '0'],
    ['0e999999999999999999999', '0'],
    ['1.50000000000000000000000', '1.5'],
    ['1e400', '10e399'],
    ['123456789012345678901234567890', '12345678901234567890123456789e1'],
    ['1000000000000000000000000', '1e24'],
  ])('%s equals %s', (a, other) => {
    expect(same(a, other)).toBe(true)
  })

  test.each([
    // JSON.parse makes these equal.
    ['9007199254740993', '9007199254740992'],
    ['0.1', '0.10000000000000000001'],
    ['1e400', '1e401'],
    ['1e-400', '0'],
    ['-1e400', '1e400'],
    ['12345678901234567890', '12345678901234567891'],
    ['1e99999999999999999999', '1e99999999999999999998'],
  ])('%s differs from %s', (a, other) => {
    expect(same(a, other)).toBe(false)
  })

  test('equality agrees with exact arithmetic', () => {
    const decimal = fc.tuple(fc.bigInt({ min: -(10n ** 22n), max: 10n ** 22n }), fc.integer({ min: -25, max: 25 }))
    const text = ([digits, exponent]: [bigint, number]) => `${digits}e${exponent}`
    /** All above 10^25. */
    const exact = ([digits, exponent]: [bigint, number]) => digits * 10n ** BigInt(exponent + 25)
    const near = decimal.chain(([digits, exponent]) =>
      fc.tuple(fc.constant([digits, exponent] as [bigint, number]), fc.nat({ max: 3 }), fc.nat({ max: 1 })),
    )
    fc.assert(
      fc.property(near, ([number, shift, add]) => {
        const other: [bigint, number] = [number[0] * 10n ** BigInt(shift) + BigInt(add), number[1] - shift]
        if (other[1] < -25) return
        expect(same(text(number), text(other))).toBe(exact(number) === exact(other))
      }),
    )
  })
})
