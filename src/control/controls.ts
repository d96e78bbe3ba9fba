// From the shared state to what a request meets. Pure.
import type { Side } from '../model/route.ts'
import type { SharedState } from '../model/shared-state.ts'
import type { Controls } from '../model/snapshot.ts'
import { contextOf } from './commands/verbs.ts'

/** All contexts, where a kill file names them. */
export const EVERYTHING = '*'

/** @param localKill contexts that this gateway's kill file names, or {@link EVERYTHING} @param now by the store's clock */
export function controlsOf(state: SharedState, localKill: readonly string[], now: number): Controls {
  const pins = new Map<string, Side>()
  const shadows = new Map<string, number>()
  for (const name of Object.keys(state.contexts)) {
    const { pin, shadow } = contextOf(state, name, now)
    if (pin !== null) pins.set(name, pin.side)
    if (shadow != null) shadows.set(name, shadow.percentage / 100)
  }
  for (const name of localKill) if (name !== EVERYTHING) pins.set(name, 'legacy')
  return { isKilled: state.kill !== null || localKill.includes(EVERYTHING), pins, shadows }
}

/** The state as it is in force. @param now by the store's clock */
export function withoutEndedPins(state: SharedState, now: number): SharedState {
  const contexts = Object.entries(state.contexts).map(([name, context]) => {
    return [name, { ...context, pin: contextOf(state, name, now).pin }] as const
  })
  return { ...state, contexts: Object.fromEntries(contexts) }
}

/** When the next pin comes to its end; undefined where none will. */
export function nextEnd(state: SharedState, now: number): number | undefined {
  const ends = Object.keys(state.contexts).flatMap((name) => contextOf(state, name, now).pin?.until ?? [])
  return ends.length === 0 ? undefined : Math.min(...ends)
}
