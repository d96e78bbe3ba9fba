// How numbers that we count ourselves reach prom-client's registry, and so /metrics.
//
// prom-client hashes a label object at every `inc` and `observe`: a microsecond or more each, several times a request.
// The gateway counts in flat arrays instead and makes prom-client's samples from them when somebody scrapes.
import type { Metric, Registry } from 'prom-client'

export type Sample = {
  readonly metricName?: string
  readonly labels: Readonly<Record<string, string | number>>
  readonly value: number
}

export type Exposed = {
  readonly name: string
  readonly help: string
  readonly type: 'counter' | 'gauge' | 'histogram' | 'summary'
  readonly collect: () => Sample[]
}

/** Registers a metric whose samples are made at each scrape. */
export function expose(registry: Registry, { name, help, type, collect }: Exposed): void {
  const metric = {
    name,
    help,
    type,
    aggregator: 'sum',
    get: async () => ({ name, help, type, aggregator: 'sum', values: collect() }),
    reset: () => {},
  }
  // The registry calls `get` and reads `name`; its types only name prom-client's own classes.
  registry.registerMetric(metric as unknown as Metric)
}

/** Counts of observations by upper bound, in seconds, as Prometheus defines a histogram. */
export class Distribution {
  private readonly bounds: readonly number[]
  private readonly counts: Float64Array
  private sum = 0
  private count = 0

  constructor(bounds: readonly number[]) {
    this.bounds = bounds
    this.counts = new Float64Array(bounds.length)
  }

  observe(seconds: number): void {
    const bounds = this.bounds
    this.sum += seconds
    this.count++
    for (let i = 0; i < bounds.length; i++) {
      if (seconds <= bounds[i]!) {
        this.counts[i]!++
        return
      }
    }
  }

  samples(name: string, labels: Sample['labels'], into: Sample[]): void {
    if (this.count === 0) return
    let cumulated = 0
    for (const [i, bound] of this.bounds.entries()) {
      cumulated += this.counts[i]!
      into.push({ metricName: `${name}_bucket`, labels: { le: bound, ...labels }, value: cumulated })
    }
    into.push({ metricName: `${name}_bucket`, labels: { le: '+Inf', ...labels }, value: this.count })
    into.push({ metricName: `${name}_sum`, labels, value: this.sum })
    into.push({ metricName: `${name}_count`, labels, value: this.count })
  }
}
