// The requests of the last minute, from counts since the start.
import type { Side } from '../../model/route.ts'

/** Requests by context and side. */
export type RequestCounts = Readonly<Record<string, Readonly<Record<Side, number>>>>

const MINUTE_MS = 60_000

/** Takes a sample of the counts about once a second. */
export class LastMinute {
  readonly #samples: { readonly time: number; readonly counts: RequestCounts }[] = []

  /** @param counts since the start @param now milliseconds, monotonic @returns the counts of the last minute */
  add(counts: RequestCounts, now: number): RequestCounts {
    this.#samples.push({ time: now, counts: structuredClone(counts) })
    while ((this.#samples[1]?.time ?? now) <= now - MINUTE_MS) this.#samples.shift()
    const oldest = this.#samples[0]?.counts ?? {}
    return Object.fromEntries(
      Object.entries(counts).map(([context, { legacy, service }]) => [
        context,
        {
          legacy: increase(oldest[context]?.legacy, legacy),
          service: increase(oldest[context]?.service, service),
        },
      ]),
    )
  }

  /** The number of samples. */
  get size(): number {
    return this.#samples.length
  }
}

function increase(previous = 0, count: number): number {
  return Math.max(0, count - previous)
}
