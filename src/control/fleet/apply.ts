// A newer shared state becomes what this gateway decides by, and it says so: controls and embedded flags at once, the
// flags of an Unleash as soon as it shows them.
import { sleep } from '../../lib/timeout.ts'
import type { Flip, SharedState } from '../../model/shared-state.ts'
import type { Controls } from '../../model/snapshot.ts'
import { contextOf } from '../commands/verbs.ts'
import { controlsOf, nextEnd } from '../controls.ts'
import type { ControlOptions } from '../create-control.ts'

export type Applier = {
  /** Older states than the one in use are passed over. */
  readonly apply: (state: SharedState) => void
  /** The generation in use, embedded flags included. What has come of an Unleash's, their percentages tell. */
  readonly applied: () => number
  readonly stop: () => void
}

type Options = ControlOptions & {
  readonly localKill: () => readonly string[]
  readonly onApplied: () => void
  readonly onPinEnd?: () => void
}

/** What an Unleash has just been told takes a moment to come out of it again. */
const REFRESH_PAUSE_MS = 100
const HURRY_MS = 5000
/** An Unleash that was down for longer is back before the next poll, which may be a minute away after an outage. */
const TRY_AGAIN_MS = 2000
/** The clock that pins end by is the fleet's, and may turn out to be another than it was taken for. */
const LOOK_AT_PINS_MS = 5000

export function createApplier({
  store,
  clock,
  events,
  flags,
  useFlags,
  publish,
  localKill,
  onApplied,
  onPinEnd,
}: Options): Applier {
  let applied = -1
  let published: SharedState | undefined
  let pinEnds: NodeJS.Timeout | undefined
  let trying: NodeJS.Timeout | undefined
  let isStopped = false
  /** By context: the last flip, by its generation, that the flags in use are known to have. */
  const caughtUp = new Map<string, number>()

  return {
    apply,
    applied: () => Math.max(0, applied),
    stop: () => {
      isStopped = true
      clearTimeout(pinEnds)
      clearTimeout(trying)
    },
  }

  function apply(state: SharedState): void {
    if (isStopped || (published !== undefined && state.generation < published.generation)) return
    const isFirst = published === undefined
    published = state
    const controls = publishControls(state)
    if (useFlags !== undefined) useFlags(state.flags)
    else if (isFirst) flipsOf(state).forEach(caught)
    if (state.generation > applied) say(state, controls)
    if (useFlags === undefined) void catchUp(state)
  }

  function say(state: SharedState, { pins, isKilled }: Controls): void {
    applied = state.generation
    events.stateApplied({ generation: applied, killed: isKilled, pins: pins.size, flags: flags.status().flags })
    onApplied()
  }

  /** A pin that comes to its end does so here, whether or not the store can be reached. */
  function publishControls(state: SharedState): Controls {
    const now = store.wallTime()
    const controls = controlsOf(state, localKill(), now)
    publish(controls, state.generation)
    clearTimeout(pinEnds)
    awaitEnd(nextEnd(state, now))
    return controls
  }

  function awaitEnd(end: number | undefined): void {
    if (end === undefined) return
    const inMs = Math.min(Math.max(0, end - store.wallTime()) + 1, LOOK_AT_PINS_MS)
    pinEnds = setTimeout(() => {
      if (store.wallTime() < end) awaitEnd(end)
      else if (published !== undefined) {
        publishControls(published)
        onPinEnd?.()
      }
    }, inMs)
    pinEnds.unref()
  }

  /** Fetches the flags that were flipped, until they are as they were flipped, and says so. @param hurryMs 0 tries once */
  async function catchUp(state: SharedState, hurryMs = HURRY_MS): Promise<void> {
    const flips = flipsOf(state).filter(({ context, flip }) => flip.generation > (caughtUp.get(context) ?? 0))
    if (flips.length === 0) return
    const pending = () => flips.filter(isPending)
    const hurryUntil = clock.now() + hurryMs
    while (pending().length > 0 && !isStopped) {
      await flags.refresh(pending().map(({ flip }) => flip.flag))
      if (clock.now() >= hurryUntil) break
      if (pending().length > 0) await sleep(REFRESH_PAUSE_MS)
    }
    if (isStopped) return
    const there = flips.filter((flip) => !isPending(flip))
    there.forEach(caught)
    if (there.length > 0) onApplied()
    // A rollback's 0 may be for nobody here to write, and its pin stands: the polls will tell.
    if (pending().some(({ flip }) => flip.byRollback !== true)) tryAgain()
  }

  function tryAgain(): void {
    clearTimeout(trying)
    trying = setTimeout(() => void catchUp(published as SharedState, 0), TRY_AGAIN_MS)
    trying.unref()
  }

  /** Nobody waits for a flip after which there was another. */
  function isPending({ context, flip }: InContext): boolean {
    const last = published === undefined ? undefined : flipOf(published, context)
    return last?.generation === flip.generation && flags.percentage(flip.flag).percentage !== flip.percentage
  }

  function caught({ context, flip }: InContext): void {
    caughtUp.set(context, Math.max(flip.generation, caughtUp.get(context) ?? 0))
  }
}

type InContext = { readonly context: string; readonly flip: Flip }

function flipsOf(state: SharedState): InContext[] {
  return Object.keys(state.contexts).flatMap((context) => {
    const flip = flipOf(state, context)
    return flip === null ? [] : [{ context, flip }]
  })
}

function flipOf(state: SharedState, context: string): Flip | null {
  return contextOf(state, context, 0).flip
}
