// Money is whole cents inside, and a number of euros only where it is shown.

export const CURRENCY = 'EUR'

/** Kaufmännisch: a half cent is rounded up. The extracted catalog rounds it to the even cent; see its README. */
export function withTax(netCents: number, taxPercent: number): number {
  // Both factors are whole numbers, so a half cent is exactly .5 here and Math.round sees it as such.
  return Math.round((netCents * (100 + taxPercent)) / 100)
}

export function euros(cents: number): number {
  return cents / 100
}

export function shownPrice(cents: number): string {
  return `€${(cents / 100).toFixed(2)}`
}
