// Amounts are integers in cents; only the output has euros.

export const CURRENCY = 'EUR'

/**
 * Bankers' rounding: a half cent is rounded to the even cent. The monolith always rounds it up. This is the only deliberate difference
 * between the two: see README.md.
 */
export function withTax(netCents: number, taxPercent: number): number {
  const hundredths = netCents * (100 + taxPercent)
  const cents = Math.floor(hundredths / 100)
  const rest = hundredths % 100
  const up = rest > 50 || (rest === 50 && cents % 2 === 1)
  return up ? cents + 1 : cents
}

export function euros(cents: number): number {
  return cents / 100
}

export function shownPrice(cents: number): string {
  return `€${(cents / 100).toFixed(2)}`
}
