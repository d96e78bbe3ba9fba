// What is kept for each network that clients come from. There is room for so many, and whoever was not heard of for the
// longest time goes.
import { isIPv6 } from 'node:net'

const MOST_NETWORKS = 1_000

export class ByNetwork<Kept> {
  readonly #make: () => Kept
  readonly #kept = new Map<string, Kept>()

  constructor(make: () => Kept) {
    this.#make = make
  }

  of(address: string): Kept {
    const name = networkOf(address)
    const kept = this.#kept.get(name) ?? this.#make()
    this.#kept.delete(name)
    this.#kept.set(name, kept)
    if (this.#kept.size > MOST_NETWORKS) this.#kept.delete(this.#kept.keys().next().value as string)
    return kept
  }

  get size(): number {
    return this.#kept.size
  }
}

/** Whoever has one IPv6 address has the 2^64 beside it. */
export function networkOf(address: string): string {
  if (!isIPv6(address)) return address
  const [head = '', tail] = address.split('::')
  const left = head === '' ? [] : head.split(':')
  const right = tail === undefined || tail === '' ? [] : tail.split(':')
  const zeros = tail === undefined ? [] : new Array<string>(Math.max(0, 8 - left.length - right.length)).fill('0')
  const groups = [...left, ...zeros, ...right].slice(0, 4).map((group) => Number.parseInt(group, 16).toString(16))
  return `${groups.join(':')}::/64`
}
