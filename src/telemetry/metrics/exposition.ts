// Exposes counts of the gateway through the registry of prom-client.
//
// prom-client hashes a label object at every `inc` and `observe`, which takes a microsecond or more, several times a request.
// The gateway counts in flat arrays instead, and creates the samples of prom-client at a scrape.
import type { Metric, Registry } from 'prom-client'

export type Sample = {
  readonly metricName?: string
  readonly labels: Readonly<Record<string, string | number>>
  readonly value: number
}

type ExposedMetric = {
  readonly name: string
  readonly help: string
  readonly type: 'counter' | 'gauge' | 'histogram'
  readonly collect: () => Sample[]
}

/** Registers a metric whose samples are created at each scrape. */
export function expose(registry: Registry, { name, help, type, collect }: ExposedMetric): void {
  const metric = {
    name,
    help,
    type,
    aggregator: 'sum',
    get: async () => ({ name, help, type, aggregator: 'sum', values: collect() }),
    reset: () => {},
  }
  // The registry only calls `get` and reads `name`; its type accepts only the classes of prom-client.
  registry.registerMetric(metric as unknown as Metric)
}

/** A Prometheus histogram: counts of observations by upper bound, in seconds. */
export class Distribution {
  readonly #bounds: readonly number[]
  readonly #counts: Float64Array
  #sum = 0
  #count = 0

  constructor(bounds: readonly number[]) {
    this.#bounds = bounds
    this.#counts = new Float64Array(bounds.length)
  }

  observe(seconds: number): void {
    const bounds = this.#bounds
    this.#sum += seconds
    this.#count++
    for (let i = 0; i < bounds.length; i++) {
      if (seconds <= bounds[i]!) {
        this.#counts[i]!++
        return
      }
    }
  }

  addSamples(name: string, labels: Sample['labels'], samples: Sample[]): void {
    if (this.#count === 0) return
    let cumulated = 0
    for (const [index, bound] of this.#bounds.entries()) {
      cumulated += this.#counts[index]!
      samples.push({ metricName: `${name}_bucket`, labels: { le: bound, ...labels }, value: cumulated })
    }
    samples.push({ metricName: `${name}_bucket`, labels: { le: '+Inf', ...labels }, value: this.#count })
    samples.push({ metricName: `${name}_sum`, labels, value: this.#sum })
    samples.push({ metricName: `${name}_count`, labels, value: this.#count })
  }
}
