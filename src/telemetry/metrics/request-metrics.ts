// The metrics of requests, counted in one tally for each bounded context.
import type { Registry } from 'prom-client'
import type { Side } from '../../model/route.ts'
import type { RequestFacts } from '../events.ts'
import { expose, type Sample } from './exposition.ts'
import { RequestTally } from './request-tally.ts'

/** The label `context` of requests that no context owns. */
const UNOWNED = 'unowned'

const COUNTERS = [
  {
    name: 'strangler_requests_total',
    help: 'Requests with a decision, by decision, method and class of the status that the client received.',
    addSamples: (tally: RequestTally, samples: Sample[]) => tally.addRequestSamples(samples),
  },
  {
    name: 'strangler_failures_total',
    help: 'Requests whose response was not passed on completely, by the side that was tried and the failure.',
    addSamples: (tally: RequestTally, samples: Sample[]) => tally.addFailureSamples(samples),
  },
  {
    name: 'strangler_fallbacks_total',
    help: 'Requests that legacy answered because the service could not, by the failure of the service.',
    addSamples: (tally: RequestTally, samples: Sample[]) => tally.addFallbackSamples(samples),
  },
  {
    name: 'strangler_retries_total',
    help: 'Requests that were sent a second time on a fresh connection.',
    addSamples: (tally: RequestTally, samples: Sample[]) => tally.addRetrySamples(samples),
  },
] as const

const HISTOGRAMS = [
  {
    part: 'duration',
    name: 'strangler_request_duration_seconds',
    help: 'From the first line of the request to the last byte of its response.',
  },
  {
    part: 'upstream',
    name: 'strangler_upstream_duration_seconds',
    help: 'From sending the request to the upstream to the head of its response.',
  },
  {
    part: 'overhead',
    name: 'strangler_gateway_overhead_seconds',
    help: 'The part of the request that was not spent on the upstream.',
  },
] as const

export class RequestMetrics {
  readonly #tallies = new Map<string, RequestTally>()

  constructor(registry: Registry) {
    for (const { name, help, addSamples } of COUNTERS)
      expose(registry, { name, help, type: 'counter', collect: () => this.#collect(addSamples) })
    for (const { part, name, help } of HISTOGRAMS) {
      const addSamples = (tally: RequestTally, samples: Sample[]) => tally.addTimeSamples(part, name, samples)
      expose(registry, { name, help, type: 'histogram', collect: () => this.#collect(addSamples) })
    }
  }

  requestFinished(facts: RequestFacts): void {
    const { decision, outcome } = facts
    const tally = this.#tallyOf(facts)
    const side = decision.side === 'service' ? 1 : 0
    tally.countRequest(side, decision.reason, facts.head.method, outcome.status)

    const wholeMs = facts.finishedAt - facts.arrivedAt
    tally.duration[side].observe(wholeMs / 1000)
    if (outcome.upstreamMs !== undefined) tally.upstream[side].observe(outcome.upstreamMs / 1000)
    // Without a response from upstream, the rest of the time is the wait for it, not the work of the gateway.
    if (outcome.upstreamTotalMs !== undefined)
      tally.overhead[side].observe(Math.max(0, wholeMs - outcome.upstreamTotalMs) / 1000)

    if (outcome.failure !== undefined) tally.countFailure(side, outcome.failure)
    if (outcome.fallbackCause !== undefined) tally.countFallback(outcome.fallbackCause)
    if (outcome.retried) tally.retries[side]!++
  }

  /** An upgrade is a request too. Its duration is not observed: it is the life of the tunnel, far longer than a request. */
  upgradeOpened(facts: RequestFacts): void {
    const { decision, head, outcome } = facts
    const side = decision.side === 'service' ? 1 : 0
    this.#tallyOf(facts).countRequest(side, decision.reason, head.method, outcome.status)
  }

  /** Requests so far, by context and side. */
  requestsBySide(): Record<string, Record<Side, number>> {
    return Object.fromEntries([...this.#tallies].map(([context, tally]) => [context, tally.requestsBySide()]))
  }

  /** Writes that the service has answered with 2xx or 3xx, by context. */
  serviceWrites(): Record<string, number> {
    return Object.fromEntries([...this.#tallies].map(([context, tally]) => [context, tally.serviceWrites()]))
  }

  #collect(addSamples: (tally: RequestTally, samples: Sample[]) => void): Sample[] {
    const samples: Sample[] = []
    for (const tally of this.#tallies.values()) addSamples(tally, samples)
    return samples
  }

  #tallyOf({ route }: RequestFacts): RequestTally {
    const context = route.context === undefined ? UNOWNED : route.context.name
    const existing = this.#tallies.get(context)
    if (existing !== undefined) return existing
    const tally = new RequestTally(context)
    this.#tallies.set(context, tally)
    return tally
  }
}
