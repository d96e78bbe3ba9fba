// Random numbers that are the same for the same seeds.

/** From 0 to below 1. */
export type Random = () => number

/**
 * mulberry32, by Tommy Ettinger, in the public domain. It takes several seeds, so that each response to each request has its own
 * stream of random numbers.
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
    const member = mixed[i]!
    mixed[i] = mixed[j]!
    mixed[j] = member
  }
  return mixed
}

const GOLDEN = 0x6d2b79f5

/** The finalizer of MurmurHash3, by Austin Appleby, in the public domain: similar inputs get dissimilar outputs. */
function mix(number: number): number {
  let mixed = number | 0
  mixed = Math.imul(mixed ^ (mixed >>> 16), 0x85ebca6b)
  mixed = Math.imul(mixed ^ (mixed >>> 13), 0xc2b2ae35)
  return mixed ^ (mixed >>> 16)
}
