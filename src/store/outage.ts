// Why a store cannot be used, and for how long.
import type { Clock } from '../model/ports.ts'
import type { StoreEvents } from './store-events.ts'

/** An outage lasts while at least one of its causes lasts. Its beginning and its end are reported once each. */
export class Outage<Cause extends string> {
  readonly #clock: Clock
  readonly #events: Pick<StoreEvents, 'disconnected' | 'reconnected'>
  readonly #reasons = new Map<Cause, string>()
  #since = 0

  constructor(clock: Clock, events: Pick<StoreEvents, 'disconnected' | 'reconnected'>) {
    this.#clock = clock
    this.#events = events
  }

  /** The reason of the first cause; undefined while there is no outage. */
  get reason(): string | undefined {
    return this.#reasons.values().next().value
  }

  /** Milliseconds since the outage began; 0 without an outage. */
  get durationMs(): number {
    return this.#reasons.size === 0 ? 0 : this.#clock.now() - this.#since
  }

  has(cause: Cause): boolean {
    return this.#reasons.has(cause)
  }

  /** @param since the time at which the cause began, by the monotonic clock */
  begin(cause: Cause, reason: string, since = this.#clock.now()): void {
    const isNew = this.#reasons.size === 0
    this.#reasons.set(cause, reason)
    if (!isNew) return
    this.#since = since
    this.#events.disconnected(reason)
  }

  end(cause: Cause): void {
    if (!this.#reasons.delete(cause) || this.#reasons.size > 0) return
    this.#events.reconnected(this.#clock.now() - this.#since)
  }
}
