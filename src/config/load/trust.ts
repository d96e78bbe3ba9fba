// Whether an address is one of ours. Asked for every request, so the answers are kept.
import { compile } from 'proxy-addr'

const ANSWERS_KEPT = 4096

/** Whether an address is in one of the ranges; anything that is no address is not. */
export function compileTrust(ranges: readonly string[]): (address: string) => boolean {
  if (ranges.length === 0) return () => false
  const isIn = compile([...ranges])
  const answers = new Map<string, boolean>()
  return (address) => {
    const known = answers.get(address)
    if (known !== undefined) return known
    const answer = isIn(address, 0)
    // Emptied rather than pruned: cheaper than keeping an order, and a flood of addresses costs one Map.
    if (answers.size >= ANSWERS_KEPT) answers.clear()
    answers.set(address, answer)
    return answer
  }
}
