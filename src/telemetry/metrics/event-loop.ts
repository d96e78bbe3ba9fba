// The delay of the event loop.
import { monitorEventLoopDelay } from 'node:perf_hooks'
import type { Registry } from 'prom-client'
import { expose } from './exposition.ts'

export const LOOP_RESOLUTION_MS = 20
const QUANTILES = [0.5, 0.9, 0.99]

/** Exposes quantiles since the last scrape. @returns a function that stops the measurement */
export function exposeEventLoop(registry: Registry): () => void {
  const delays = monitorEventLoopDelay({ resolution: LOOP_RESOLUTION_MS })
  delays.enable()
  // Node measures from one tick of its timer to the next: an idle loop shows the interval of the timer.
  const toSeconds = (nanoseconds: number) => Math.max(0, nanoseconds / 1e9 - LOOP_RESOLUTION_MS / 1000)
  expose(registry, {
    name: 'strangler_event_loop_delay_seconds',
    help: 'How late the event loop was, since the last scrape.',
    type: 'gauge',
    collect: () => {
      if (delays.count === 0) return []
      const samples = QUANTILES.map((quantile) => ({
        labels: { quantile: String(quantile) },
        value: toSeconds(delays.percentile(quantile * 100)),
      }))
      samples.push({ labels: { quantile: '1' }, value: toSeconds(delays.max) })
      delays.reset()
      return samples
    },
  })
  return () => void delays.disable()
}
