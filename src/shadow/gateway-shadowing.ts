// The shadow as the gateway sees it: which requests are copied, what becomes of each, and what is told of it.
import { availableParallelism } from 'node:os'
import type { Rulings, ShadowFailure, Shed } from '../model/comparison.ts'
import type { Parity } from '../model/comparison-counts.ts'
import { DEFAULT_WINDOW_MS } from '../model/comparison-counts.ts'
import type { ComparisonStore } from '../model/comparison-store.ts'
import type { Outcome } from '../model/outcome.ts'
import type { Clock } from '../model/ports.ts'
import type { Route, Side } from '../model/route.ts'
import type { CopyRequest, CreateCopy, Shadowing, ShadowOutcome, ShadowReason } from '../model/shadow.ts'
import type { ShadowLimits } from '../model/shadow-policy.ts'
import type { Events } from '../telemetry/events.ts'
import type { ShadowReadings } from '../telemetry/metrics/shadow-metrics.ts'
import { createBudget } from './capture/byte-budget.ts'
import { Capture, type Captured } from './capture/capture.ts'
import { isEligible, isSafe } from './capture/eligibility.ts'
import { createLedger } from './stats/counts-writer.ts'
import { comparingThread } from './worker/comparing-thread.ts'
import { createCpuAllowance, shareBeside } from './worker/cpu-allowance.ts'
import { type NoComparison, pack, type Report, routeKey } from './worker/messages.ts'

export type ShadowingOptions = {
  /** This gateway, unlike any other and new with each start. */
  readonly writer: string
  readonly store: ComparisonStore
  readonly clock: Clock
  /** From 0 to below 1, for whoever is sampled. */
  readonly dice: () => number
  readonly events: Events
  readonly limits: () => ShadowLimits
  /** What begins the comparing thread. */
  readonly begin?: typeof comparingThread
  /** Whether that thread shares a processor with this one. */
  readonly isOneForAll?: boolean
}

export type RunningShadow = Shadowing & {
  /** What operators say of fields, by context and route as `routeKey` writes them. */
  readonly rule: (rulings: Readonly<Record<string, Rulings>>) => void
  readonly readings: () => ShadowReadings
  /** No further copies; those under way may finish, and what was found is written. */
  readonly stop: () => Promise<void>
}

/** Requests that are looked at while they are answered. */
const MOST_CAPTURES = 1024
const BEAT_MS = 100
/** How busy this thread is, is told of about so long. */
const BUSY_OVER_MS = 1000
const SAVE_MS = 1000
const LAST_MS = 1000
/** Until the comparing thread has said better: what `DEFAULT_NOISE` asks where nothing is open. */
const FIRST_PAIR_SHARE = 0.1

/** Of one method of a route, as whoever is copied is counted. */
type Line = {
  readonly context: string
  readonly route: string
  /** Not yet told: on a busy gateway thousands are shed in a second. */
  readonly shed: Map<Shed, number>
}

/** What is remembered of a copy until its end is known. */
type Pending = { readonly its: Captured; readonly at: number; readonly primaryMs: number; readonly free: () => void }

