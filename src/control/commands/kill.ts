// The kill switch sends all requests of all contexts to legacy. Pure.
import type { SharedState, Stamp } from '../../model/shared-state.ts'
import type { Transition } from './change.ts'

export function kill(state: SharedState, stamp: Stamp): Transition {
  if (state.kill !== null) return { kind: 'unchanged', value: true, note: `the kill switch is on, by ${state.kill.by}` }
  const generation = state.generation + 1
  const next = { ...state, generation, kill: stamp, killChange: { ...stamp, verb: 'kill' as const, generation } }
  return { kind: 'change', next, before: false, after: true, until: null, note: null }
}

export function revive(state: SharedState, stamp: Stamp): Transition {
  if (state.kill === null) return { kind: 'unchanged', value: false, note: 'the kill switch was not on' }
  const generation = state.generation + 1
  const next = { ...state, generation, kill: null, killChange: { ...stamp, verb: 'revive' as const, generation } }
  return { kind: 'change', next, before: true, after: false, until: null, note: null }
}
