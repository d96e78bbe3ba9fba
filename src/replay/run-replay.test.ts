import { expect, it } from 'vitest'
import type { CopyRequest } from '../model/shadow.ts'
import { DEFAULT_REDACTION } from '../shadow/capture/redact.ts'
import { NO_RULES } from '../shadow/compare/rules.ts'
import type { CopyResult } from '../shadow/worker/copy-client.ts'
import type { Prepared } from './prepare-request.ts'
import type { Entry, Read } from './recording.ts'
import { MOST_FAILURES, type ReplayContext, type ReplayEnd, run } from './run-replay.ts'
import { createTally, NO_PROGRESS, type Tally } from './progress.ts'

const REQUEST: Read = {
  kind: 'request',
  request: { method: 'GET', target: '/a', host: undefined, secure: undefined, client: undefined, fields: [] },
}
const READS: readonly Read[] = [
  REQUEST,
  REQUEST,
  { kind: 'skipped', reason: 'masked' },
  REQUEST,
  { kind: 'unreadable', why: 'x' },
]

function prepared(): Prepared {
  const copy = (origin: string): CopyRequest => ({
    ...{ origin, tls: undefined, servername: '', method: 'GET', path: '/a', fields: [], identityFields: [] },
  })
  return {
    ...{ context: { name: 'catalog' }, label: 'GET /a', head: { method: 'GET', path: '/a', query: '' } },
    shadow: { maxBodyBytes: 1, timeoutMs: 1, noise: { pairShare: 1, pairShareOpen: 1 } },
    ...{ legacy: copy('http://legacy'), service: copy('http://service') },
  } as unknown as Prepared
}

type Saying = (origin: string) => CopyResult

const ANSWER: CopyResult = {
  kind: 'answered',
  answer: { status: 200, headers: [], body: Buffer.from('a'), isTruncated: false },
  ms: 1,
}
const REFUSED: CopyResult = { kind: 'failed', reason: 'connect-refused' }

/** @param look called whenever something may be written down, or is asked */
async function replay(reads: readonly Read[], say: Saying, look: (tally: Tally) => void = () => {}) {
  const tally = createTally({ ...NO_PROGRESS, startedAt: 1 }, () => 7)
  const origins: string[] = []
  const stop = new AbortController()
  const pace = { turn: async () => look(tally) }
  const replaying: ReplayContext = {
    ...{ tally, concurrency: 2, keepCredentials: false, onShare: () => {}, prepare: prepared },
    recording: {
      entries: async function* (after) {
        for (const [i, read] of reads.entries()) if (i >= after) yield { at: i + 1, share: 1, read } satisfies Entry
      },
    },
    meaningOf: () => ({ rules: NO_RULES, redaction: DEFAULT_REDACTION }),
    asker: {
      ask: async ({ origin }) => {
        origins.push(origin.slice('http://'.length))
        look(tally)
        // Others go on meanwhile.
        for (let turns = 0; turns < 5; turns++) await Promise.resolve().then(() => look(tally))
        return say(origin)
      },
    },
    paces: { legacy: pace, service: pace },
    save: async () => look(tally),
    random: { hex: (bytes) => '0'.repeat(2 * bytes) },
  }
  const ended: ReplayEnd = await run(replaying, stop.signal)
  return { ended, tally, origins }
}

it('asks legacy, then the service, then legacy again', async () => {
  const { ended, origins, tally } = await replay([REQUEST], () => ANSWER)
  expect(ended).toEqual({ kind: 'finished' })
  expect(origins).toEqual(['legacy', 'service', 'legacy'])
  expect(tally.sum()).toMatchObject({ accounting: { eligible: 1, matched: 1 }, byRoute: [{ counts: { pairs: 1 } }] })
})

it.each<[string, Saying]>([
  ['all answer', () => ANSWER],
  ['the service does not', (origin) => (origin === 'http://service' ? REFUSED : ANSWER)],
  ['legacy does not', (origin) => (origin === 'http://legacy' ? REFUSED : ANSWER)],
])('has each request in one place at any time, where %s', async (_, say) => {
  let looks = 0
  const { tally } = await replay(READS, say, (now) => {
    looks++
    const { through, underWay, unreadable } = now.progress()
    expect(now.sum().accounting.eligible + underWay.length + unreadable.count + (through >= 3 ? 1 : 0)).toBe(through)
  })
  expect(looks).toBeGreaterThan(20)
  expect(tally.progress()).toMatchObject({ through: 5, underWay: [], skipped: { masked: 1 } })
})

it('writes down what it will ask before it asks', async () => {
  let isWritten = false
  await replay(
    [REQUEST],
    () => ANSWER,
    (tally) => {
      isWritten ||= tally.progress().underWay.length === 1
      expect(isWritten).toBe(true)
    },
  )
})

it('stops at so many failures of one side in a row, and not of what could not be sent', async () => {
  const many = Array<Read>(100).fill(REQUEST)
  const { ended, tally } = await replay(many, (origin) => (origin === 'http://service' ? REFUSED : ANSWER))
  expect(ended).toEqual({ kind: 'down', side: 'service', origin: 'http://service', reason: 'connect-refused' })
  expect(tally.through()).toBeLessThan(MOST_FAILURES + 3)
  let asked = 0
  const mostly: Saying = (origin) => (origin === 'http://service' && ++asked % MOST_FAILURES !== 0 ? REFUSED : ANSWER)
  expect((await replay(many, mostly)).ended.kind).toBe('finished')
  const odd = await replay(many, (origin) =>
    origin === 'http://service' ? { kind: 'failed', reason: 'internal' } : ANSWER,
  )
  expect(odd.ended.kind).toBe('finished')
})
