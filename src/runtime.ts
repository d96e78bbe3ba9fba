// The real clock and the real dice, behind the ports of model/ports.ts.
import { randomFillSync } from 'node:crypto'
import type { Clock, Random } from './model/ports.ts'

export const systemClock: Clock = {
  now: () => performance.now(),
  wallTime: () => Date.now(),
}

/** Random bytes are asked of the system in blocks: one request needs 16, and a call for each would cost more than it. */
const BLOCK_BYTES = 16 * 1024

export function systemRandom(): Random {
  const block = Buffer.allocUnsafe(BLOCK_BYTES)
  let used = BLOCK_BYTES
  return {
    hex: (bytes) => {
      if (used + bytes > BLOCK_BYTES) {
        randomFillSync(block)
        used = 0
      }
      used += bytes
      return block.toString('hex', used - bytes, used)
    },
  }
}
