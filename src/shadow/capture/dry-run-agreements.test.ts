import { describe, expect, test } from 'vitest'
import type { CopyRequest } from '../../model/shadow.ts'
import { copyOf } from '../request-heads.test-kit.ts'
import type { CopyResult } from '../worker/copy-client.ts'
import { DryRunAgreements } from './dry-run-agreements.ts'

const MINUTE = 60_000
type Says = { status: number; headers: string[] } | 'nothing'
const YES: Says = { status: 204, headers: ['X-Shadow-Accepted', 'dry-run'] }
const NO: Says = { status: 404, headers: [] }

function start(first: Says = YES) {
  let now = 1000
  const says: { now: Says } = { now: first }
  const handshakes: { request: CopyRequest; fields: readonly string[]; body: unknown }[] = []
  const waiting: (() => void)[] = []
  const isHeld = { now: false }
  const dryRuns = new DryRunAgreements({
    client: {
      send: async (request, fields, body): Promise<CopyResult> => {
        handshakes.push({ request, fields, body })
        const answer = says.now
        if (isHeld.now) await new Promise<void>((resolve) => waiting.push(resolve))
        if (answer === 'nothing') return { kind: 'failed', reason: 'response-timeout' }
        return { kind: 'answered', answer: { ...answer, body: Buffer.alloc(0), isTruncated: false }, ms: 1 }
      },
    },
    now: () => now,
  })
  return {
    ...{ asked: handshakes, says, isHeld, waiting, dryRuns },
    pass: (ms: number) => {
      now += ms
    },
    isAgreed: async (copy: CopyRequest = copyOf({ method: 'POST' })) => (await dryRuns.agreement(copy)) !== undefined,
  }
}

test('the handshake goes to the address of the copy and contains nothing of the request', async () => {
  const { asked: handshakes, isAgreed } = start()
  const fields = ['Host', 'shop.example', 'Cookie', 'sid=1', 'Authorization', 'Bearer a']
  expect(await isAgreed(copyOf({ method: 'DELETE', path: '/products/1?token=a', fields }))).toBe(true)
  expect(handshakes).toMatchObject([
    {
      request: { origin: 'http://127.0.0.1:1', method: 'OPTIONS', path: '/.well-known/shadow' },
      fields: ['Host', 'shop.example', 'X-Shadow', 'handshake'],
      body: undefined,
    },
  ])
})

test.each<[string, Says]>([
  ['nothing at all', 'nothing'],
  ['a 404', NO],
  ['an error, with the word', { status: 500, headers: ['X-Shadow-Accepted', 'dry-run'] }],
  ['elsewhere, with the word', { status: 302, headers: ['X-Shadow-Accepted', 'dry-run'] }],
  ['a 2xx without the word', { status: 200, headers: [] }],
  ['a 2xx with another word', { status: 200, headers: ['X-Shadow-Accepted', 'handshake'] }],
  ['what it was asked', { status: 200, headers: ['X-Shadow', 'dry-run'] }],
])('%s is not an agreement', async (_, says) => {
  expect(await start(says).isAgreed()).toBe(false)
})

test('an agreement is valid for a minute', async () => {
  const { asked: handshakes, says, pass, isAgreed } = start()
  expect(await isAgreed()).toBe(true)
  says.now = NO
  pass(MINUTE - 1)
  expect(await isAgreed()).toBe(true)
  expect(handshakes).toHaveLength(1)
  pass(1)
  expect(await isAgreed()).toBe(false)
  expect(handshakes).toHaveLength(2)
})

test('a service that refused is asked again after half a minute', async () => {
  const { asked: handshakes, says, pass, isAgreed } = start(NO)
  expect(await isAgreed()).toBe(false)
  says.now = YES
  pass(MINUTE / 2 - 1)
  expect(await isAgreed()).toBe(false)
  expect(handshakes).toHaveLength(1)
  pass(1)
  expect(await isAgreed()).toBe(true)
  expect(handshakes).toHaveLength(2)
})

test('a hundred copies that wait for one answer share one handshake', async () => {
  const { asked: handshakes, isHeld, waiting, isAgreed } = start()
  isHeld.now = true
  const copies = Array.from({ length: 100 }, () => isAgreed())
  expect(handshakes).toHaveLength(1)
  for (const go of waiting) go()
  expect(new Set(await Promise.all(copies))).toEqual(new Set([true]))
})

describe('a withdrawn agreement', () => {
  test('ends for all copies under way, and the next handshake comes after half a minute', async () => {
    const { asked: handshakes, pass, dryRuns, isAgreed } = start()
    const copy = copyOf()
    const [first, other] = [await dryRuns.agreement(copy), await dryRuns.agreement(copy)]
    expect([first?.aborted, other?.aborted]).toEqual([false, false])
    dryRuns.withdraw(copy)
    expect([first?.aborted, other?.aborted]).toEqual([true, true])
    pass(MINUTE / 2 - 1)
    expect(await isAgreed()).toBe(false)
    expect(handshakes).toHaveLength(1)
    pass(1)
    expect(await isAgreed()).toBe(true)
  })

  test('also ends copies that were sent before its last renewal', async () => {
    const { pass, dryRuns } = start()
    const agreement = await dryRuns.agreement(copyOf())
    pass(MINUTE)
    const renewed = await dryRuns.agreement(copyOf())
    dryRuns.withdraw(copyOf())
    expect([agreement?.aborted, renewed?.aborted]).toEqual([true, true])
  })

  test('stays withdrawn if the handshake that was under way succeeds', async () => {
    const { isHeld, waiting, dryRuns, isAgreed } = start()
    isHeld.now = true
    const asking = isAgreed()
    dryRuns.withdraw(copyOf())
    for (const go of waiting) go()
    expect(await asking).toBe(false)
    expect(await isAgreed()).toBe(false)
  })

  test('ends copies under way if the service refuses its renewal', async () => {
    const { pass, says, dryRuns } = start()
    const agreement = await dryRuns.agreement(copyOf())
    says.now = NO
    pass(MINUTE)
    expect(await dryRuns.agreement(copyOf())).toBeUndefined()
    expect(agreement?.aborted).toBe(true)
  })
})

test('each service behind one address agrees for itself', async () => {
  const { asked: handshakes, says, isAgreed } = start()
  expect(await isAgreed(copyOf())).toBe(true)
  says.now = NO
  expect(await isAgreed(copyOf({ fields: ['host', 'orders.example'] }))).toBe(false)
  expect(await isAgreed(copyOf({ origin: 'http://127.0.0.1:2' }))).toBe(false)
  expect(await isAgreed(copyOf({ servername: 'orders.example' }))).toBe(false)
  expect(handshakes).toHaveLength(4)
})

test('host names that clients invent are evicted, the oldest first', async () => {
  const { asked: handshakes, isAgreed } = start()
  for (let i = 0; i < 1001; i++) await isAgreed(copyOf({ fields: ['Host', `h${i}`] }))
  await isAgreed(copyOf({ fields: ['Host', 'h1000'] }))
  expect(handshakes).toHaveLength(1001)
  await isAgreed(copyOf({ fields: ['Host', 'h0'] }))
  expect(handshakes).toHaveLength(1002)
})
