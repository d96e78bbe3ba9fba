import { describe, expect, it } from 'vitest'
import type { CopyRequest } from '../model/shadow.ts'
import { DEFAULT_REDACTION } from '../shadow/capture/redact.ts'
import { NO_RULES } from '../shadow/compare/rules.ts'
import type { CopyResult } from '../shadow/worker/copy-client.ts'
import type { PreparedRequest } from './prepare-request.ts'
import { NO_PROGRESS } from './progress.ts'
import { ProgressTracker } from './progress-tracker.ts'
import type { ParsedEntry, RecordingEntry } from './recording.ts'
import { MAX_FAILURES_IN_ROW, type ReplayEnd, ReplayRun, type ReplayRunOptions } from './run-replay.ts'

const REQUEST: ParsedEntry = {
  kind: 'request',
  request: { method: 'GET', target: '/a', host: undefined, secure: undefined, client: undefined, fields: [] },
}
const ENTRIES: readonly ParsedEntry[] = [
  REQUEST,
  REQUEST,
  { kind: 'skipped', reason: 'masked' },
  REQUEST,
  { kind: 'unreadable', why: 'x' },
]

function prepareRequest(): PreparedRequest {
  const copy = (origin: string): CopyRequest => ({
    ...{ origin, tls: undefined, servername: '', method: 'GET', path: '/a', fields: [], identityFields: [] },
  })
  return {
    ...{ context: { name: 'catalog' }, label: 'GET /a', head: { method: 'GET', path: '/a', query: '' } },
    shadow: { maxBodyBytes: 1, timeoutMs: 1, noise: { pairShare: 1, pairShareOpen: 1 } },
    ...{ legacy: copy('http://legacy'), service: copy('http://service') },
  } as unknown as PreparedRequest
}

type Respond = (origin: string) => CopyResult

const ANSWER: CopyResult = {
  kind: 'answered',
  answer: { status: 200, headers: [], body: Buffer.from('a'), isTruncated: false },
  ms: 1,
}
const REFUSED: CopyResult = { kind: 'failed', reason: 'connect-refused' }

/** @param check called at each save and each request */
async function replay(
  entries: readonly ParsedEntry[],
  respond: Respond,
  check: (progress: ProgressTracker) => void = () => {},
) {
  const progress = new ProgressTracker({ ...NO_PROGRESS, startedAt: 1 }, () => 7)
  const origins: string[] = []
  const pace = { turn: async () => check(progress) }
  const options: ReplayRunOptions = {
    ...{ progress, concurrency: 2, keepCredentials: false, onProgress: () => {}, prepareRequest },
    recording: {
      entries: async function* (skip) {
        for (const [i, parsed] of entries.entries())
          if (i >= skip) yield { number: i + 1, share: 1, parsed } satisfies RecordingEntry
      },
    },
    policyOf: () => ({ rules: NO_RULES, redaction: DEFAULT_REDACTION }),
    client: {
      send: async ({ origin }) => {
        origins.push(origin.slice('http://'.length))
        check(progress)
        // Other requests continue meanwhile.
        for (let turns = 0; turns < 5; turns++) await Promise.resolve().then(() => check(progress))
        return respond(origin)
      },
    },
    paces: { legacy: pace, service: pace },
    save: async () => check(progress),
    random: { hex: (bytes) => '0'.repeat(2 * bytes) },
  }
  const end: ReplayEnd = await new ReplayRun(options).run(new AbortController().signal)
  return { end, progress, origins }
}

describe('a replay', () => {
  it('asks legacy, then the service, then legacy again', async () => {
    const { end, origins, progress } = await replay([REQUEST], () => ANSWER)
    expect(end).toEqual({ kind: 'finished' })
    expect(origins).toEqual(['legacy', 'service', 'legacy'])
    expect(progress.totals()).toMatchObject({
      accounting: { eligible: 1, matched: 1 },
      byRoute: [{ counts: { pairs: 1 } }],
    })
  })

  it.each<[string, Respond]>([
    ['both sides answer', () => ANSWER],
    ['the service does not answer', (origin) => (origin === 'http://service' ? REFUSED : ANSWER)],
    ['legacy does not answer', (origin) => (origin === 'http://legacy' ? REFUSED : ANSWER)],
  ])('has each entry in exactly one place at any time if %s', async (_, respond) => {
    let checks = 0
    const { progress } = await replay(ENTRIES, respond, (current) => {
      checks++
      const { through, underWay, unreadable } = current.snapshot()
      const { eligible } = current.totals().accounting
      expect(eligible + underWay.length + unreadable.count + (through >= 3 ? 1 : 0)).toBe(through)
    })
    expect(checks).toBeGreaterThan(20)
    expect(progress.snapshot()).toMatchObject({ through: 5, underWay: [], skipped: { masked: 1 } })
  })

  it('saves an entry as under way before it sends the request', async () => {
    let isSaved = false
    await replay(
      [REQUEST],
      () => ANSWER,
      (progress) => {
        isSaved ||= progress.snapshot().underWay.length === 1
        expect(isSaved).toBe(true)
      },
    )
  })

  it('ends after twenty failures of one side in a row', async () => {
    const entries = Array<ParsedEntry>(100).fill(REQUEST)
    const { end, progress } = await replay(entries, (origin) => (origin === 'http://service' ? REFUSED : ANSWER))
    expect(end).toEqual({ kind: 'down', side: 'service', origin: 'http://service', reason: 'connect-refused' })
    expect(progress.through()).toBeLessThan(MAX_FAILURES_IN_ROW + 3)
  })

  it('continues if failures are interrupted by an answer, or if the requests could not be sent', async () => {
    const entries = Array<ParsedEntry>(100).fill(REQUEST)
    let requests = 0
    const mostlyRefused: Respond = (origin) =>
      origin === 'http://service' && ++requests % MAX_FAILURES_IN_ROW !== 0 ? REFUSED : ANSWER
    expect((await replay(entries, mostlyRefused)).end.kind).toBe('finished')
    const unsendable: Respond = (origin) =>
      origin === 'http://service' ? { kind: 'failed', reason: 'internal' } : ANSWER
    expect((await replay(entries, unsendable)).end.kind).toBe('finished')
  })
})
