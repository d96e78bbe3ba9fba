// Tokens that were verified a moment ago, by their hash: no token is kept, and checking a signature again is dear.
import type { VerifiedToken } from './verify-token.ts'

const MOST_ENTRIES = 10_000
/** A key that its issuer has withdrawn is believed for this long at most. */
const LONGEST_MS = 5 * 60_000

type Entry = { readonly verified: VerifiedToken; readonly from: number; readonly until: number }

/** The oldest unused goes first. Times are calendar milliseconds, as the token's own are. */
export class VerifiedCache {
  readonly #entries = new Map<string, Entry>()

  get(key: string, now: number): VerifiedToken | undefined {
    const entry = this.#entries.get(key)
    if (entry === undefined) return undefined
    this.#entries.delete(key)
    // A clock that was set back must not make an entry live longer.
    if (now < entry.from || now >= entry.until) return undefined
    this.#entries.set(key, entry)
    return entry.verified
  }

  set(key: string, verified: VerifiedToken, now: number): void {
    this.#entries.set(key, { verified, from: now, until: Math.min(verified.expiresAt, now + LONGEST_MS) })
    if (this.#entries.size > MOST_ENTRIES) this.#entries.delete(this.#entries.keys().next().value as string)
  }
}
