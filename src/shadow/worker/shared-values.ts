// Numbers policies and TLS settings, so that each is sent to the comparing thread once and jobs refer to it by its number.
import type { TlsOptions } from '../../model/route.ts'
import type { ShadowPolicy } from '../../model/shadow-policy.ts'
import type { ThreadInput } from './messages.ts'

/** Each edit of the config brings new policies: beyond this number the numbers begin again, and the thread forgets the old values. */
const MAX_VALUES = 1000

export class SharedValues {
  #numbers = new WeakMap<object, number>()
  #next = 0
  #unsent: [number, ShadowPolicy | TlsOptions][] = []
  #resetsNumbers = false

  numberOf(value: ShadowPolicy | TlsOptions): number {
    const existing = this.#numbers.get(value)
    if (existing !== undefined) return existing
    this.#numbers.set(value, this.#next)
    this.#unsent.push([this.#next, value])
    return this.#next++
  }

  /** The values that were numbered since the last call, for the next message. */
  takeUnsent(): Pick<ThreadInput, 'sharedValues' | 'resetsNumbers'> {
    const unsent = { sharedValues: this.#unsent, resetsNumbers: this.#resetsNumbers }
    this.#unsent = []
    this.#resetsNumbers = false
    return unsent
  }

  get isFull(): boolean {
    return this.#next >= MAX_VALUES
  }

  /** Forgets all numbers. Jobs that are not sent yet must not use them. */
  reset(): void {
    this.#numbers = new WeakMap()
    this.#unsent = []
    this.#next = 0
    this.#resetsNumbers = true
  }
}
