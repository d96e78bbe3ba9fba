// Compares numbers by value with all their digits: 1, 1.0 and 1e0 are equal, 9007199254740993 and 9007199254740992 are not.

/**
 * A double for up to fifteen significant digits, because such decimals have distinct doubles (IEEE 754, DBL_DIG). Longer numbers keep
 * their digits. So equal numbers always have equal forms.
 */
export type JsonNumber = number | LongNumber

/** `12300` is `{ digits: '123', exponent: '2' }`: no zeros at either end. */
type LongNumber = { readonly negative: boolean; readonly digits: string; readonly exponent: string }

/** @param text a number as JSON writes it */
export function readNumber(text: string): JsonNumber {
  if (text.length <= SAFE_DIGITS && !/[eE]/.test(text)) return Number(text)
  const [, sign = '', whole = '', fraction = '', power = '0'] = PARTS.exec(text) ?? []
  const digits = trimZeros(whole + fraction)
  if (digits.text === '') return 0
  const exponent = shifted(power, digits.dropped - fraction.length)
  const magnitude = Number(exponent) + digits.text.length
  if (digits.text.length <= SAFE_DIGITS && Math.abs(magnitude) < 300) return Number(text)
  return { negative: sign === '-', digits: digits.text, exponent }
}

export function sameNumber(a: JsonNumber, b: JsonNumber): boolean {
  if (typeof a === 'number' || typeof b === 'number') return a === b
  return a.negative === b.negative && a.digits === b.digits && a.exponent === b.exponent
}

/** The nearest double. */
export function toDouble(number: JsonNumber): number {
  return typeof number === 'number' ? number : Number(numberText(number))
}

export function numberText(number: JsonNumber): string {
  if (typeof number === 'number') return String(number)
  const sign = number.negative ? '-' : ''
  return number.exponent === '0' ? sign + number.digits : `${sign}${number.digits}e${number.exponent}`
}

const SAFE_DIGITS = 15
const PARTS = /^(-?)(\d+)(?:\.(\d+))?(?:[eE]([+-]?\d+))?$/

/** Without zeros at both ends; `dropped` counts those at the end. Not a regular expression: `/0+$/` is quadratic in runs of zeros. */
function trimZeros(digits: string): { text: string; dropped: number } {
  let start = 0
  let end = digits.length
  while (start < end && digits[start] === '0') start++
  while (end > start && digits[end - 1] === '0') end--
  return { text: digits.slice(start, end), dropped: digits.length - end }
}

/** The exponent plus `places`, as text, because it may exceed the safe integers. */
function shifted(power: string, places: number): string {
  const exponent = Number(power) + places
  if (Number.isSafeInteger(exponent)) return String(exponent)
  return `${BigInt(power.slice(0, MAX_EXPONENT_DIGITS).replace(/^\+/, '')) + BigInt(places)}`
}

/** The time of BigInt grows faster than the length of the text. */
const MAX_EXPONENT_DIGITS = 1000
