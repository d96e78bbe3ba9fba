// The real clock and the real dice, behind the ports of model/ports.ts.
import { randomFillSync } from 'node:crypto'
import { readFileSync } from 'node:fs'
import type { Clock, Random } from '../model/ports.ts'

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

/**
 * How many files and sockets the process may have open, from the operating system: the soft limit. Node raises it to the
 * hard limit at its start. Undefined where it is unlimited or cannot be read, as on systems other than Linux.
 */
export function openFilesLimit(): number | undefined {
  try {
    const soft = /^Max open files\s+(\d+)/m.exec(readFileSync('/proc/self/limits', 'utf8'))?.[1]
    return soft === undefined ? undefined : Number(soft)
  } catch {
    return undefined
  }
}
