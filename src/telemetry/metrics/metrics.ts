// Everything /metrics shows. Labels come from closed unions and from the config, never from a client.
import { monitorEventLoopDelay } from 'node:perf_hooks'
import { Counter, collectDefaultMetrics, Gauge, Registry } from 'prom-client'
import type { Failure } from '../../model/failures.ts'
import type { Side } from '../../model/route.ts'
import type { AnswerFacts, RequestFacts } from '../events.ts'
import { expose, type Sample } from './exposition.ts'
import { FAILURE_AT, FAILURE_NAMES, RequestTally, SIDES } from './request-tally.ts'
import { createShadowMetrics, type ShadowReadings } from './shadow-metrics.ts'

/** What is only looked up when somebody scrapes. */
export type Readings = {
  readonly requestsInFlight: number
  /** How long the flags in use may have been out of date; undefined while none were ever read. */
  readonly flagAgeSeconds: number | undefined
  /** Unleash does not accept the token. */
  readonly isTokenRefused: boolean
  /** How long the store of the shared state has not been reached; 0 while it is. */
  readonly storeCutOffSeconds: number
  /** Files whose content on disk was rejected. */
  readonly rejectedFiles: readonly ('map' | 'flags')[]
  /** Undefined where the gateway writes no state folder, as inside Express with a flags file. */
  readonly isStateFolderWritable: boolean | undefined
  readonly connections: readonly ConnectionReading[]
  readonly addresses: readonly AddressReading[]
  /** Undefined where nothing is ever compared. */
  readonly shadow: ShadowReadings | undefined
}

export type ConnectionReading = {
  readonly upstream: string
  readonly address: string
  readonly open: number
  readonly inUse: number
  /** Requests that wait for a connection. */
  readonly waiting: number
}

export type AddressReading = { readonly upstream: string; readonly address: string; readonly available: boolean }

export type Metrics = ReturnType<typeof createMetrics>

/** The context label of what no context claims: the monolith's own. */
export const UNOWNED = 'unowned'

const LOOP_RESOLUTION_MS = 20

export function createMetrics({ readings, linesLost }: { readings: () => Readings; linesLost: () => number }) {
  const registry = new Registry()
  const tallies = new Map<string, RequestTally>()
  const refusals = new Float64Array(FAILURE_NAMES.length)
  const flagMissing = new Map<string, number>()

  exposeTallies(registry, tallies)
  exposeReadings(registry, readings, linesLost)
  const loop = exposeEventLoop(registry)
  const rare = rareEvents(registry)
  const shadow = createShadowMetrics(registry, () => readings().shadow)
  expose(registry, {
    name: 'strangler_refusals_total',
    help: 'Requests that were turned away before a decision, by what was wrong with them.',
    type: 'counter',
    collect: () => FAILURE_NAMES.map((failure, at) => sample({ failure }, refusals[at]!)).filter(isCounted),
  })
  expose(registry, {
    name: 'strangler_flag_missing_total',
    help: 'Questions about a flag that the flag authority does not know; they were answered with legacy.',
    type: 'counter',
    collect: () => [...flagMissing].map(([context, value]) => sample({ context }, value)),
  })
  collectDefaultMetrics({ register: registry, eventLoopMonitoringPrecision: LOOP_RESOLUTION_MS })

  return {
    registry,
    shadow,

    requestFinished(facts: RequestFacts): void {
      const { decision, outcome } = facts
      const tally = tallyOf(facts)
      const side = decision.side === 'service' ? 1 : 0
      tally.request(side, decision.reason, facts.head.method, outcome.status)

      const wholeMs = facts.finishedAt - facts.arrivedAt
      tally.duration[side].observe(wholeMs / 1000)
      if (outcome.upstreamMs !== undefined) tally.upstream[side].observe(outcome.upstreamMs / 1000)
      // Without an answer from upstream the rest of the time is its silence, not the gateway's work.
      if (outcome.upstreamTotalMs !== undefined)
        tally.overhead[side].observe(Math.max(0, wholeMs - outcome.upstreamTotalMs) / 1000)

      if (outcome.failure !== undefined) tally.failure(side, outcome.failure)
      if (outcome.fallbackCause !== undefined) tally.fallback(outcome.fallbackCause)
      if (outcome.retried) tally.retries[side]!++
    },

    requestAnswered: (by: AnswerFacts['by']) => rare.answered.inc({ by }),

    requestRefused(failure: Failure): void {
      refusals[FAILURE_AT.get(failure)!]!++
    },

    /** An upgrade is a request too; its duration is the tunnel's life and would drown the others. */
    upgradeOpened(facts: RequestFacts): void {
      const side = facts.decision.side === 'service' ? 1 : 0
      tallyOf(facts).request(side, facts.decision.reason, facts.head.method, facts.outcome.status)
      rare.upgrades.inc()
      rare.upgradesOpen.inc()
    },
    upgradeClosed: () => rare.upgradesOpen.dec(),

    flagMissing(context: string): void {
      flagMissing.set(context, (flagMissing.get(context) ?? 0) + 1)
    },
    flagsRead: () => rare.flagReads.inc(),
    flagsFailed: () => rare.flagFailures.inc(),
    configApplied(applied: number): void {
      rare.reloads.inc({ result: 'applied' })
      rare.edition.set(applied)
    },
    stateApplied: (generation: number) => rare.generation.set(generation),
    changed: (verb: string, result: string) => rare.changes.inc({ verb, result }),
    /** Requests so far, by context and side. */
    requestsBySide(): Record<string, Record<Side, number>> {
      return Object.fromEntries([...tallies].map(([context, tally]) => [context, tally.bySide()]))
    },
    /** Writes that the service has answered with 2xx or 3xx, by context. */
    serviceWrites(): Record<string, number> {
      return Object.fromEntries([...tallies].map(([context, tally]) => [context, tally.serviceWrites()]))
    },
    configRejected: () => rare.reloads.inc({ result: 'rejected' }),
    addressEjected: (upstream: string) => rare.ejections.inc({ upstream }),
    openFilesExhausted: (during: 'accept' | 'connect') => rare.openFilesExhausted.inc({ during }),
    bug: () => rare.bugs.inc(),
    close: () => loop.disable(),
  }

  function tallyOf(facts: RequestFacts): RequestTally {
    const context = facts.route.context === undefined ? UNOWNED : facts.route.context.name
    const known = tallies.get(context)
    if (known !== undefined) return known
    const tally = new RequestTally(context)
    tallies.set(context, tally)
    return tally
  }
}

