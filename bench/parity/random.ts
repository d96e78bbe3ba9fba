// Chance that is the same whenever it is begun with the same numbers.

/** From 0 to below 1. */
export type Random = () => number

/**
 * mulberry32, by Tommy Ettinger, in the public domain. Any number of seeds, so that each answer to each request has
 * chance of its own: what one request takes of it moves no other.
 */
export function seeded(...seeds: readonly number[]): Random {
  let state = seeds.reduce((mixed, seed) => mix(mixed ^ mix(seed + GOLDEN)), 0)
  return () => {
    state = (state + GOLDEN) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
}

/** From 0 to below `limit`. */
export function whole(random: Random, limit: number): number {
  return Math.floor(random() * limit)
}

export function shuffled<T>(random: Random, members: readonly T[]): T[] {
  const mixed = [...members]
  for (let i = mixed.length - 1; i > 0; i--) {
    const j = whole(random, i + 1)
    const put = mixed[i]!
    mixed[i] = mixed[j]!
    mixed[j] = put
  }
  return mixed
}

const GOLDEN = 0x6d2b79f5

/** MurmurHash3’s last step, by Austin Appleby, in the public domain: neighbours become strangers. */
function mix(number: number): number {
  let mixed = number | 0
  mixed = Math.imul(mixed ^ (mixed >>> 16), 0x85ebca6b)
  mixed = Math.imul(mixed ^ (mixed >>> 13), 0xc2b2ae35)
  return mixed ^ (mixed >>> 16)
}
