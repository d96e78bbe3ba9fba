// From the shared state to what a request meets. Pure.
import type { Side } from '../model/route.ts'
import type { SharedState } from '../model/shared-state.ts'
import type { Controls } from '../model/snapshot.ts'
import { contextOf } from './verbs.ts'

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

/** When the next pin comes to its end; undefined where none will. */
export function nextEnd(state: SharedState, now: number): number | undefined {
  const ends = Object.keys(state.contexts).flatMap((name) => contextOf(state, name, now).pin?.until ?? [])
  return ends.length === 0 ? undefined : Math.min(...ends)
}