/** Seldom enough for prom-client's own classes. */
function rareEvents(registry: Registry) {
  const registers = [registry]
  return {
    upgrades: new Counter({
      name: 'strangler_upgrades_total',
      help: 'Connections that were switched to another protocol, such as WebSocket.',
      registers,
    }),
    upgradesOpen: new Gauge({
      name: 'strangler_upgrades_open',
      help: 'Switched connections that are open now.',
      registers,
    }),
    answered: new Counter({
      name: 'strangler_answered_here_total',
      help: 'Requests that the gateway (OPTIONS) or a middleware of their route answered, so that neither side was asked.',
      labelNames: ['by'],
      registers,
    }),
    flagReads: new Counter({
      name: 'strangler_flag_reads_total',
      help: 'Times that flags were read and taken into use.',
      registers,
    }),
    flagFailures: new Counter({
      name: 'strangler_flag_failures_total',
      help: 'Failed attempts to read, keep or count the flags.',
      registers,
    }),
    reloads: new Counter({
      name: 'strangler_config_reloads_total',
      help: 'Configurations that were read, by what became of them.',
      labelNames: ['result'],
      registers,
    }),
    edition: new Gauge({
      name: 'strangler_config_edition',
      help: 'Number of the config that routes new requests: raised by every edit that is applied.',
      registers,
    }),
    generation: new Gauge({
      name: 'strangler_state_generation',
      help: 'Generation of the shared state that decides new requests; a fleet has converged when all have the same.',
      registers,
    }),
    changes: new Counter({
      name: 'strangler_changes_total',
      help: 'What operators asked for, by verb and what became of it.',
      labelNames: ['verb', 'result'],
      registers,
    }),
    ejections: new Counter({
      name: 'strangler_ejections_total',
      help: 'Times that an address of an upstream was taken out.',
      labelNames: ['upstream'],
      registers,
    }),
    openFilesExhausted: new Counter({
      name: 'strangler_open_files_exhausted_total',
      help: 'Without a file descriptor: connections that could not be opened (connect), and seconds in which none could be accepted (accept).',
      labelNames: ['during'],
      registers,
    }),
    bugs: new Counter({
      name: 'strangler_bugs_total',
      help: 'Things that must not happen and did; zero on a healthy day.',
      registers,
    }),
  }
}

function exposeTallies(registry: Registry, tallies: ReadonlyMap<string, RequestTally>): void {
  const each = (add: (tally: RequestTally, into: Sample[]) => void) => () => {
    const samples: Sample[] = []
    for (const tally of tallies.values()) add(tally, samples)
    return samples
  }
  expose(registry, {
    name: 'strangler_requests_total',
    help: 'Requests that were decided on, by decision, method and the class of the status that the client was sent.',
    type: 'counter',
    collect: each((tally, into) => tally.requestSamples(into)),
  })
  expose(registry, {
    name: 'strangler_failures_total',
    help: 'Requests whose answer was not passed on whole, by the side that was tried and what went wrong.',
    type: 'counter',
    collect: each((tally, into) => tally.failureSamples(into)),
  })
  expose(registry, {
    name: 'strangler_fallbacks_total',
    help: 'Requests that legacy answered because the service could not, by what went wrong there.',
    type: 'counter',
    collect: each((tally, into) => tally.fallbackSamples(into)),
  })
  expose(registry, {
    name: 'strangler_retries_total',
    help: 'Requests that were sent a second time on a fresh connection.',
    type: 'counter',
    collect: each((tally, into) => tally.retrySamples(into)),
  })
  const times = [
    ['duration', 'request_duration', 'From the first line of the request to the last byte of its answer.'],
    ['upstream', 'upstream_duration', 'From the upstream being asked to the head of its answer.'],
    ['overhead', 'gateway_overhead', 'The part of the request that was not spent on the upstream.'],
  ] as const
  for (const [part, stem, help] of times) {
    const name = `strangler_${stem}_seconds`
    const collect = each((tally, into) => {
      for (const [at, side] of SIDES.entries()) tally[part][at]!.samples(name, { context: tally.context, side }, into)
    })
    expose(registry, { name, help, type: 'histogram', collect })
  }
}

