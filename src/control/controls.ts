// Computes from the shared state the controls that each request is decided by. Pure.
import type { Side } from '../model/route.ts'
import type { SharedState } from '../model/shared-state.ts'
import type { Controls } from '../model/snapshot.ts'
import { contextStateAt } from './context-state.ts'

/** The name for all contexts in the list of a kill file. */
export const EVERYTHING = '*'

/**
 * @param localKill contexts in the kill file of this gateway, or {@link EVERYTHING}
 * @param now milliseconds since 1970, by the store's clock
 */
export function controlsOf(state: SharedState, localKill: readonly string[], now: number): Controls {
  const pins = new Map<string, Side>()
  const shadows = new Map<string, number>()
  for (const name of Object.keys(state.contexts)) {
    const { pin, shadow } = contextStateAt(state, name, now)
    if (pin !== null) pins.set(name, pin.side)
    if (shadow != null) shadows.set(name, shadow.percentage / 100)
  }
  for (const name of localKill) if (name !== EVERYTHING) pins.set(name, 'legacy')
  return { isKilled: state.kill !== null || localKill.includes(EVERYTHING), pins, shadows }
}

/** The state without the pins that have ended. @param now milliseconds since 1970, by the store's clock */
export function withoutEndedPins(state: SharedState, now: number): SharedState {
  const contexts = Object.entries(state.contexts).map(([name, context]) => {
    return [name, { ...context, pin: contextStateAt(state, name, now).pin }] as const
  })
  return { ...state, contexts: Object.fromEntries(contexts) }
}

/** When the next pin ends, in milliseconds since 1970; undefined if no pin has an end. */
export function nextPinEnd(state: SharedState, now: number): number | undefined {
  const ends = Object.keys(state.contexts).flatMap((name) => contextStateAt(state, name, now).pin?.until ?? [])
  return ends.length === 0 ? undefined : Math.min(...ends)
}
