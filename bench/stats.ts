export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b)
  const middle = Math.floor(sorted.length / 2)
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2
}

/** How far the rounds lie apart, as a share of their median: the noise a reader should allow for. */
export function spread(values: readonly number[]): number {
  return (Math.max(...values) - Math.min(...values)) / median(values)
}

/** Two of the values, between which the median of what they are drawn from lies with 95 %: those half ± 0.98 √n in order. */
export function medianInterval(values: readonly number[]): [number, number] {
  const sorted = values.toSorted((a, b) => a - b)
  const reach = 0.98 * Math.sqrt(sorted.length)
  const valueAt = (index: number) => sorted[Math.min(Math.max(index, 0), sorted.length - 1)]!
  return [valueAt(Math.floor(sorted.length / 2 - reach)), valueAt(Math.ceil(sorted.length / 2 + reach) - 1)]
}
