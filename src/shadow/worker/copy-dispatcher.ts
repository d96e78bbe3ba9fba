// Sends captured requests to the comparing thread and receives their results.
import type { Parity } from '../../model/comparison-counts.ts'
import type { Outcome } from '../../model/outcome.ts'
import type { Side } from '../../model/route.ts'
import type { CopyRequest, CreateCopy, ShadowOutcome, ShadowReason } from '../../model/shadow.ts'
import type { Events } from '../../telemetry/events.ts'
import type { Capture, CapturedRequest } from '../capture/capture.ts'
import { isSafe } from '../capture/eligibility.ts'
import type { CountsWriter } from '../stats/counts-writer.ts'
import type { UncomparedOutcome } from '../stats/route-counter.ts'
import { routeKey } from '../stats/route-key.ts'
import type { LostJob, ThreadHandle } from './comparing-thread.ts'
import type { CpuAllowance } from './cpu-allowance.ts'
import { type Job, type PackedCopy, packFields, type ThreadReport } from './messages.ts'

type CopyDispatcherOptions = {
  readonly thread: ThreadHandle
  readonly counts: CountsWriter
  readonly cpu: CpuAllowance
  readonly events: Pick<Events, 'shadowAnswered' | 'shadowEnded' | 'shadowNotDryRun' | 'shadowThreadLost'>
  /** From 0 to below 1. */
  readonly random: () => number
}

/** A copy whose result was not received yet. */
type PendingCopy = { readonly capture: Capture; readonly time: number; readonly primaryMs: number }

/** Before the first report of a route: the share of `DEFAULT_NOISE` while no field is inconclusive. */
const INITIAL_PAIR_SHARE = 0.1
/** Ids are positive 32-bit integers, because the comparing thread publishes them in an `Int32Array`. 0 means no job. */
const MAX_ID = 0x7fffffff

export class CopyDispatcher {
  readonly #thread: ThreadHandle
  readonly #counts: CountsWriter
  readonly #cpu: CpuAllowance
  readonly #events: CopyDispatcherOptions['events']
  readonly #random: () => number
  readonly #pending = new Map<number, PendingCopy>()
  readonly #parity: Record<string, Parity> = {}
  #pairShares: Readonly<Record<string, number>> = {}
  #lastId = 0

  constructor({ thread, counts, cpu, events, random }: CopyDispatcherOptions) {
    this.#thread = thread
    this.#counts = counts
    this.#cpu = cpu
    this.#events = events
    this.#random = random
  }

  /** The last reported parity of each context. */
  get parity(): Readonly<Record<string, Parity>> {
    return this.#parity
  }

  /**
   * Keeps the bytes of the capture until its result arrives.
   *
   * @param time when the client's response was complete, in milliseconds since 1970
   */
  dispatch(
    capture: Capture,
    { upstreamTotalMs = 0 }: Outcome,
    copy: CopyRequest,
    copyFor: CreateCopy,
    time: number,
  ): void {
    const { request } = capture
    // Everything that can throw comes before the copy is registered, so that its outcome is counted once.
    const job: Job = {
      id: this.#nextId(),
      context: request.context,
      route: request.route,
      policy: this.#thread.numberOf(request.policy),
      time,
      answeredBy: request.answeredBy,
      target: request.head.path + request.head.query,
      status: capture.status,
      headers: packFields(capture.headers),
      body: capture.body,
      isTruncated: capture.isTruncated,
      ms: upstreamTotalMs,
      copy: this.#thread.packCopy(copy),
      twin: this.#twinOf(request, copy, copyFor),
      requestBody: capture.requestBody,
    }
    this.#pending.set(job.id, { capture, time, primaryMs: upstreamTotalMs })
    this.#cpu.reserve()
    this.#thread.send(job)
  }

  onReport(report: ThreadReport): void {
    this.#cpu.settle(report.cpuMs, report.results.length)
    this.#counts.replaceThreadCounts(report.counts)
    this.#counts.addExamples(report.examples)
    this.#pairShares = { ...this.#pairShares, ...report.pairShares }
    Object.assign(this.#parity, report.parity)
    for (const { id, outcome, reason, copyMs } of report.results) {
      const ended = this.#end(id, outcome, reason)
      if (ended === undefined || copyMs === undefined) continue
      const { context, answeredBy } = ended.capture.request
      this.#events.shadowAnswered({ context, answeredBy, primaryMs: ended.primaryMs, copyMs })
    }
    for (const refusal of report.notDryRun) this.#events.shadowNotDryRun(refusal)
  }

  onLost(lost: readonly LostJob[], why: string): void {
    this.#counts.sealThreadCounts()
    for (const { id, reason } of lost) this.#endUncounted(id, { outcome: 'uncomparable', reason })
    this.#events.shadowThreadLost({ why, comparisons: lost.length })
  }

  /** Waits for pending copies, stops the thread, and sheds the copies without a result. @param limitMs the longest wait */
  async stop(limitMs: number): Promise<void> {
    await this.#thread.finish(limitMs)
    await this.#thread.stop()
    this.#counts.sealThreadCounts()
    for (const id of this.#pending.keys()) this.#endUncounted(id, { outcome: 'shed', reason: 'draining' })
  }

  #nextId(): number {
    this.#lastId = this.#lastId === MAX_ID ? 1 : this.#lastId + 1
    return this.#lastId
  }

  /** A second request to legacy, for a share of the copies. The share depends on earlier comparisons, never on this request. */
  #twinOf(request: CapturedRequest, copy: CopyRequest, copyFor: CreateCopy): PackedCopy | undefined {
    if (!isSafe(request.head.method)) return undefined
    const share = this.#pairShares[routeKey(request)] ?? INITIAL_PAIR_SHARE
    if (share < 1 && this.#random() >= share) return undefined
    const twin = request.answeredBy === 'legacy' ? copyFor('legacy') : copy
    return twin && this.#thread.packCopy(twin)
  }

  /** Releases a copy whose outcome the thread has counted. */
  #end(id: number, outcome: ShadowOutcome, reason: ShadowReason): PendingCopy | undefined {
    const ended = this.#pending.get(id)
    if (ended === undefined) return undefined
    this.#pending.delete(id)
    ended.capture.release()
    this.#events.shadowEnded({ context: ended.capture.request.context, outcome, reason, count: 1 })
    return ended
  }

  /** Releases and counts a copy that the thread will not report any more. */
  #endUncounted(id: number, outcome: UncomparedOutcome): void {
    const ended = this.#end(id, outcome.outcome, outcome.reason)
    if (ended === undefined) return
    const { context, route } = ended.capture.request
    this.#counts.counterFor({ context, route, time: ended.time }).recordUncompared(outcome)
  }
}

/** The side that did not answer the client. */
export function otherSide(side: Side): Side {
  return side === 'legacy' ? 'service' : 'legacy'
}
