// The state as this process knows it: it only ever moves forward.
import { EMPTY_STATE, type SharedState } from '../model/shared-state.ts'
import { type Listeners, listeners } from './listeners.ts'

export class KnownState {
  current: SharedState = EMPTY_STATE
  private readonly changes: Listeners<SharedState>

  constructor(troubled: (error: Error) => void) {
    this.changes = listeners(troubled)
  }

  onChange(listener: (state: SharedState) => void): () => void {
    return this.changes.add(listener)
  }

  /** Takes a state that is newer than the known one; whatever else arrives late is ignored. */
  adopt(state: SharedState): void {
    if (state.generation > this.current.generation) this.replace(state)
  }

  /** Takes a state whatever its generation. */
  replace(state: SharedState): void {
    this.current = state
    this.changes.tell(state)
  }
}
