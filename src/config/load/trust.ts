// Checks whether an address is in a trust list. Runs on every request, so the results are cached.
import { compile } from 'proxy-addr'

const MAX_CACHED = 4096

/** Returns a function that checks whether an address is in one of the ranges; false for text that is not an address. */
export function compileTrust(ranges: readonly string[]): (address: string) => boolean {
  if (ranges.length === 0) return () => false
  const isIn = compile([...ranges])
  const answers = new Map<string, boolean>()
  return (address) => {
    const cached = answers.get(address)
    if (cached !== undefined) return cached
    const answer = isIn(address, 0)
    // Clearing the cache is cheaper than keeping an order of use, and bounds its memory under a flood of addresses.
    if (answers.size >= MAX_CACHED) answers.clear()
    answers.set(address, answer)
    return answer
  }
}
