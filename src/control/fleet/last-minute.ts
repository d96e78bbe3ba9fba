// Requests of the last minute, from counts that only grow.
import type { Side } from '../../model/route.ts'

export type Counts = Readonly<Record<string, Readonly<Record<Side, number>>>>

const MINUTE_MS = 60_000

/** Remembers what it was shown, about once a second. */
export class LastMinute {
  readonly #samples: { readonly at: number; readonly counts: Counts }[] = []

  /** @param counts by context and side, since the start @param now milliseconds @returns those of the last minute */
  add(counts: Counts, now: number): Counts {
    this.#samples.push({ at: now, counts: structuredClone(counts) })
    while ((this.#samples[1]?.at ?? now) <= now - MINUTE_MS) this.#samples.shift()
    const before = this.#samples[0]?.counts ?? {}
    return Object.fromEntries(
      Object.entries(counts).map(([context, { legacy, service }]) => [
        context,
        { legacy: since(before[context]?.legacy, legacy), service: since(before[context]?.service, service) },
      ]),
    )
  }

  /** How many looks are remembered. */
  get size(): number {
    return this.#samples.length
  }
}

function since(before = 0, count: number): number {
  return Math.max(0, count - before)
}
