// Records refused callers in the audit log, at a limited rate: a flood of attempts must not displace changes from a bounded
// log, nor overload the store.
import type { Control, RefusedCaller } from '../../control/control.ts'
import { LruMap } from '../../lib/lru-map.ts'
import { TokenBucket } from '../../lib/token-bucket.ts'

/** One entry for each address in this time. */
const EVERY_MS = 1_000
/** For all addresses together: this many entries at once, and then one a minute. A week of them fits into the log. */
const BURST = 30
const REFILL_MS = 60_000
const MOST_ADDRESSES = 1_000

export class RefusedCallers {
  readonly #record: (caller: RefusedCaller) => void
  readonly #now: () => number
  readonly #recordedAt = new LruMap<string, number>(MOST_ADDRESSES)
  readonly #bucket: TokenBucket
  /** The callers since the last entry, and the last of them. */
  #unrecorded = 0
  #last: RefusedCaller | undefined
  #timer: NodeJS.Timeout | undefined

  /** @param now milliseconds of a monotonic clock */
  constructor(control: Pick<Control, 'recordRefusedCaller'>, now: () => number) {
    this.#record = (caller) => void control.recordRefusedCaller(caller)
    this.#now = now
    this.#bucket = new TokenBucket(BURST, REFILL_MS, now())
  }

  note(caller: RefusedCaller): void {
    if (!this.#mayRecord(caller.address ?? '')) {
      this.#unrecorded++
      this.#last = caller
      this.#timer ??= setTimeout(() => this.#recordRest(), REFILL_MS).unref()
      return
    }
    this.#record({ ...caller, why: `${caller.why}${this.#countRest()}` })
  }

  /** Records the callers that are not recorded yet, in one entry. */
  close(): void {
    clearTimeout(this.#timer)
    this.#recordRest()
  }

  /** Without this entry the size of a flood would be known only after the next refused caller. */
  #recordRest(): void {
    this.#timer = undefined
    const last = this.#last
    if (last === undefined || this.#unrecorded === 0) return
    this.#unrecorded--
    this.#record({ ...last, why: `${last.why}${this.#countRest()}` })
  }

  #countRest(): string {
    const count = this.#unrecorded
    this.#unrecorded = 0
    this.#last = undefined
    return count === 0 ? '' : ` (and ${count} more attempts without an entry of their own)`
  }

  #mayRecord(address: string): boolean {
    const now = this.#now()
    const recordedAt = this.#recordedAt.get(address) ?? Number.NEGATIVE_INFINITY
    if (now - recordedAt < EVERY_MS || this.#bucket.take(now) > 0) return false
    this.#recordedAt.set(address, now)
    return true
  }
}
