import { describe, expect, test } from 'vitest'
import type { StoredExample } from '../../model/comparison-example.ts'
import type { CopyRequest } from '../../model/shadow.ts'
import type { ShadowPolicy } from '../../model/shadow-policy.ts'
import { ByteBudget } from '../capture/byte-budget.ts'
import { NO_RULES } from '../compare/rules.ts'
import { copyOf, policyOf } from '../request-heads.test-kit.ts'
import { ComparisonStats } from '../stats/comparison-stats.ts'
import type { CopyResult } from './copy-client.ts'
import { JobRunner, type JobRunnerOptions } from './job-runner.ts'
import type { Job } from './messages.ts'

const JSON_TYPE = ['Content-Type', 'application/json']
const NOW = 1_800_000_000_000

function jobOf(more: Partial<Job> = {}): Job {
  return {
    ...{ id: 1, context: 'catalog', route: 'GET /products/:id', policy: 0, time: NOW, answeredBy: 'legacy' },
    ...{ target: '/products/1', status: 200, headers: JSON_TYPE.join('\n'), body: '{"a":1}', isTruncated: false },
    ...{ ms: 5, twin: undefined, requestBody: undefined },
    copy: { origin: '', tls: undefined, servername: '', method: 'GET', path: '/', fields: '', identityFields: '' },
    ...more,
  }
}

type Answers = (request: CopyRequest, fields: readonly string[]) => { headers?: string[]; body?: string } | CopyResult

function start(answers: Answers, more: Partial<JobRunnerOptions> = {}) {
  const budget = new ByteBudget(() => 1e6)
  const book = new ComparisonStats()
  const examples: StoredExample[] = []
  const sent: { request: CopyRequest; fields: readonly string[]; body: string | undefined }[] = []
  const agreement = new AbortController()
  const withdrawn: string[] = []
  const runner = new JobRunner({
    client: {
      send: async (request, fields, body): Promise<CopyResult> => {
        sent.push({ request, fields, body: body && Buffer.from(body).toString() })
        const given = answers(request, fields)
        if ('kind' in given) return given
        const bytes = Buffer.from(given.body ?? '{"a":1}')
        budget.reserve(bytes.length)
        const answer = { status: 200, headers: given.headers ?? JSON_TYPE, body: bytes, isTruncated: false }
        return { kind: 'answered', answer, ms: 7 }
      },
    },
    ...{ budget, stats: book },
    agreements: { agreement: async () => agreement.signal, withdraw: ({ origin }) => void withdrawn.push(origin) },
    watchComparison: (_, compare) => compare(),
    wantsExample: () => true,
    addExample: (example) => examples.push(example),
    reportNotDryRun: () => {},
    ...more,
  })
  const work = (job: Job, policy: Partial<ShadowPolicy> = {}, again?: CopyRequest) =>
    runner.run({
      job,
      policy: policyOf(policy),
      rules: NO_RULES,
      redaction: { showOnly: undefined },
      copy: copyOf(),
      twin: again,
    })
  return { work, budget, book, kept: examples, sent, withdrawn }
}

describe('a job releases the bytes of its responses', () => {
  const again = copyOf({ origin: 'http://legacy' })
  test.each<[string, Answers, Partial<JobRunnerOptions>, Partial<Job>]>([
    ['the responses agree', () => ({}), {}, {}],
    ['the responses differ', () => ({ body: '{"a":2}' }), {}, {}],
    ['legacy was asked twice', ({ origin }) => (origin === again.origin ? { body: '{"a":3}' } : {}), {}, {}],
    ['the copy failed', () => ({ kind: 'failed', reason: 'response-timeout' }), {}, {}],
    ['the response does not repeat the agreement', () => ({}), {}, { requestBody: 'a' }],
    [
      'the comparison throws',
      () => ({}),
      {
        watchComparison: () => {
          throw new Error('a bug')
        },
      },
      {},
    ],
  ])('if %s', async (_, answers, use, job) => {
    const { work, budget } = start(answers, use)
    await work(jobOf(job), {}, job.requestBody === undefined ? again : undefined)
    expect(budget.usedBytes).toBe(0)
  })
})

test('an error in a comparison counts as crashed', async () => {
  const throws = () => {
    throw new Error('a bug')
  }
  const { work, book } = start(() => ({}), { watchComparison: throws })
  expect(await work(jobOf())).toMatchObject({ id: 1, outcome: 'uncomparable', reason: 'crashed' })
  expect(book.judge(NOW).counts).toMatchObject([{ counts: { uncomparable: { crashed: 1 } } }])
})

describe('the copy of a write', () => {
  const agrees = { headers: [...JSON_TYPE, 'X-Shadow-Accepted', 'dry-run'] }

  test('is sent with its body and the mark if the service agrees before and in the response', async () => {
    const { work, sent } = start(() => agrees)
    expect(await work(jobOf({ requestBody: 'a=1' }))).toMatchObject({ outcome: 'matched', copyMs: 7 })
    expect(sent).toHaveLength(1)
    expect(sent[0]?.body).toBe('a=1')
    expect(sent[0]?.fields.slice(-2)).toEqual(['X-Shadow', 'dry-run'])
  })

  test('is a dry run also without a body', async () => {
    const { work, sent } = start(() => agrees)
    await work(jobOf({ requestBody: '' }))
    expect(sent[0]).toMatchObject({ body: undefined, fields: expect.arrayContaining(['dry-run']) })
  })

  test('is not sent without an agreement', async () => {
    const none = { agreement: async () => undefined, withdraw: () => {} }
    const { work, sent } = start(() => agrees, { agreements: none })
    expect(await work(jobOf({ requestBody: 'a' }))).toMatchObject({ outcome: 'failed', reason: 'not-dry-run' })
    expect(sent).toEqual([])
  })

  test('ends the agreement if the response does not repeat it, and is not compared', async () => {
    const { work, withdrawn, book } = start(() => ({}))
    expect(await work(jobOf({ requestBody: 'a' }))).toMatchObject({ outcome: 'failed', reason: 'not-dry-run' })
    expect(withdrawn).toEqual([copyOf().origin])
    expect(book.judge(NOW).counts).toMatchObject([{ counts: { matched: 0, failed: { 'not-dry-run': 1 } } }])
  })
})

test('the second request to legacy comes after the copy', async () => {
  const again = copyOf({ origin: 'http://legacy' })
  const { work, sent, book } = start(() => ({}))
  await work(jobOf(), {}, again)
  expect(sent.map(({ request }) => request.origin)).toEqual([copyOf().origin, 'http://legacy'])
  expect(book.judge(NOW).counts).toMatchObject([{ counts: { matched: 1, pairs: 1 } }])
})

test('a difference has legacy first and the service second, whichever side answered the client', async () => {
  for (const answeredBy of ['legacy', 'service'] as const) {
    const { work, kept: examples } = start(() => ({ body: '{"a":"copy"}' }))
    await work(jobOf({ answeredBy, body: '{"a":"given"}' }))
    const [{ example } = { example: undefined }] = examples
    const [legacy, service] = answeredBy === 'legacy' ? ['given', 'copy'] : ['copy', 'given']
    expect(example?.differences).toMatchObject([{ path: '$.a', legacy, service }])
    expect([example?.legacy.ms, example?.service.ms]).toEqual(answeredBy === 'legacy' ? [5, 7] : [7, 5])
  }
})
