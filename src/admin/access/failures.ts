// How often failed sign-ins are answered 401, for each network and for all together; further ones are answered 429. Valid tokens are
// accepted all the same.
import { TokenBucket } from '../../lib/token-bucket.ts'
import { NetworkMap } from '../http/network-map.ts'

/** Failures in a row from one network, and then one every six seconds. */
const BURST = 10
const REFILL_MS = 6_000
/** The same for all of them together. */
const BURST_OF_ALL = 200
const REFILL_OF_ALL_MS = 100

export class Failures {
  readonly #now: () => number
  readonly #each: NetworkMap<TokenBucket>
  readonly #all: TokenBucket

  constructor(now: () => number) {
    this.#now = now
    this.#each = new NetworkMap(() => new TokenBucket(BURST, REFILL_MS, now()))
    this.#all = new TokenBucket(BURST_OF_ALL, REFILL_OF_ALL_MS, now())
  }

  /** One more. @returns how long to wait before the next one in milliseconds; 0 where this one may be told what it was */
  count(address: string): number {
    const now = this.#now()
    return Math.max(this.#each.getOrCreate(address).take(now), this.#all.take(now))
  }
}
