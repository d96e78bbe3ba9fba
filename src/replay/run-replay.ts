// Replays a recording: for each entry it asks legacy, then the service, then perhaps legacy again, compares, and counts. It saves
// which entries it is about to send before it sends them, so that a later run sends none of them twice.
import type { Comparison, ShadowFailure } from '../model/comparison.ts'
import type { Random } from '../model/ports.ts'
import type { Side } from '../model/route.ts'
import type { ShadowPolicy } from '../model/shadow-policy.ts'
import { copyFields } from '../shadow/capture/copy-fields.ts'
import { type ComparedResponse, compareAnswers } from '../shadow/compare/compare-answers.ts'
import type { CompiledRules } from '../shadow/compare/rules.ts'
import type { CopyClient, CopyResult } from '../shadow/worker/copy-client.ts'
import type { ComparisonPolicy } from './comparison-policies.ts'
import type { Recording } from './open-recording.ts'
import type { PreparedRequest } from './prepare-request.ts'
import type { ProgressTracker } from './progress-tracker.ts'
import type { RecordedRequest, SkipReason } from './recording.ts'
import type { RequestPace } from './request-pace.ts'

export type ReplayRunOptions = {
  readonly recording: Pick<Recording, 'entries'>
  readonly prepareRequest: (recorded: RecordedRequest, entry: number) => PreparedRequest | SkipReason
  readonly policyOf: (policy: ShadowPolicy) => ComparisonPolicy
  readonly client: Pick<CopyClient, 'send'>
  readonly paces: Readonly<Record<Side, Pick<RequestPace, 'turn'>>>
  readonly progress: ProgressTracker
  /** Resolves when the current progress is saved on disk. */
  readonly save: () => Promise<void>
  /** The number of requests at the same time. */
  readonly concurrency: number
  readonly keepCredentials: boolean
  readonly random: Random
  /** Called after each entry with the share of the recording that was read, from 0 to 1. */
  readonly onProgress: (share: number) => void
}

export type ReplayEnd =
  | { readonly kind: 'finished' }
  | { readonly kind: 'stopped' }
  /** One address failed so often in a row that the run has ended. */
  | { readonly kind: 'down'; readonly side: Side; readonly origin: string; readonly reason: ShadowFailure }

/** Failures of one address in a row after which it counts as down. */
export const MAX_FAILURES_IN_ROW = 20

export class ReplayRun {
  readonly #options: ReplayRunOptions
  readonly #underWay = new Set<Promise<void>>()
  readonly #errors: unknown[] = []
  /** By address: one of several services may be down alone. */
  readonly #failuresInRow = new Map<string, number>()
  #down: Extract<ReplayEnd, { kind: 'down' }> | undefined

  constructor(options: ReplayRunOptions) {
    this.#options = options
  }

  /** @param stop when aborted, requests that are under way are finished and no other is started @throws the error of a failed save */
  async run(stop: AbortSignal): Promise<ReplayEnd> {
    const { recording, progress, save, concurrency, onProgress } = this.#options
    const isOver = () => stop.aborted || this.#down !== undefined || this.#errors.length > 0
    for await (const { number, share, parsed } of recording.entries(progress.through())) {
      while (this.#underWay.size >= concurrency && !isOver()) await Promise.race(this.#underWay)
      // This entry is not counted: a later run begins with it.
      if (isOver()) break
      onProgress(share)
      if (parsed.kind === 'unreadable') progress.skipUnreadable(number, parsed.why)
      else if (parsed.kind === 'skipped') progress.skip(number, parsed.reason)
      else this.#start(number, parsed.request)
    }
    await Promise.all(this.#underWay)
    if (this.#errors.length > 0) throw this.#errors[0]
    await save()
    return this.#down ?? { kind: stop.aborted ? 'stopped' : 'finished' }
  }

  #start(entry: number, recorded: RecordedRequest): void {
    const { progress, prepareRequest } = this.#options
    const prepared = prepareRequest(recorded, entry)
    if (typeof prepared === 'string') {
      progress.skip(entry, prepared)
      return
    }
    progress.start(entry)
    const replay = this.#replay(entry, prepared)
      .catch((error: unknown) => void this.#errors.push(error))
      .finally(() => this.#underWay.delete(replay))
    this.#underWay.add(replay)
  }

  async #replay(entry: number, prepared: PreparedRequest): Promise<void> {
    const { progress, paces, save, policyOf, random } = this.#options
    const route = progress.routeOf(prepared)
    // In one step: each saved progress has the entry in exactly one place.
    const end = (record: () => void): void => {
      record()
      progress.end(entry)
    }
    // Decided before any response is known: pairs of requests that turn out to differ would be a biased sample.
    const isPaired = randomShare(random) < route.pairShare(prepared.shadow.noise)
    await paces.legacy.turn()
    await save()
    const legacy = await this.#send('legacy', prepared)
    if (legacy.kind !== 'answered') return end(() => route.recordFailure('primary'))
    route.recordStatus(legacy.answer.status)
    await paces.service.turn()
    const service = await this.#send('service', prepared)
    if (service.kind !== 'answered') {
      return end(() => route.recordFailure(service.kind === 'failed' ? service.reason : 'internal'))
    }
    const { rules, redaction } = policyOf(prepared.shadow)
    const comparison = compare(legacy.answer, service.answer, rules)
    end(() => route.recordComparison(comparison, entry, prepared, redaction))
    if (!isPaired) return
    await paces.legacy.turn()
    const again = await this.#send('legacy', prepared)
    if (again.kind === 'answered') route.recordPair(compare(legacy.answer, again.answer, rules))
  }

  async #send(side: Side, prepared: PreparedRequest): Promise<CopyResult> {
    const { client, keepCredentials, random } = this.#options
    const { maxBodyBytes, timeoutMs } = prepared.shadow
    const fields = copyFields(prepared[side], '1', keepCredentials ? 'keep' : 'strip', random.hex(8))
    const result = await client.send(prepared[side], fields, undefined, { maxBodyBytes, timeoutMs })
    this.#countFailures(side, prepared[side].origin, result)
    return result
  }

  #countFailures(side: Side, origin: string, result: CopyResult): void {
    // A request that was not sent is no evidence about the side.
    if (result.kind === 'failed' && result.reason === 'internal') return
    const failures = result.kind === 'failed' ? (this.#failuresInRow.get(origin) ?? 0) + 1 : 0
    this.#failuresInRow.set(origin, failures)
    if (result.kind === 'failed' && failures >= MAX_FAILURES_IN_ROW)
      this.#down ??= { kind: 'down', side, origin, reason: result.reason }
  }
}

function compare(legacy: ComparedResponse, other: ComparedResponse, rules: CompiledRules): Comparison {
  try {
    return compareAnswers(legacy, other, rules)
  } catch {
    return { kind: 'uncomparable', reason: 'crashed' }
  }
}

/** From 0 to below 1. */
function randomShare(random: Random): number {
  return Number.parseInt(random.hex(4), 16) / 2 ** 32
}
