// Limits the rate at which failed sign-ins are answered 401, for each network and for all together. Further failures are
// answered 429. Valid tokens are always accepted.
import { TokenBucket } from '../../lib/token-bucket.ts'
import { NetworkMap } from '../http/network-map.ts'

/** Failures of one network: ten at once, and then one every six seconds. */
const BURST = 10
const REFILL_MS = 6_000
/** The same for all networks together. */
const BURST_OF_ALL = 200
const REFILL_OF_ALL_MS = 100

export class SignInFailures {
  readonly #now: () => number
  readonly #each: NetworkMap<TokenBucket>
  readonly #all: TokenBucket

  constructor(now: () => number) {
    this.#now = now
    this.#each = new NetworkMap(() => new TokenBucket(BURST, REFILL_MS, now()))
    this.#all = new TokenBucket(BURST_OF_ALL, REFILL_OF_ALL_MS, now())
  }

  /** Counts a failure. @returns milliseconds until the next failure is answered 401; 0 if this one may be */
  count(address: string): number {
    const now = this.#now()
    return Math.max(this.#each.getOrCreate(address).take(now), this.#all.take(now))
  }
}
