// Whether the client keeps up: sends its body and reads its response fast enough. The sweep calls it with elapsed time.
import type { Limits } from '../../model/snapshot.ts'
import type { ConnectionPool } from '../upstream/connection-pool.ts'
import { Pace } from './pace.ts'

/** A client that takes nothing of its response for this time, in milliseconds, counts as a slow reader. */
const SLOW_READER_MS = 250

/** Made when the gateway first waits for the client: few requests last that long. */
export class ClientWatch {
  readonly #sending = new Pace()
  readonly #reading = new Pace()
  /** Milliseconds since the client last took anything. */
  #blockedMs = 0
  /** The pool that counts this client as a slow reader. */
  #countedAt: ConnectionPool | undefined = undefined

  /** @param bytes of the request body that have arrived */
  isSendingTooSlowly(bytes: number, elapsedMs: number, limits: Limits): boolean {
    return this.#sending.isTooSlow(bytes, elapsedMs, limits)
  }

  /** @param bytes of the response that the client has taken */
  isReadingTooSlowly(bytes: number, elapsedMs: number, limits: Limits): boolean {
    return this.#reading.isTooSlow(bytes, elapsedMs, limits)
  }

  /**
   * Slow readers may hold connections until other requests need them. The sweep begins with the oldest exchange, so that
   * one is evicted first.
   *
   * @returns whether this client must be evicted
   */
  mustEvict(pool: ConnectionPool, elapsedMs: number): boolean {
    this.#blockedMs += elapsedMs
    if (this.#blockedMs < SLOW_READER_MS) return false
    if (this.#countedAt === undefined) {
      this.#countedAt = pool
      pool.beginSlowReader()
    }
    if (!pool.mustEvictSlowReader()) return false
    this.endBlock()
    return true
  }

  /** The client has taken something, or its connection to the upstream was given back. */
  endBlock(): void {
    this.#blockedMs = 0
    this.#countedAt?.endSlowReader()
    this.#countedAt = undefined
  }
}
