// Whether a client sends its body, or reads its response, fast enough while the gateway waits for it.
import type { Limits } from '../../model/snapshot.ts'

/** A client that was fast at first may be slow afterwards for this time at most, in milliseconds. */
const MAX_CREDIT_MS = 60_000

/** One direction of one exchange. Pure state: bytes and time are arguments. */
export class Pace {
  #bytes = 0
  /** Elapsed time minus the time that the bytes take at the minimum rate. Negative for a fast client. */
  #behindMs = 0
  #silentMs = 0

  /**
   * @param bytes moved since the beginning
   * @param elapsedMs for which the gateway has waited for the client since the last call
   */
  isTooSlow(bytes: number, elapsedMs: number, { clientIdleMs, minimumRate, rateGraceMs }: Limits): boolean {
    const moved = bytes - this.#bytes
    this.#bytes = bytes
    this.#silentMs = moved > 0 ? 0 : this.#silentMs + elapsedMs
    if (this.#silentMs > clientIdleMs) return true
    if (minimumRate === 0) return false
    this.#behindMs = Math.max(-MAX_CREDIT_MS, this.#behindMs + elapsedMs - (moved * 1000) / minimumRate)
    return this.#behindMs > rateGraceMs
  }
}
