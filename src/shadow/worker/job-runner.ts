// One job from beginning to end: the copy is sent, legacy perhaps asked once more, and the answers are compared.
import { randomFillSync } from 'node:crypto'
import type { Comparison, Field } from '../../model/comparison.ts'
import type { StoredExample } from '../../model/comparison-example.ts'
import type { CopyRequest } from '../../model/shadow.ts'
import type { ShadowPolicy } from '../../model/shadow-policy.ts'
import type { Budget } from '../capture/byte-budget.ts'
import type { DryRuns } from '../capture/dry-run-agreements.ts'
import { copyFields, isAccepted } from '../capture/copy-fields.ts'
import { patternIn, type Redaction } from '../capture/redact.ts'
import { type ComparedResponse, compareAnswers } from '../compare/compare-answers.ts'
import type { CompiledRules } from '../compare/rules.ts'
import { exampleOf } from '../report/example.ts'
import type { Scorebook } from '../stats/comparison-stats.ts'
import { fieldsIn } from '../stats/route-counter.ts'
import { fingerprintOf } from '../stats/fingerprint.ts'
import type { CopyClient, CopyResult } from './copy-client.ts'
import { type Ended, type Job, type NoComparison, unpack } from './messages.ts'

/** A job with what it names by number. */
export type Work = {
  readonly job: Job
  readonly policy: ShadowPolicy
  readonly rules: CompiledRules
  readonly redaction: Redaction
  readonly copy: CopyRequest
  readonly again: CopyRequest | undefined
}

export type CopierUse = {
  readonly asker: CopyClient
  readonly budget: Budget
  readonly dryRuns: DryRuns
  readonly book: Scorebook
  /** Around each comparison: it is what may take too long. */
  readonly whileComparing: <T>(id: number, compare: () => T) => T
  /** Whether another example of this difference is wanted. */
  readonly isWanted: (fingerprint: string, at: number) => boolean
  readonly keep: (example: StoredExample) => void
  readonly notDryRun: (context: string, origin: string, why: string) => void
}

export function createCopier(use: CopierUse) {
  const { asker, budget, dryRuns, book } = use

  /** Never rejects. */
  return async function run(work: Work): Promise<Ended> {
    const { job } = work
    try {
      return await copied(work)
    } catch {
      return nothing(job, { outcome: 'uncomparable', reason: 'crashed' })
    }
  }

  async function copied({ job, policy, rules, redaction, copy, again }: Work): Promise<Ended> {
    const isWrite = job.requestBody !== undefined
    const agreement = isWrite ? await dryRuns.agreement(copy) : undefined
    if (isWrite && agreement === undefined) {
      use.notDryRun(job.context, copy.origin, 'it has not agreed')
      return nothing(job, { outcome: 'failed', reason: 'not-dry-run' })
    }
    const fields = (request: CopyRequest) =>
      copyFields(request, isWrite ? 'dry-run' : '1', policy.identities, newSpanId())
    const body = isWrite && job.requestBody !== '' ? Buffer.from(job.requestBody as string, 'latin1') : undefined
    const sent = fields(copy)
    const asked = await asker.ask(copy, sent, body, policy, agreement)
    if (asked.kind === 'failed') return nothing(job, { outcome: 'failed', reason: asked.reason })
    if (asked.kind === 'shed') return nothing(job, { outcome: 'shed', reason: asked.reason })
    if (isWrite && !isAccepted(asked.answer.headers)) {
      dryRuns.withdraw(copy)
      budget.give(asked.answer.body.length)
      use.notDryRun(job.context, copy.origin, 'it answered a copy without agreeing again')
      return nothing(job, { outcome: 'failed', reason: 'not-dry-run' })
    }
    // After the service: what changes with time has then more time to change between legacy and itself.
    const twin = again === undefined ? undefined : await asker.ask(again, fields(again), undefined, policy)
    try {
      return judged({ job, policy, rules, redaction, sent }, asked, twin)
    } finally {
      for (const one of [asked, twin]) if (one?.kind === 'answered') budget.give(one.answer.body.length)
    }
  }

  type Asking = Pick<Work, 'job' | 'policy' | 'rules' | 'redaction'> & { readonly sent: readonly string[] }
  type Answered = Extract<CopyResult, { kind: 'answered' }>

  function judged(
    { job, policy, rules, redaction, sent }: Asking,
    asked: Answered,
    twin: CopyResult | undefined,
  ): Ended {
    const given: ComparedResponse = {
      status: job.status,
      headers: unpack(job.headers),
      body: Buffer.from(job.body, 'latin1'),
      isTruncated: job.isTruncated,
    }
    const [legacy, service] = job.answeredBy === 'legacy' ? [given, asked.answer] : [asked.answer, given]
    const compare = (other: ComparedResponse) => use.whileComparing(job.id, () => compareAnswers(legacy, other, rules))
    const comparison = compare(service)
    if (twin?.kind === 'answered') book.paired(job, compare(twin.answer))
    const outcome = book.compared(job, policy.noise, comparison)
    const [legacyMs, serviceMs] = job.answeredBy === 'legacy' ? [job.ms, asked.ms] : [asked.ms, job.ms]
    keepExamples(comparison, job, redaction, () => ({
      at: job.at,
      method: job.copy.method,
      target: job.target,
      pattern: patternIn(job.route),
      fields: sent,
      answeredBy: job.answeredBy,
      ...{ legacy, legacyMs, service, serviceMs },
    }))
    const reason = comparison.kind === 'uncomparable' ? comparison.reason : ''
    return { id: job.id, outcome, reason, copyMs: asked.ms }
  }

  function keepExamples(
    comparison: Comparison,
    { context, route, at }: Job,
    redaction: Redaction,
    seen: () => Omit<Parameters<typeof exampleOf>[0], 'differences'>,
  ): void {
    if (comparison.kind === 'uncomparable') return
    const wanted = fieldsIn(comparison)
      .map((field): [Field, string] => [field, fingerprintOf(context, route, field)])
      .filter(([, fingerprint]) => use.isWanted(fingerprint, at))
    if (wanted.length === 0) return
    const example = exampleOf({ ...seen(), differences: comparison.differences }, redaction)
    for (const [field, fingerprint] of wanted) use.keep({ fingerprint, context, route, field, example })
  }

  function nothing(job: Job, ending: NoComparison): Ended {
    book.counter(job).uncompared(ending)
    return { id: job.id, ...ending, copyMs: undefined }
  }
}

const SPAN_BYTES = 8
/** Random bytes are asked of the system in blocks: a call for each would cost more than the id. */
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
