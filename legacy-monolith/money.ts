// Amounts are integers in cents; only the output has euros.

export const CURRENCY = 'EUR'

/** Commercial rounding: a half cent is rounded up. The extracted catalog rounds to the even cent; see its README. */
export function withTax(netCents: number, taxPercent: number): number {
  // Both factors are integers, so a half cent is exactly .5, which Math.round rounds up.
  return Math.round((netCents * (100 + taxPercent)) / 100)
}

export function euros(cents: number): number {
  return cents / 100
}

export function shownPrice(cents: number): string {
  return `€${(cents / 100).toFixed(2)}`
}
