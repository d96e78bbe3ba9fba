// Makes a newer shared state the one that this gateway decides by, and reports that it has.
import type { SharedState } from '../../model/shared-state.ts'
import type { Controls } from '../../model/snapshot.ts'
import type { StateStore } from '../../model/state-store.ts'
import type { Events } from '../../telemetry/events.ts'
import { controlsOf, nextPinEnd } from '../controls.ts'
import type { FlagAuthority } from '../flags/flag-authority.ts'

export type StateApplierOptions = {
  readonly store: Pick<StateStore, 'wallTime'>
  readonly events: Events
  readonly authority: FlagAuthority
  /** Makes the controls those of all new requests. */
  readonly publish: (controls: Controls, generation: number) => void
  /** Contexts that the kill file of this gateway sends to legacy. */
  readonly localKill: () => readonly string[]
  /** Called when a newer generation, or a flip that Unleash has published, is in use. */
  readonly onApplied: () => void
  readonly onPinEnd?: () => void
}

/** Pins end by the clock of the fleet, which the store may correct: it is read at least this often, in milliseconds. */
const READ_CLOCK_EVERY_MS = 5000

export class StateApplier {
  readonly #options: StateApplierOptions
  #generation = -1
  #applied: SharedState | undefined
  #pinTimer: NodeJS.Timeout | undefined
  #isStopped = false

  constructor(options: StateApplierOptions) {
    this.#options = options
  }

  /** The generation in use, embedded flags included. The percentages in heartbeats show which flips Unleash has published. */
  get generation(): number {
    return Math.max(0, this.#generation)
  }

  /** Ignores states that are older than the one in use. */
  apply(state: SharedState): void {
    if (this.#isStopped || (this.#applied !== undefined && state.generation < this.#applied.generation)) return
    this.#applied = state
    const { authority, onApplied } = this.#options
    const controls = this.#publish(state)
    authority.applyState(state, onApplied)
    if (state.generation > this.#generation) this.#report(state, controls)
  }

  stop(): void {
    this.#isStopped = true
    clearTimeout(this.#pinTimer)
  }

  #report(state: SharedState, { pins, isKilled }: Controls): void {
    const { events, authority, onApplied } = this.#options
    this.#generation = state.generation
    const { flags } = authority.flags.status()
    events.stateApplied({ generation: state.generation, killed: isKilled, pins: pins.size, flags })
    onApplied()
  }

  /** A pin ends on this gateway by the clock, whether or not the store can be reached. */
  #publish(state: SharedState): Controls {
    const { store, publish, localKill } = this.#options
    const now = store.wallTime()
    const controls = controlsOf(state, localKill(), now)
    publish(controls, state.generation)
    clearTimeout(this.#pinTimer)
    this.#awaitPinEnd(nextPinEnd(state, now))
    return controls
  }

  #awaitPinEnd(end: number | undefined): void {
    if (end === undefined) return
    const { store, onPinEnd } = this.#options
    const inMs = Math.min(Math.max(0, end - store.wallTime()) + 1, READ_CLOCK_EVERY_MS)
    this.#pinTimer = setTimeout(() => {
      if (store.wallTime() < end) this.#awaitPinEnd(end)
      else if (this.#applied !== undefined) {
        this.#publish(this.#applied)
        onPinEnd?.()
      }
    }, inMs)
    this.#pinTimer.unref()
  }
}
