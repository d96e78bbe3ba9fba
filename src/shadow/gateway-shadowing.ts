// Shadowing in the gateway's thread: decides which requests are captured, hands their copies to the comparing thread, and counts
// the others.
import { availableParallelism } from 'node:os'
import { singleFlight } from '../lib/single-flight.ts'
import type { Rulings, Shed } from '../model/comparison.ts'
import { DEFAULT_WINDOW_MS } from '../model/comparison-counts.ts'
import type { ComparisonStore } from '../model/comparison-store.ts'
import type { Outcome } from '../model/outcome.ts'
import type { Clock } from '../model/ports.ts'
import type { CreateCopy, Shadowing } from '../model/shadow.ts'
import type { ShadowLimits } from '../model/shadow-policy.ts'
import type { Events } from '../telemetry/events.ts'
import type { ShadowReadings } from '../telemetry/metrics/shadow-metrics.ts'
import { ByteBudget } from './capture/byte-budget.ts'
import { Capture, type CapturedRequest, type CaptureListener } from './capture/capture.ts'
import { isEligible } from './capture/eligibility.ts'
import { LoadMonitor, SAMPLE_INTERVAL_MS } from './capture/load-monitor.ts'
import { ShedLog } from './capture/shed-log.ts'
import { CountsWriter } from './stats/counts-writer.ts'
import type { UncomparedOutcome } from './stats/route-counter.ts'
import { ComparingThread, type ThreadHandle, type ThreadListener } from './worker/comparing-thread.ts'
import { CopyDispatcher, otherSide } from './worker/copy-dispatcher.ts'
import { CpuAllowance, shareOfOnlyProcessor } from './worker/cpu-allowance.ts'

export type GatewayShadowingOptions = {
  /** The name of this process in the store; each start has a new one. */
  readonly writer: string
  readonly store: ComparisonStore
  readonly clock: Clock
  /** The random source of sampling, from 0 to below 1. */
  readonly random: () => number
  readonly events: Events
  readonly limits: () => ShadowLimits
  readonly startThread?: (listener: ThreadListener) => ThreadHandle
  /** Whether the comparing thread shares its processor with this one. */
  readonly isSingleProcessor?: boolean
}

/** Captures at the same time. */
const MAX_CAPTURES = 1024
const SAVE_INTERVAL_MS = 1000
/** How long `stop` waits for copies. */
const STOP_LIMIT_MS = 1000

export class GatewayShadowing implements Shadowing {
  readonly #store: ComparisonStore
  readonly #clock: Clock
  readonly #random: () => number
  readonly #events: Events
  readonly #limits: () => ShadowLimits
  readonly #budget: ByteBudget
  readonly #counts: CountsWriter
  readonly #load: LoadMonitor
  readonly #cpu: CpuAllowance
  readonly #shedLog = new ShedLog()
  readonly #thread: ThreadHandle
  readonly #dispatcher: CopyDispatcher
  readonly #sampleTimer: NodeJS.Timeout
  readonly #saveTimer: NodeJS.Timeout
  /** A slow store delays the next save; it never gathers a queue of saves. */
  readonly #save = singleFlight(() => this.#saveOnce())
  #captures = 0
  #isDraining = false
  #isStoreFailing = false

