// The state in the memory of this process. Its generation never decreases.
import { EMPTY_STATE, type SharedState } from '../model/shared-state.ts'
import { Listeners } from './listeners.ts'

export class CachedState {
  #current: SharedState = EMPTY_STATE
  readonly #listeners: Listeners<SharedState>

  constructor(reportError: (error: Error) => void) {
    this.#listeners = new Listeners(reportError)
  }

  get current(): SharedState {
    return this.#current
  }

  /** @returns a function that removes the listener */
  onChange(listener: (state: SharedState) => void): () => void {
    return this.#listeners.add(listener)
  }

  /** Replaces the state by one of a higher generation. A state that arrives late is ignored. */
  adopt(state: SharedState): void {
    if (state.generation <= this.#current.generation) return
    this.#current = state
    this.#listeners.notify(state)
  }
}