function exposeReadings(registry: Registry, readings: () => Readings, linesLost: () => number): void {
  expose(registry, {
    name: 'strangler_requests_in_flight',
    help: 'Requests between their first line and the last byte of their answer.',
    type: 'gauge',
    collect: () => [sample({}, readings().requestsInFlight)],
  })
  expose(registry, {
    name: 'strangler_flag_age_seconds',
    help: 'How long the flags in use may have been out of date; absent while none were ever read.',
    type: 'gauge',
    collect: () => {
      const { flagAgeSeconds } = readings()
      return flagAgeSeconds === undefined ? [] : [sample({}, flagAgeSeconds)]
    },
  })
  expose(registry, {
    name: 'strangler_flags_refused',
    help: '1 while Unleash does not accept the token: somebody must mend it.',
    type: 'gauge',
    collect: () => [sample({}, readings().isTokenRefused ? 1 : 0)],
  })
  expose(registry, {
    name: 'strangler_store_cut_off_seconds',
    help: 'How long the store of the shared state has not been reached; 0 while it is.',
    type: 'gauge',
    collect: () => [sample({}, readings().storeCutOffSeconds)],
  })
  expose(registry, {
    name: 'strangler_config_rejected',
    help: '1 while the content of the file on disk is rejected and the last good content stays in force.',
    type: 'gauge',
    collect: () => {
      const { rejectedFiles } = readings()
      return (['map', 'flags'] as const).map((file) => sample({ file }, rejectedFiles.includes(file) ? 1 : 0))
    },
  })
  expose(registry, {
    name: 'strangler_state_folder_writable',
    help: '1 while the disk accepts writes of the state folder, 0 from a failed write until one succeeds.',
    type: 'gauge',
    collect: () => {
      const isWritable = readings().isStateFolderWritable
      return isWritable === undefined ? [] : [sample({}, isWritable ? 1 : 0)]
    },
  })
  expose(registry, {
    name: 'strangler_connections',
    help: 'Connections to an address by state; waiting counts requests that have none yet.',
    type: 'gauge',
    collect: () =>
      readings().connections.flatMap(({ upstream, address, open, inUse, waiting }) => [
        sample({ upstream, address, state: 'open' }, open),
        sample({ upstream, address, state: 'in_use' }, inUse),
        sample({ upstream, address, state: 'waiting' }, waiting),
      ]),
  })
  expose(registry, {
    name: 'strangler_address_available',
    help: 'Whether requests may go to an address: 1, or 0 while it is taken out.',
    type: 'gauge',
    collect: () =>
      readings().addresses.map(({ upstream, address, available }) => sample({ upstream, address }, available ? 1 : 0)),
  })
  expose(registry, {
    name: 'strangler_access_log_lost_total',
    help: 'Access log lines that could not be written.',
    type: 'counter',
    collect: () => [sample({}, linesLost())],
  })
}

/** Quantiles since the last scrape. */
function exposeEventLoop(registry: Registry): { readonly disable: () => unknown } {
  const delays = monitorEventLoopDelay({ resolution: LOOP_RESOLUTION_MS })
  delays.enable()
  // Node measures from one tick of its timer to the next, so an idle loop reads as the timer's own interval.
  const seconds = (nanoseconds: number) => Math.max(0, nanoseconds / 1e9 - LOOP_RESOLUTION_MS / 1000)
  expose(registry, {
    name: 'strangler_event_loop_delay_seconds',
    help: 'How late the event loop was, since the last scrape.',
    type: 'gauge',
    collect: () => {
      if (delays.count === 0) return []
      const samples = [0.5, 0.9, 0.99].map((quantile) =>
        sample({ quantile: String(quantile) }, seconds(delays.percentile(quantile * 100))),
      )
      samples.push(sample({ quantile: '1' }, seconds(delays.max)))
      delays.reset()
      return samples
    },
  })
  return delays
}

function sample(labels: Sample['labels'], value: number): Sample {
  return { labels, value }
}

function isCounted({ value }: Sample): boolean {
  return value > 0
}