export function createShadowing({
  writer,
  store,
  clock,
  dice,
  events,
  limits,
  begin = comparingThread,
  isOneForAll = availableParallelism() === 1,
}: ShadowingOptions): RunningShadow {
  const budget = createBudget(() => limits().captureBytes)
  const ledger = createLedger(writer, store)
  const cpu = createCpuAllowance(() => {
    const { cpuShare } = limits()
    return isOneForAll ? shareBeside(cpuShare, busy) : cpuShare
  })
  const pending = new Map<number, Pending>()
  const parity: Record<string, Parity> = {}
  const lines = new WeakMap<Route, Map<string, Line>>()
  const toTell = new Set<Line>()
  let pairShares: Record<string, number> = {}
  let captures = 0
  let lastId = 0
  let isDraining = false
  let isBehind = false
  let beatAt = clock.now()
  let loop = performance.eventLoopUtilization()
  let busy = 0
  let saving: Promise<void> | undefined
  let hasTrouble = false

  const thread = begin({
    onReport,
    onLost: (lost, why) => {
      ledger.close()
      for (const { id, reason } of lost) end(id, { outcome: 'uncomparable', reason })
      events.shadowThreadLost({ why, comparisons: lost.length })
    },
    counts: async () => {
      const from = clock.wallTime() - DEFAULT_WINDOW_MS
      // Where they cannot be had it learns them by itself.
      const others = await store.counts({ from, except: writer }).catch(() => [])
      return [...ledger.closed(), ...others]
    },
  })
  const beat = setInterval(() => {
    const now = clock.now()
    const elapsedMs = now - beatAt
    isBehind = elapsedMs > BEAT_MS + limits().lagMs
    beatAt = now
    const before = loop
    loop = performance.eventLoopUtilization()
    // Of no time at all it says NaN.
    const utilization = performance.eventLoopUtilization(loop, before).utilization || 0
    busy += (1 - Math.exp(-elapsedMs / BUSY_OVER_MS)) * (utilization - busy)
    tellShed()
  }, BEAT_MS)
  beat.unref()
  const saver = setInterval(save, SAVE_MS)
  saver.unref()

  return {
    open,
    rule: thread.rule,
    readings: () => {
      tellShed()
      return { underWay: thread.underWay(), captures, capturedBytes: budget.held(), parity }
    },
    stop,
  }

  function open({ head, route, decision, shares }: Parameters<Shadowing['open']>[0]): Capture | undefined {
    const { context, shadow: policy } = route
    if (policy === undefined || context === undefined) return undefined
    const share = (shares.size === 0 ? undefined : shares.get(context.name)) ?? policy.sample
    if (share === 0 || (share < 1 && dice() >= share)) return undefined
    if (!isEligible(head, decision, policy.writes)) return undefined
    const line = lineOf(route, context.name, head.method)
    const shed = whyShed()
    if (shed !== undefined) {
      line.shed.set(shed, (line.shed.get(shed) ?? 0) + 1)
      toTell.add(line)
      if (isDraining) tellShed()
      return undefined
    }
    events.shadowOpened({ context: line.context, count: 1 })
    captures++
    const its: Captured = { context: line.context, route: line.route, policy, head, answeredBy: decision.side }
    return new Capture(its, budget, close)
  }

  function lineOf(route: Route, context: string, method: string): Line {
    const known = lines.get(route)?.get(method)
    if (known !== undefined) return known
    const line = { context, route: `${method} ${route.pattern}`, shed: new Map() }
    lines.set(route, (lines.get(route) ?? new Map<string, Line>()).set(method, line))
    return line
  }

  /** Eligible and shed at the same time, so that the accounts agree whenever they are read. */
  function tellShed(): void {
    if (toTell.size === 0) return
    const at = Math.floor(clock.wallTime())
    for (const { context, route, shed } of toTell) {
      const counter = ledger.counter({ context, route, at })
      for (const [reason, times] of shed) {
        counter.uncompared({ outcome: 'shed', reason }, times)
        events.shadowOpened({ context, count: times })
        events.shadowEnded({ context, outcome: 'shed', reason, count: times })
      }
      shed.clear()
    }
    toTell.clear()
  }

  /** Looked at first of all: what is going to be shed is not captured. */
  function whyShed(): Shed | undefined {
    if (isDraining) return 'draining'
    if (isBehind) return 'lag'
    if (captures >= MOST_CAPTURES) return 'in-flight'
    if (thread.underWay() >= limits().underWay) return 'queue'
    return cpu.mayBegin(clock.now()) ? undefined : 'cpu'
  }

  function close(capture: Capture, outcome: Outcome, copyFor: CreateCopy): void {
    captures--
    try {
      const at = Math.floor(clock.wallTime())
      const not = whyNot(capture, outcome)
      const copy = not === undefined ? copyFor(other(capture.its.answeredBy)) : undefined
      if (copy === undefined) {
        capture.free()
        count(capture.its, at, not ?? { outcome: 'failed', reason: 'unavailable' })
      } else send(capture, outcome, copy, copyFor, at)
    } catch (error) {
      capture.free()
      count(capture.its, clock.wallTime(), { outcome: 'failed', reason: 'internal' })
      events.bug({ where: 'shadow', error })
    }
  }

  function whyNot(capture: Capture, { failure, fallbackCause: fellBack }: Outcome): NoComparison | undefined {
    if (failure === 'client-gone') return { outcome: 'failed', reason: 'client-gone' }
    if (failure === 'overloaded') return { outcome: 'shed', reason: 'overloaded' }
    if (failure !== undefined || fellBack !== undefined || capture.status === 0) return FAILED_ITSELF
    if (capture.shed !== undefined) return { outcome: 'shed', reason: capture.shed }
    if (!capture.isRequestWhole) return { outcome: 'uncomparable', reason: 'truncated' }
    if (capture.isStream) return { outcome: 'uncomparable', reason: 'streaming' }
    if (capture.status === 206) return { outcome: 'uncomparable', reason: 'partial' }
    const reason = whyShed()
    return reason && { outcome: 'shed', reason }
  }

  function send(capture: Capture, outcome: Outcome, copy: CopyRequest, copyFor: CreateCopy, at: number): void {
    const { its } = capture
    const primaryMs = outcome.upstreamTotalMs ?? 0
    lastId = (lastId + 1) & 0x7fffffff
    const id = lastId === 0 ? ++lastId : lastId
    pending.set(id, { its, at, primaryMs, free: () => capture.free() })
    cpu.began()
    thread.send({
      id,
      context: its.context,
      route: its.route,
      policy: thread.know(its.policy),
      at,
      answeredBy: its.answeredBy,
      target: its.head.path + its.head.query,
      status: capture.status,
      headers: pack(capture.headers),
      body: capture.body,
      isTruncated: capture.isTruncated,
      ms: primaryMs,
      copy: thread.pack(copy),
      again: twin(its, copy, copyFor),
      requestBody: capture.requestBody,
    })
  }

  /** Legacy once more. It goes by what was seen before, never by the request itself. */
  function twin(its: Captured, copy: CopyRequest, copyFor: CreateCopy) {
    if (!isSafe(its.head.method)) return undefined
    const share = pairShares[routeKey(its)] ?? FIRST_PAIR_SHARE
    if (share < 1 && dice() >= share) return undefined
    const again = its.answeredBy === 'legacy' ? copyFor('legacy') : copy
    return again && thread.pack(again)
  }

  function onReport(report: Report): void {
    cpu.spent(report.cpuMs, report.ended.length)
    ledger.take(report.counts)
    ledger.keep(report.examples)
    pairShares = { ...pairShares, ...report.pairShares }
    Object.assign(parity, report.parity)
    for (const { id, outcome, reason, copyMs } of report.ended) {
      const known = pending.get(id)
      if (known !== undefined && copyMs !== undefined) {
        const { context, answeredBy } = known.its
        events.shadowAnswered({ context, answeredBy, primaryMs: known.primaryMs, copyMs })
      }
      told(id, outcome, reason)
    }
    for (const refused of report.notDryRun) events.shadowNotDryRun(refused)
  }

  /** Counted where it ended; here it is told, and what it held is free. */
  function told(id: number, outcome: ShadowOutcome, reason: ShadowReason): Pending | undefined {
    const known = pending.get(id)
    if (known === undefined) return undefined
    pending.delete(id)
    known.free()
    events.shadowEnded({ context: known.its.context, outcome, reason, count: 1 })
    return known
  }

  /** What the comparing thread says no more of. */
  function end(id: number, ending: NoComparison): void {
    const known = told(id, ending.outcome, ending.reason)
    if (known === undefined) return
    const place = { context: known.its.context, route: known.its.route, at: known.at }
    ledger.counter(place).uncompared(ending)
  }

  /** What comes to its end in this thread. */
  function count({ context, route }: Captured, at: number, ending: NoComparison): void {
    ledger.counter({ context, route, at: Math.floor(at) }).uncompared(ending)
    events.shadowEnded({ context, ...ending, count: 1 })
  }

  /** One at a time: while the store takes longer than the pause between two, those that wait would be waited for at the end. */
  function save(): Promise<void> {
    saving ??= saveOnce().finally(() => {
      saving = undefined
    })
    return saving
  }

  async function saveOnce(): Promise<void> {
    const trouble = await ledger.save()
    if ((trouble !== undefined) !== hasTrouble) {
      hasTrouble = trouble !== undefined
      if (hasTrouble) events.comparisonsNotKept({ error: trouble })
    }
  }

  async function stop(): Promise<void> {
    isDraining = true
    clearInterval(beat)
    tellShed()
    clearInterval(saver)
    await thread.finish(LAST_MS)
    await thread.stop()
    ledger.close()
    for (const id of pending.keys()) end(id, { outcome: 'shed', reason: 'draining' })
    await saving
    await save()
  }
}

const FAILED_ITSELF = { outcome: 'failed', reason: 'primary' } as const satisfies {
  outcome: 'failed'
  reason: ShadowFailure
}

function other(side: Side): Side {
  return side === 'legacy' ? 'service' : 'legacy'
}
