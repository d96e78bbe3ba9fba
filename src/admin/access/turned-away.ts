// Who was turned away goes on record, but not each time: a flood of attempts must not push the changes out of a log that
// is bounded, nor keep the store busy.
import type { Control } from '../../control/control.ts'

export type TurnedAwayFacts = Parameters<Control['recordRefusedCaller']>[0]

/** One entry for each address and second. */
const EVERY_MS = 1_000
/** Entries in a row for all addresses together, and then one a minute: a week of them leaves room in the log. */
const BURST = 30
const REFILL_MS = 60_000
const MOST_ADDRESSES = 1_000

export class TurnedAway {
  readonly #tell: (facts: TurnedAwayFacts) => void
  readonly #now: () => number
  readonly #lastAt = new Map<string, number>()
  #left = BURST
  #refilledAt: number
  #untold = 0
  #last: TurnedAwayFacts | undefined
  #timer: NodeJS.Timeout | undefined

  constructor(control: Pick<Control, 'recordRefusedCaller'>, now: () => number) {
    this.#tell = (facts) => void control.recordRefusedCaller(facts)
    this.#now = now
    this.#refilledAt = now()
  }

  note(facts: TurnedAwayFacts): void {
    if (!this.#mayTell(facts.address ?? '')) {
      this.#untold++
      this.#last = facts
      this.#timer ??= setTimeout(() => this.#tellRest(), REFILL_MS).unref()
      return
    }
    this.#tell({ ...facts, why: `${facts.why}${this.#others()}` })
  }

  /** What is left to be told is told. */
  close(): void {
    if (this.#untold > 0) this.#tellRest()
    clearTimeout(this.#timer)
  }

  /** The last words of a flood: without them its size would be known only when somebody else is turned away. */
  #tellRest(): void {
    this.#timer = undefined
    const last = this.#last
    if (last === undefined || this.#untold === 0) return
    this.#untold--
    this.#tell({ ...last, why: `${last.why}${this.#others()}` })
  }

  #others(): string {
    const untold = this.#untold
    this.#untold = 0
    this.#last = undefined
    return untold === 0 ? '' : ` (and ${untold} more attempts that are not on record one by one)`
  }

  #mayTell(address: string): boolean {
    const now = this.#now()
    const lastAt = this.#lastAt.get(address) ?? Number.NEGATIVE_INFINITY
    if (now - lastAt < EVERY_MS) return false
    const refilled = this.#left + (now - this.#refilledAt) / REFILL_MS
    this.#left = Math.min(BURST, refilled)
    this.#refilledAt = now
    if (this.#left < 1) return false
    this.#left--
    this.#lastAt.delete(address)
    this.#lastAt.set(address, now)
    if (this.#lastAt.size > MOST_ADDRESSES) this.#lastAt.delete(this.#lastAt.keys().next().value as string)
    return true
  }
}
