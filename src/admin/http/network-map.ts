// State for each client network, with a limit on the number of networks.
import { isIPv6 } from 'node:net'
import { LruMap } from '../../lib/lru-map.ts'

const MAX_NETWORKS = 1_000

/** One value for each network. A new network evicts the least recently used one when the limit is reached. */
export class NetworkMap<Value> {
  readonly #create: () => Value
  readonly #values = new LruMap<string, Value>(MAX_NETWORKS)

  /** @param create makes the value of a new network */
  constructor(create: () => Value) {
    this.#create = create
  }

  /** @param address of a client in the network */
  getOrCreate(address: string): Value {
    const network = networkOf(address)
    let value = this.#values.get(network)
    if (value === undefined) {
      value = this.#create()
      this.#values.set(network, value)
    }
    return value
  }

  get size(): number {
    return this.#values.size
  }
}

/** The /64 network of an IPv6 address, because one client usually has a whole /64; an IPv4 address unchanged. */
export function networkOf(address: string): string {
  if (!isIPv6(address)) return address
  const [head = '', tail] = address.split('::')
  const left = head === '' ? [] : head.split(':')
  const right = tail === undefined || tail === '' ? [] : tail.split(':')
  const zeros = tail === undefined ? [] : new Array<string>(Math.max(0, 8 - left.length - right.length)).fill('0')
  const groups = [...left, ...zeros, ...right].slice(0, 4).map((group) => Number.parseInt(group, 16).toString(16))
  return `${groups.join(':')}::/64`
}
