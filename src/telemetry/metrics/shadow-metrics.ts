// The metrics of shadow traffic. Every eligible request has exactly one outcome: while nothing is under way, the sum of
// `strangler_shadow_outcomes_total` is `strangler_shadow_eligible_total`.
import type { Registry } from 'prom-client'
import type { Parity } from '../../model/comparison-counts.ts'
import type { Side } from '../../model/route.ts'
import type { ShadowOutcome, ShadowReason } from '../../model/shadow.ts'
import { Distribution, expose, type Sample } from './exposition.ts'

/** Values that are read at a scrape. Reading them also reports all requests that were shed until then. */
export type ShadowReadings = {
  /** Copies and comparisons under way. */
  readonly underWay: number
  /** Requests whose bodies are captured now. */
  readonly captures: number
  readonly capturedBytes: number
  /** By context, from the comparisons of this gateway. */
  readonly parity: Readonly<Record<string, Parity>>
}

type ReadShadow = () => ShadowReadings | undefined

const RESPONSE_SECONDS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10]
const RESPONSE_METRIC = 'strangler_shadow_answer_seconds'

type ShadowTally = {
  readonly context: string
  eligible: number
  /** By outcome and reason, which come from closed unions. */
  readonly outcomes: Map<ShadowOutcome, Map<ShadowReason, number>>
  /** By the side that answered the client: the time of its response, and the time of the copy's response. */
  readonly times: Readonly<Record<Side, { readonly primary: Distribution; readonly copy: Distribution }>>
}

export class ShadowMetrics {
  readonly #tallies = new Map<string, ShadowTally>()
  readonly #readings: ReadShadow
  #threadsLost = 0

  constructor(registry: Registry, readings: ReadShadow) {
    this.#readings = readings
    this.#exposeTallies(registry)
    exposeReadings(registry, readings)
    expose(registry, {
      name: 'strangler_shadow_threads_lost_total',
      help: 'Times that the comparing thread had to be ended, or ended by itself.',
      type: 'counter',
      collect: () => [{ labels: {}, value: this.#threadsLost }],
    })
    exposeParity(registry, readings)
  }

  opened(context: string, count: number): void {
    this.#tallyOf(context).eligible += count
  }

  ended(context: string, outcome: ShadowOutcome, reason: ShadowReason, count: number): void {
    const { outcomes } = this.#tallyOf(context)
    const reasons = outcomes.get(outcome) ?? new Map<ShadowReason, number>()
    outcomes.set(outcome, reasons)
    reasons.set(reason, (reasons.get(reason) ?? 0) + count)
  }

  answered(context: string, answeredBy: Side, primaryMs: number, copyMs: number): void {
    const { primary, copy } = this.#tallyOf(context).times[answeredBy]
    primary.observe(primaryMs / 1000)
    copy.observe(copyMs / 1000)
  }

  threadLost(): void {
    this.#threadsLost++
  }

  #exposeTallies(registry: Registry): void {
    expose(registry, {
      name: 'strangler_shadow_eligible_total',
      help: 'Requests that were to be copied to the other side and compared.',
      type: 'counter',
      collect: () =>
        this.#collect(({ context, eligible }, samples) => samples.push({ labels: { context }, value: eligible })),
    })
    expose(registry, {
      name: 'strangler_shadow_outcomes_total',
      help: 'Outcomes of the eligible requests; their sum is the number of eligible requests.',
      type: 'counter',
      collect: () => this.#collect(addOutcomeSamples),
    })
    expose(registry, {
      name: RESPONSE_METRIC,
      help: 'Time of the response to the client and of the response to the copy, of the same requests, by side.',
      type: 'histogram',
      collect: () => this.#collect(addTimeSamples),
    })
  }

  #collect(addSamples: (tally: ShadowTally, samples: Sample[]) => void): Sample[] {
    // Reading reports the shed requests that are not counted yet.
    this.#readings()
    const samples: Sample[] = []
    for (const tally of this.#tallies.values()) addSamples(tally, samples)
    return samples
  }

  #tallyOf(context: string): ShadowTally {
    const existing = this.#tallies.get(context)
    if (existing !== undefined) return existing
    const times = { legacy: createTimes(), service: createTimes() }
    const tally: ShadowTally = { context, eligible: 0, outcomes: new Map(), times }
    this.#tallies.set(context, tally)
    return tally
  }
}

function addOutcomeSamples({ context, outcomes }: ShadowTally, samples: Sample[]): void {
  for (const [outcome, reasons] of outcomes) {
    for (const [reason, value] of reasons) samples.push({ labels: { context, outcome, reason }, value })
  }
}

function addTimeSamples({ context, times }: ShadowTally, samples: Sample[]): void {
  for (const side of ['legacy', 'service'] as const) {
    times[side].primary.addSamples(RESPONSE_METRIC, { context, side, answer: 'primary' }, samples)
    const otherSide = side === 'legacy' ? 'service' : 'legacy'
    times[side].copy.addSamples(RESPONSE_METRIC, { context, side: otherSide, answer: 'copy' }, samples)
  }
}

function exposeReadings(registry: Registry, readings: ReadShadow): void {
  const exposeGauge = (name: string, help: string, read: (readings: ShadowReadings) => number) => {
    const collect = () => {
      const current = readings()
      return current === undefined ? [] : [{ labels: {}, value: read(current) }]
    }
    expose(registry, { name, help, type: 'gauge', collect })
  }
  exposeGauge('strangler_shadow_under_way', 'Copies and comparisons under way.', ({ underWay }) => underWay)
  exposeGauge('strangler_shadow_captures', 'Requests whose bodies are captured now.', ({ captures }) => captures)
  exposeGauge(
    'strangler_shadow_captured_bytes',
    'Bytes of bodies held for comparison.',
    ({ capturedBytes }) => capturedBytes,
  )
}

function exposeParity(registry: Registry, readings: ReadShadow): void {
  const collect = (toSamples: (context: string, parity: Parity) => Sample[]) => () =>
    Object.entries(readings()?.parity ?? {}).flatMap(([context, parity]) => toSamples(context, parity))
  expose(registry, {
    name: 'strangler_parity_ratio',
    help: 'Share of matching comparisons of this gateway, with its 95 % interval; `strangler parity` shows the fleet.',
    type: 'gauge',
    collect: collect(createParitySamples),
  })
  expose(registry, {
    name: 'strangler_parity_comparisons',
    help: 'Comparisons of the last day, by whether they are conclusive.',
    type: 'gauge',
    collect: collect((context, { conclusive, inconclusive }) => [
      { labels: { context, said: 'conclusive' }, value: conclusive },
      { labels: { context, said: 'inconclusive' }, value: inconclusive },
    ]),
  })
}

function createParitySamples(context: string, { matching, atLeast }: Parity): Sample[] {
  const leastSample = { labels: { context, bound: 'at_least' }, value: atLeast }
  if (matching === undefined) return [leastSample]
  const { share, lower, upper } = matching
  return [
    { labels: { context, bound: 'share' }, value: share },
    { labels: { context, bound: 'lower' }, value: lower },
    { labels: { context, bound: 'upper' }, value: upper },
    leastSample,
  ]
}

function createTimes() {
  return { primary: new Distribution(RESPONSE_SECONDS), copy: new Distribution(RESPONSE_SECONDS) }
}
