// What is counted of copies and comparisons. Every eligible request ends in exactly one outcome, so that in a quiet
// moment `strangler_shadow_outcomes_total` adds up to `strangler_shadow_eligible_total`.
import type { Registry } from 'prom-client'
import type { Parity } from '../../model/comparison-counts.ts'
import type { Side } from '../../model/route.ts'
import type { ShadowOutcome, ShadowReason } from '../../model/shadow.ts'
import { Distribution, expose, type Sample } from './exposition.ts'

/** What is only looked up when somebody scrapes. Looking it up tells of all that has been shed until then. */
export type ShadowReadings = {
  /** Copies and comparisons under way. */
  readonly underWay: number
  /** Requests that are being looked at while they are answered. */
  readonly captures: number
  readonly capturedBytes: number
  /** By context, as this gateway knows it. */
  readonly parity: Readonly<Record<string, Parity>>
}

const ANSWER_SECONDS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10]

type Tally = {
  readonly context: string
  eligible: number
  /** By outcome and reason: both come from closed unions. */
  readonly outcomes: Map<ShadowOutcome, Map<ShadowReason, number>>
  /** By the side that answered the client: its time, and the copy's. */
  readonly times: Readonly<Record<Side, { readonly primary: Distribution; readonly copy: Distribution }>>
}

export function createShadowMetrics(registry: Registry, readings: () => ShadowReadings | undefined) {
  const tallies = new Map<string, Tally>()
  const all = (add: (tally: Tally, into: Sample[]) => void) => () => {
    // Whoever is asked for them tells first what it has not told yet.
    readings()
    const samples: Sample[] = []
    for (const tally of tallies.values()) add(tally, samples)
    return samples
  }
  let threadsLost = 0

  expose(registry, {
    name: 'strangler_shadow_eligible_total',
    help: 'Requests that were to be copied to the other side and compared.',
    type: 'counter',
    collect: all(({ context, eligible }, into) => into.push({ labels: { context }, value: eligible })),
  })
  expose(registry, {
    name: 'strangler_shadow_outcomes_total',
    help: 'What became of each of them, by what was known at that moment; they add up to the eligible ones.',
    type: 'counter',
    collect: all(({ context, outcomes }, into) => {
      for (const [outcome, reasons] of outcomes) {
        for (const [reason, value] of reasons) into.push({ labels: { context, outcome, reason }, value })
      }
    }),
  })
  expose(registry, {
    name: 'strangler_shadow_answer_seconds',
    help: 'How long the answer to the client took and how long the copy’s did, of the same requests, by side.',
    type: 'histogram',
    collect: all(({ context, times }, into) => {
      for (const side of ['legacy', 'service'] as const) {
        const name = 'strangler_shadow_answer_seconds'
        times[side].primary.samples(name, { context, side, answer: 'primary' }, into)
        const other = side === 'legacy' ? 'service' : 'legacy'
        times[side].copy.samples(name, { context, side: other, answer: 'copy' }, into)
      }
    }),
  })
  const gauge = (name: string, help: string, read: (readings: ShadowReadings) => number) =>
    expose(registry, {
      name,
      help,
      type: 'gauge',
      collect: () => {
        const now = readings()
        return now === undefined ? [] : [{ labels: {}, value: read(now) }]
      },
    })
  gauge('strangler_shadow_under_way', 'Copies and comparisons under way.', ({ underWay }) => underWay)
  gauge('strangler_shadow_captures', 'Requests that are looked at while they are answered.', (now) => now.captures)
  gauge('strangler_shadow_captured_bytes', 'Bytes of bodies held for comparison.', (now) => now.capturedBytes)
  expose(registry, {
    name: 'strangler_shadow_threads_lost_total',
    help: 'Times that the comparing thread had to be ended, or ended by itself.',
    type: 'counter',
    collect: () => [{ labels: {}, value: threadsLost }],
  })
  expose(registry, {
    name: 'strangler_parity_ratio',
    help: 'Share of comparisons that match, with its 95 % interval, as this gateway knows it; the fleet’s is in strangler parity.',
    type: 'gauge',
    collect: () =>
      Object.entries(readings()?.parity ?? {}).flatMap(([context, parity]) => paritySamples(context, parity)),
  })
  expose(registry, {
    name: 'strangler_parity_comparisons',
    help: 'Comparisons of the last day, by whether anything can be said of them.',
    type: 'gauge',
    collect: () =>
      Object.entries(readings()?.parity ?? {}).flatMap(([context, { conclusive, inconclusive }]) => [
        { labels: { context, said: 'conclusive' }, value: conclusive },
        { labels: { context, said: 'inconclusive' }, value: inconclusive },
      ]),
  })

  return {
    opened: (context: string, count: number) => {
      tallyOf(context).eligible += count
    },
    ended: (context: string, outcome: ShadowOutcome, reason: ShadowReason, count: number) => {
      const { outcomes } = tallyOf(context)
      const reasons = outcomes.get(outcome) ?? new Map<ShadowReason, number>()
      outcomes.set(outcome, reasons)
      reasons.set(reason, (reasons.get(reason) ?? 0) + count)
    },
    answered: (context: string, answeredBy: Side, primaryMs: number, copyMs: number) => {
      const { primary, copy } = tallyOf(context).times[answeredBy]
      primary.observe(primaryMs / 1000)
      copy.observe(copyMs / 1000)
    },
    threadLost: () => {
      threadsLost++
    },
  }

  function tallyOf(context: string): Tally {
    const known = tallies.get(context)
    if (known !== undefined) return known
    const tally: Tally = { context, eligible: 0, outcomes: new Map(), times: { legacy: pair(), service: pair() } }
    tallies.set(context, tally)
    return tally
  }
}

function paritySamples(context: string, { matching, atLeast }: Parity): Sample[] {
  const least = { labels: { context, bound: 'at_least' }, value: atLeast }
  if (matching === undefined) return [least]
  const { share, lower, upper } = matching
  return [
    { labels: { context, bound: 'share' }, value: share },
    { labels: { context, bound: 'lower' }, value: lower },
    { labels: { context, bound: 'upper' }, value: upper },
    least,
  ]
}

function pair() {
  return { primary: new Distribution(ANSWER_SECONDS), copy: new Distribution(ANSWER_SECONDS) }
}
