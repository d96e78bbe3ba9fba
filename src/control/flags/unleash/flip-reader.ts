// Reads flips from Unleash as soon as they are on record, instead of at the next poll.
import { sleep } from '../../../lib/timeout.ts'
import type { Clock } from '../../../model/ports.ts'
import type { Flip, SharedState } from '../../../model/shared-state.ts'
import { contextStateAt } from '../../context-state.ts'
import type { Flags } from '../flags.ts'

/** Unleash publishes a percentage some milliseconds after it was written. */
const READ_PAUSE_MS = 100
/** How long a flip is read without a longer pause. */
const HURRY_MS = 5000
/** After an outage of Unleash the next poll may be a minute away: a flip is read again sooner. */
const RETRY_MS = 2000

type FlipReaderOptions = { readonly clock: Clock; readonly flags: Flags }

export class FlipReader {
  readonly #clock: Clock
  readonly #flags: Flags
  #state: SharedState | undefined
  #onRead = () => {}
  #retryTimer: NodeJS.Timeout | undefined
  #isStopped = false
  /** By context: the generation of the last flip that the flags in use have. */
  readonly #readGenerations = new Map<string, number>()

  constructor({ clock, flags }: FlipReaderOptions) {
    this.#clock = clock
    this.#flags = flags
  }

  /** The flips of the first state are those of before the start, which the first flags have. @param onRead as in FlagAuthority */
  applyState(state: SharedState, onRead: () => void): void {
    const isFirst = this.#state === undefined
    this.#state = state
    this.#onRead = onRead
    if (isFirst) for (const flip of flipsOf(state)) this.#markRead(flip)
    else void this.#readFlips(state, HURRY_MS)
  }

  stop(): void {
    this.#isStopped = true
    clearTimeout(this.#retryTimer)
  }

  /** @param hurryMs 0 reads once */
  async #readFlips(state: SharedState, hurryMs: number): Promise<void> {
    // The gateway reports the new generation before it asks Unleash.
    await null
    const flips = flipsOf(state).filter(
      ({ context, flip }) => flip.generation > (this.#readGenerations.get(context) ?? 0),
    )
    if (flips.length === 0) return
    const pending = () => flips.filter((flip) => this.#isPending(flip))
    const hurryUntil = this.#clock.now() + hurryMs
    while (pending().length > 0 && !this.#isStopped) {
      await this.#flags.refresh(pending().map(({ flip }) => flip.flag))
      if (this.#clock.now() >= hurryUntil) break
      if (pending().length > 0) await sleep(READ_PAUSE_MS)
    }
    if (this.#isStopped) return
    const read = flips.filter((flip) => !this.#isPending(flip))
    for (const flip of read) this.#markRead(flip)
    if (read.length > 0) this.#onRead()
    // The 0 of a rollback may be written much later; its pin is in force, so that the polls are soon enough.
    if (pending().some(({ flip }) => flip.byRollback !== true)) this.#retryLater()
  }

  #retryLater(): void {
    clearTimeout(this.#retryTimer)
    this.#retryTimer = setTimeout(() => void this.#readFlips(this.#state as SharedState, 0), RETRY_MS)
    this.#retryTimer.unref()
  }

  /** A flip that another flip has replaced is not pending. */
  #isPending({ context, flip }: ContextFlip): boolean {
    const last = this.#state === undefined ? undefined : flipOf(this.#state, context)
    return last?.generation === flip.generation && this.#flags.percentage(flip.flag).percentage !== flip.percentage
  }

  #markRead({ context, flip }: ContextFlip): void {
    this.#readGenerations.set(context, Math.max(flip.generation, this.#readGenerations.get(context) ?? 0))
  }
}

type ContextFlip = { readonly context: string; readonly flip: Flip }

function flipsOf(state: SharedState): ContextFlip[] {
  return Object.keys(state.contexts).flatMap((context) => {
    const flip = flipOf(state, context)
    return flip === null ? [] : [{ context, flip }]
  })
}

function flipOf(state: SharedState, context: string): Flip | null {
  return contextStateAt(state, context, 0).flip
}
