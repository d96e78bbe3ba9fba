// Runs one job: sends the copy, perhaps sends a second request to legacy, and compares the responses.
import { randomFillSync } from 'node:crypto'
import type { Comparison, Field } from '../../model/comparison.ts'
import type { StoredExample } from '../../model/comparison-example.ts'
import type { CopyRequest } from '../../model/shadow.ts'
import type { ShadowPolicy } from '../../model/shadow-policy.ts'
import type { ByteBudget } from '../capture/byte-budget.ts'
import { acceptsDryRun, copyFields } from '../capture/copy-fields.ts'
import type { DryRunAgreements } from '../capture/dry-run-agreements.ts'
import { patternIn, type Redaction } from '../capture/redact.ts'
import { type ComparedResponse, compareAnswers } from '../compare/compare-answers.ts'
import type { CompiledRules } from '../compare/rules.ts'
import { type ComparedExchange, exampleOf } from '../report/example.ts'
import type { ComparisonStats } from '../stats/comparison-stats.ts'
import { fingerprintOf } from '../stats/fingerprint.ts'
import { differingFields, type UncomparedOutcome } from '../stats/route-counter.ts'
import type { CopyClient, CopyResult } from './copy-client.ts'
import { type DryRunRefusal, type Job, type JobResult, unpackFields } from './messages.ts'

/** A job with the values that it refers to by number. */
export type PreparedJob = {
  readonly job: Job
  readonly policy: ShadowPolicy
  readonly rules: CompiledRules
  readonly redaction: Redaction
  readonly copy: CopyRequest
  /** A second request to legacy. */
  readonly twin: CopyRequest | undefined
}

export type JobRunnerOptions = {
  readonly client: Pick<CopyClient, 'send'>
  readonly budget: ByteBudget
  readonly agreements: Pick<DryRunAgreements, 'agreement' | 'withdraw'>
  readonly stats: ComparisonStats
  /** Wraps each comparison, so that one that takes too long is noticed. */
  readonly watchComparison: <T>(id: number, compare: () => T) => T
  /** Whether another example of this difference is to be kept. */
  readonly wantsExample: (fingerprint: string, time: number) => boolean
  readonly addExample: (example: StoredExample) => void
  readonly reportNotDryRun: (refusal: DryRunRefusal) => void
}

type Answered = Extract<CopyResult, { kind: 'answered' }>

export class JobRunner {
  readonly #options: JobRunnerOptions

  constructor(options: JobRunnerOptions) {
    this.#options = options
  }

  /** Never rejects. */
  async run(prepared: PreparedJob): Promise<JobResult> {
    try {
      return await this.#run(prepared)
    } catch {
      return this.#endUncompared(prepared.job, { outcome: 'uncomparable', reason: 'crashed' })
    }
  }

  async #run(prepared: PreparedJob): Promise<JobResult> {
    const { job, policy, copy, twin } = prepared
    const { client, budget, agreements } = this.#options
    const isWrite = job.requestBody !== undefined
    const agreement = isWrite ? await agreements.agreement(copy) : undefined
    if (isWrite && agreement === undefined) return this.#endNotDryRun(job, copy, 'it has not agreed')
    const body = isWrite && job.requestBody !== '' ? Buffer.from(job.requestBody as string, 'latin1') : undefined
    const fields = fieldsOf(copy, prepared)
    const copied = await client.send(copy, fields, body, policy, agreement)
    if (copied.kind === 'failed') return this.#endUncompared(job, { outcome: 'failed', reason: copied.reason })
    if (copied.kind === 'shed') return this.#endUncompared(job, { outcome: 'shed', reason: copied.reason })
    if (isWrite && !acceptsDryRun(copied.answer.headers)) {
      agreements.withdraw(copy)
      budget.release(copied.answer.body.length)
      return this.#endNotDryRun(job, copy, 'it answered a copy without agreeing again')
    }
    // The second request to legacy comes after the copy: a value that changes with time then has more time to change between the
    // two responses of legacy than between the sides, and counts as noise.
    const again = twin === undefined ? undefined : await client.send(twin, fieldsOf(twin, prepared), undefined, policy)
    try {
      return this.#compare(prepared, fields, copied, again)
    } finally {
      budget.release(copied.answer.body.length)
      if (again?.kind === 'answered') budget.release(again.answer.body.length)
    }
  }

  #compare(
    { job, policy, rules, redaction }: PreparedJob,
    fields: readonly string[],
    copied: Answered,
    again: CopyResult | undefined,
  ): JobResult {
    const { stats, watchComparison } = this.#options
    const primary: ComparedResponse = {
      status: job.status,
      headers: unpackFields(job.headers),
      body: Buffer.from(job.body, 'latin1'),
      isTruncated: job.isTruncated,
    }
    const isLegacyPrimary = job.answeredBy === 'legacy'
    const [legacy, service] = isLegacyPrimary ? [primary, copied.answer] : [copied.answer, primary]
    const [legacyMs, serviceMs] = isLegacyPrimary ? [job.ms, copied.ms] : [copied.ms, job.ms]
    const compareWith = (response: ComparedResponse) =>
      watchComparison(job.id, () => compareAnswers(legacy, response, rules))
    const comparison = compareWith(service)
    if (again?.kind === 'answered') stats.recordPair(job, compareWith(again.answer))
    const outcome = stats.recordComparison(job, policy.noise, comparison)
    this.#keepExamples(comparison, job, redaction, () => ({
      ...{ time: job.time, method: job.copy.method, target: job.target, pattern: patternIn(job.route), fields },
      ...{ answeredBy: job.answeredBy, legacy, legacyMs, service, serviceMs },
    }))
    const reason = comparison.kind === 'uncomparable' ? comparison.reason : ''
    return { id: job.id, outcome, reason, copyMs: copied.ms }
  }

  /** Builds the example only if one of its differences needs another example. */
  #keepExamples(
    comparison: Comparison,
    { context, route, time }: Job,
    redaction: Redaction,
    exchange: () => Omit<ComparedExchange, 'differences'>,
  ): void {
    if (comparison.kind === 'uncomparable') return
    const wanted = differingFields(comparison)
      .map((field): [Field, string] => [field, fingerprintOf(context, route, field)])
      .filter(([, fingerprint]) => this.#options.wantsExample(fingerprint, time))
    if (wanted.length === 0) return
    const example = exampleOf({ ...exchange(), differences: comparison.differences }, redaction)
    for (const [field, fingerprint] of wanted) {
      this.#options.addExample({ fingerprint, context, route, field, example })
    }
  }

  #endNotDryRun(job: Job, { origin }: CopyRequest, why: string): JobResult {
    this.#options.reportNotDryRun({ context: job.context, origin, why })
    return this.#endUncompared(job, { outcome: 'failed', reason: 'not-dry-run' })
  }

  #endUncompared(job: Job, outcome: UncomparedOutcome): JobResult {
    this.#options.stats.recordUncompared(job, outcome)
    return { id: job.id, ...outcome, copyMs: undefined }
  }
}

function fieldsOf(request: CopyRequest, { job, policy }: PreparedJob): string[] {
  return copyFields(request, job.requestBody === undefined ? '1' : 'dry-run', policy.identities, newSpanId())
}

const SPAN_BYTES = 8
/** Random bytes come from the system in blocks: a call for each id would cost more than the rest of the id. */
const block = Buffer.alloc(1024 * SPAN_BYTES)
let used = block.length

function newSpanId(): string {
  if (used === block.length) {
    randomFillSync(block)
    used = 0
  }
  used += SPAN_BYTES
  return block.toString('hex', used - SPAN_BYTES, used)
}
