// Reads the state of one context from the shared state. Pure.
import { type ContextState, EMPTY_CONTEXT, type SharedState } from '../model/shared-state.ts'

/**
 * The state of a context. A pin that has ended by `now` is left out.
 *
 * @param now milliseconds since 1970, by the store's clock; 0 keeps every pin
 */
export function contextStateAt(state: SharedState, name: string, now: number): ContextState {
  const context = Object.hasOwn(state.contexts, name) ? state.contexts[name] : undefined
  if (context === undefined) return EMPTY_CONTEXT
  const { pin } = context
  const hasEnded = pin !== null && pin.until !== null && pin.until <= now
  return hasEnded ? { ...context, pin: null } : context
}
