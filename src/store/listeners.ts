type Listener<Value> = (value: Value) => void

/** Listeners of one event. A listener that throws does not keep the others from being called. */
export class Listeners<Value> {
  readonly #reportError: (error: Error) => void
  readonly #entries = new Set<{ readonly listener: Listener<Value> }>()

  constructor(reportError: (error: Error) => void) {
    this.#reportError = reportError
  }

  /** @returns a function that removes the listener */
  add(listener: Listener<Value>): () => void {
    // An object for each call, so that the same function can be added twice.
    const entry = { listener }
    this.#entries.add(entry)
    return () => void this.#entries.delete(entry)
  }

  notify(value: Value): void {
    for (const { listener } of [...this.#entries]) {
      try {
        listener(value)
      } catch (error) {
        this.#reportError(new Error('a listener of the store threw an error', { cause: error }))
      }
    }
  }
}
