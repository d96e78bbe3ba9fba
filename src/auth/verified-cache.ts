// Recently verified tokens, by hash: the cache contains no token, and saves the cost of checking a signature again.
import { LruMap } from '../lib/lru-map.ts'
import type { VerifiedToken } from './verify-token.ts'

const CAPACITY = 10_000
/** For this long at most a token stays valid after its issuer withdrew the key. */
const LONGEST_MS = 5 * 60_000

type CachedToken = { readonly verified: VerifiedToken; readonly from: number; readonly until: number }

/** Evicts the least recently used entry. Times are calendar milliseconds, as the times of a token are. */
export class VerifiedCache {
  readonly #entries = new LruMap<string, CachedToken>(CAPACITY)

  get(key: string, now: number): VerifiedToken | undefined {
    const entry = this.#entries.get(key)
    if (entry === undefined) return undefined
    // A clock that was set back must not extend the life of an entry.
    if (now >= entry.from && now < entry.until) return entry.verified
    this.#entries.delete(key)
    return undefined
  }

  set(key: string, verified: VerifiedToken, now: number): void {
    this.#entries.set(key, { verified, from: now, until: Math.min(verified.expiresAt, now + LONGEST_MS) })
  }
}
