// All metrics of /metrics. Labels come from closed unions and from the config, never from a client.
import { collectDefaultMetrics, Registry } from 'prom-client'
import type { Failure } from '../../model/failures.ts'
import type { Side } from '../../model/route.ts'
import type { AnswerFacts, RequestFacts } from '../events.ts'
import { exposeEventLoop, LOOP_RESOLUTION_MS } from './event-loop.ts'
import { expose } from './exposition.ts'
import { createRareCounters } from './rare-counters.ts'
import { exposeReadings, type Readings } from './readings.ts'
import { RequestMetrics } from './request-metrics.ts'
import { FAILURE_INDEX, FAILURE_NAMES } from './request-tally.ts'
import { ShadowMetrics } from './shadow-metrics.ts'

type MetricsOptions = {
  /** Called at each scrape. */
  readonly readings: () => Readings
  /** The number of access log lines that could not be written. */
  readonly linesLost: () => number
}

export class Metrics {
  readonly registry = new Registry()
  readonly shadow: ShadowMetrics
  readonly #requests: RequestMetrics
  readonly #rare: ReturnType<typeof createRareCounters>
  readonly #refusals = new Float64Array(FAILURE_NAMES.length)
  readonly #missingFlags = new Map<string, number>()
  readonly #stopEventLoop: () => void

  constructor({ readings, linesLost }: MetricsOptions) {
    const { registry } = this
    this.#requests = new RequestMetrics(registry)
    exposeReadings(registry, readings)
    expose(registry, {
      name: 'strangler_access_log_lost_total',
      help: 'Access log lines that could not be written.',
      type: 'counter',
      collect: () => [{ labels: {}, value: linesLost() }],
    })
    this.#stopEventLoop = exposeEventLoop(registry)
    this.#rare = createRareCounters(registry)
    this.shadow = new ShadowMetrics(registry, () => readings().shadow)
    this.#exposeRefusals()
    collectDefaultMetrics({ register: registry, eventLoopMonitoringPrecision: LOOP_RESOLUTION_MS })
  }

  requestFinished(facts: RequestFacts): void {
    this.#requests.requestFinished(facts)
  }

  requestAnswered(by: AnswerFacts['by']): void {
    this.#rare.answered.inc({ by })
  }

  requestRefused(failure: Failure): void {
    this.#refusals[FAILURE_INDEX.get(failure)!]!++
  }

  upgradeOpened(facts: RequestFacts): void {
    this.#requests.upgradeOpened(facts)
    this.#rare.upgrades.inc()
    this.#rare.upgradesOpen.inc()
  }

  upgradeClosed(): void {
    this.#rare.upgradesOpen.dec()
  }

  /** @param context whose flag the flag authority does not have */
  flagMissing(context: string): void {
    this.#missingFlags.set(context, (this.#missingFlags.get(context) ?? 0) + 1)
  }

  flagsRead(): void {
    this.#rare.flagReads.inc()
  }

  flagsFailed(): void {
    this.#rare.flagFailures.inc()
  }

  configApplied(edition: number): void {
    this.#rare.reloads.inc({ result: 'applied' })
    this.#rare.edition.set(edition)
  }

  configRejected(): void {
    this.#rare.reloads.inc({ result: 'rejected' })
  }

  stateApplied(generation: number): void {
    this.#rare.generation.set(generation)
  }

  changeFinished(verb: string, result: string): void {
    this.#rare.changes.inc({ verb, result })
  }

  addressEjected(upstream: string): void {
    this.#rare.ejections.inc({ upstream })
  }

  openFilesExhausted(during: 'accept' | 'connect'): void {
    this.#rare.openFilesExhausted.inc({ during })
  }

  bug(): void {
    this.#rare.bugs.inc()
  }

  /** Requests so far, by context and side. */
  requestsBySide(): Record<string, Record<Side, number>> {
    return this.#requests.requestsBySide()
  }

  /** Writes that the service has answered with 2xx or 3xx, by context. */
  serviceWrites(): Record<string, number> {
    return this.#requests.serviceWrites()
  }

  close(): void {
    this.#stopEventLoop()
  }

  #exposeRefusals(): void {
    expose(this.registry, {
      name: 'strangler_refusals_total',
      help: 'Requests that were refused before a decision, by failure.',
      type: 'counter',
      collect: () =>
        FAILURE_NAMES.map((failure, index) => ({ labels: { failure }, value: this.#refusals[index]! })).filter(
          ({ value }) => value > 0,
        ),
    })
    expose(this.registry, {
      name: 'strangler_flag_missing_total',
      help: 'Reads of a flag that the flag authority does not have; the decision was legacy.',
      type: 'counter',
      collect: () => [...this.#missingFlags].map(([context, value]) => ({ labels: { context }, value })),
    })
  }
}
