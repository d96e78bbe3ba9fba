// Whether a client keeps up while it is the one who is waited for: in sending its body, or in reading its answer.
import type { Limits } from '../../model/snapshot.ts'

/** Who was fast at first may be slow for so long afterwards. Without an end to it a fast start would pay for hours. */
const MAX_CREDIT_MS = 60_000

/** One direction of one exchange. Pure state: bytes and time come in as arguments. */
export class Pace {
  #bytes = 0
  /** Time that has passed less the time that the bytes were worth at the least rate. */
  #behindMs = 0
  #silentMs = 0

  /**
   * @param bytes moved so far
   * @param elapsedMs for which the client was waited for since the last call
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