  constructor(options: GatewayShadowingOptions) {
    const { writer, store, clock, random, events, limits } = options
    const { startThread = (listener) => new ComparingThread({ listener }) } = options
    const { isSingleProcessor = availableParallelism() === 1 } = options
    this.#store = store
    this.#clock = clock
    this.#random = random
    this.#events = events
    this.#limits = limits
    this.#budget = new ByteBudget(() => limits().captureBytes)
    this.#counts = new CountsWriter({ writer, store })
    this.#load = new LoadMonitor(clock, () => limits().lagMs)
    this.#cpu = new CpuAllowance(() => {
      const { cpuShare } = limits()
      return isSingleProcessor ? shareOfOnlyProcessor(cpuShare, this.#load.utilization) : cpuShare
    })
    this.#thread = startThread({
      onReport: (report) => this.#dispatcher.onReport(report),
      onLost: (lost, why) => this.#dispatcher.onLost(lost, why),
      loadCounts: () => this.#loadCounts(writer),
    })
    this.#dispatcher = new CopyDispatcher({
      thread: this.#thread,
      counts: this.#counts,
      cpu: this.#cpu,
      events,
      random,
    })
    this.#sampleTimer = setInterval(() => {
      this.#load.sample()
      this.#reportSheds()
    }, SAMPLE_INTERVAL_MS).unref()
    this.#saveTimer = setInterval(this.#save, SAVE_INTERVAL_MS).unref()
  }

  open({ head, route, decision, shares }: Parameters<Shadowing['open']>[0]): Capture | undefined {
    const { context, shadow: policy } = route
    if (policy === undefined || context === undefined) return undefined
    const share = (shares.size === 0 ? undefined : shares.get(context.name)) ?? policy.sample
    if (share === 0 || (share < 1 && this.#random() >= share)) return undefined
    if (!isEligible(head, decision, policy.writes)) return undefined
    const entry = this.#shedLog.entryOf(route, context.name, head.method)
    const shedReason = this.#shedReason()
    if (shedReason !== undefined) {
      this.#shedLog.add(entry, shedReason)
      if (this.#isDraining) this.#reportSheds()
      return undefined
    }
    this.#events.shadowOpened({ context: entry.context, count: 1 })
    this.#captures++
    const request = { context: entry.context, route: entry.route, policy, head, answeredBy: decision.side }
    return new Capture(request, this.#budget, this.#onCaptureClosed)
  }

  /** @param rulings of operators on fields, by `routeKey`; they replace all earlier ones */
  setRulings(rulings: Readonly<Record<string, Rulings>>): void {
    this.#thread.setRulings(rulings)
  }

  readings(): ShadowReadings {
    this.#reportSheds()
    return {
      underWay: this.#thread.pendingJobs(),
      captures: this.#captures,
      capturedBytes: this.#budget.usedBytes,
      parity: this.#dispatcher.parity,
    }
  }

  /** Copies nothing more, waits for pending copies for a limited time, and writes all counts. */
  async stop(): Promise<void> {
    this.#isDraining = true
    clearInterval(this.#sampleTimer)
    this.#reportSheds()
    clearInterval(this.#saveTimer)
    await this.#dispatcher.stop(STOP_LIMIT_MS)
    await this.#save()
  }

  /** Checked before the capture begins and before the copy is sent. */
  #shedReason(): Shed | undefined {
    if (this.#isDraining) return 'draining'
    if (this.#load.isLagging) return 'lag'
    if (this.#captures >= MAX_CAPTURES) return 'in-flight'
    if (this.#thread.pendingJobs() >= this.#limits().underWay) return 'queue'
    return this.#cpu.mayStart(this.#clock.now()) ? undefined : 'cpu'
  }

  /** Reports sheds as eligible and as shed together, so that the metrics add up at any time. */
  #reportSheds(): void {
    const time = Math.floor(this.#clock.wallTime())
    for (const { context, route, reason, times } of this.#shedLog.take()) {
      this.#counts.counterFor({ context, route, time }).recordUncompared({ outcome: 'shed', reason }, times)
      this.#events.shadowOpened({ context, count: times })
      this.#events.shadowEnded({ context, outcome: 'shed', reason, count: times })
    }
  }

  /** One function for all captures: `open` creates no closure per request. */
  readonly #onCaptureClosed: CaptureListener = (capture, outcome, copyFor) => {
    this.#captures--
    try {
      this.#finish(capture, outcome, copyFor)
    } catch (error) {
      this.#endUncompared(capture, this.#clock.wallTime(), { outcome: 'failed', reason: 'internal' })
      this.#events.bug({ where: 'shadow', error })
    }
  }

  #finish(capture: Capture, outcome: Outcome, copyFor: CreateCopy): void {
    const time = Math.floor(this.#clock.wallTime())
    const uncompared = whyNotCompared(capture, outcome) ?? this.#shedOutcome()
    const copy = uncompared === undefined ? copyFor(otherSide(capture.request.answeredBy)) : undefined
    if (copy !== undefined) this.#dispatcher.dispatch(capture, outcome, copy, copyFor, time)
    else this.#endUncompared(capture, time, uncompared ?? { outcome: 'failed', reason: 'unavailable' })
  }

  #shedOutcome(): UncomparedOutcome | undefined {
    const reason = this.#shedReason()
    return reason && { outcome: 'shed', reason }
  }

  #endUncompared(capture: Capture, time: number, outcome: UncomparedOutcome): void {
    capture.release()
    const { context, route }: CapturedRequest = capture.request
    this.#counts.counterFor({ context, route, time: Math.floor(time) }).recordUncompared(outcome)
    this.#events.shadowEnded({ context, ...outcome, count: 1 })
  }

  /** For a comparing thread that starts. Without the store it learns the noise again by itself. */
  async #loadCounts(writer: string) {
    const from = this.#clock.wallTime() - DEFAULT_WINDOW_MS
    const others = await this.#store.counts({ from, except: writer }).catch(() => [])
    return [...this.#counts.sealedCounts(), ...others]
  }

  /** Logs the first of several failures in a row. */
  async #saveOnce(): Promise<void> {
    const error = await this.#counts.save()
    const isFailing = error !== undefined
    if (isFailing && !this.#isStoreFailing) this.#events.comparisonsNotSaved({ error })
    this.#isStoreFailing = isFailing
  }
}

/** Why a captured request cannot be compared; undefined if it can. */
function whyNotCompared(capture: Capture, { failure, fallbackCause }: Outcome): UncomparedOutcome | undefined {
  if (failure === 'client-gone') return { outcome: 'failed', reason: 'client-gone' }
  if (failure === 'overloaded') return { outcome: 'shed', reason: 'overloaded' }
  if (failure !== undefined || fallbackCause !== undefined || capture.status === 0) {
    return { outcome: 'failed', reason: 'primary' }
  }
  if (capture.shedReason !== undefined) return { outcome: 'shed', reason: capture.shedReason }
  if (!capture.isRequestComplete) return { outcome: 'uncomparable', reason: 'truncated' }
  if (capture.isStream) return { outcome: 'uncomparable', reason: 'streaming' }
  if (capture.status === 206) return { outcome: 'uncomparable', reason: 'partial' }
  return undefined
}
