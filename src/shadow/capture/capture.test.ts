import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { RequestHead } from '../../model/request-head.ts'
import type { ShadowPolicy } from '../../model/shadow-policy.ts'
import { headOf, policyOf } from '../request-heads.test-kit.ts'
import { ByteBudget } from './byte-budget.ts'
import { Capture } from './capture.ts'

const JSON_TYPE = ['Content-Type', 'application/json']
const POST: Partial<RequestHead> = { method: 'POST', body: { kind: 'chunked' } }

function start({ most = 1_000_000, head = {}, policy = {} }: Options = {}) {
  const budget = new ByteBudget(() => most)
  const its = {
    context: 'catalog',
    route: 'GET /products/:id',
    policy: policyOf(policy),
    answeredBy: 'legacy',
  } as const
  const capture = new Capture({ ...its, head: headOf(head) }, budget, () => {})
  return { capture, budget, say: (text: string) => capture.onBody(Buffer.from(text), 0, Buffer.byteLength(text)) }
}
type Options = { most?: number; head?: Partial<RequestHead>; policy?: Partial<ShadowPolicy> }

describe('an answer', () => {
  test('is kept as it came, byte for byte, out of buffers that are lent', () => {
    const { capture } = start()
    capture.onHead(200, JSON_TYPE)
    const lent = Buffer.from('..\xff\x00abc..', 'latin1')
    capture.onBody(lent, 2, 7)
    lent.fill(0)
    expect(Buffer.from(capture.body, 'latin1')).toEqual(Buffer.from('\xff\x00abc', 'latin1'))
    expect(capture).toMatchObject({ status: 200, headers: JSON_TYPE, isTruncated: false, isStream: false })
  })

  test('of as many bytes as are kept is whole; with one more nothing of it is', () => {
    const { capture, budget, say } = start()
    capture.onHead(200, JSON_TYPE)
    say('x'.repeat(999))
    say('y')
    expect(capture).toMatchObject({ isTruncated: false, body: `${'x'.repeat(999)}y` })
    say('z')
    expect(capture).toMatchObject({ isTruncated: true, body: '', shedReason: undefined })
    expect(budget.usedBytes).toBe(0)
    say('more')
    expect(capture.body).toBe('')
  })

  test('that says it is longer is not kept at all', () => {
    const { capture, budget, say } = start()
    capture.onHead(200, [...JSON_TYPE, 'content-length', '1001'])
    say('x')
    expect(capture).toMatchObject({ isTruncated: true, body: '' })
    expect(budget.usedBytes).toBe(0)
  })

  test.each([
    ['HEAD', 200],
    ['GET', 304],
  ])('to %s with %i has no body, however long the one is that it speaks of', (method, status) => {
    const { capture } = start({ head: { method } })
    capture.onHead(status, ['Content-Length', '1001'])
    expect(capture.isTruncated).toBe(false)
  })

  test.each(['text/event-stream', 'multipart/x-mixed-replace; boundary=a', 'application/grpc'])(
    'of %s has no end: nothing of it is kept',
    (type) => {
      const { capture, budget, say } = start()
      capture.onHead(200, ['Content-Type', type])
      say('data: 1\n\n')
      expect(capture).toMatchObject({ isStream: true, body: '' })
      expect(budget.usedBytes).toBe(0)
    },
  )
})

describe('a request', () => {
  test('that is safe has no body to be kept', () => {
    expect(start().capture.requestBody).toBeUndefined()
    expect(start({ head: { method: 'DELETE' } }).capture.requestBody).toBe('')
  })

  test('that is larger than is copied is shed, and all that is held is free', () => {
    const { capture, budget, say } = start({ head: POST })
    capture.onRequestBody(Buffer.alloc(1000))
    expect(capture.shedReason).toBeUndefined()
    capture.onRequestBody(Buffer.alloc(1))
    expect(capture).toMatchObject({ shedReason: 'request-too-large', requestBody: undefined })
    capture.onHead(200, JSON_TYPE)
    say('x')
    expect(capture.body).toBe('')
    expect(budget.usedBytes).toBe(0)
  })

  test.each<[string, Partial<RequestHead>, number, boolean, boolean]>([
    ['without a body', { method: 'POST' }, 0, false, true],
    ['of no bytes', { method: 'POST', body: { kind: 'length', bytes: 0 } }, 0, false, true],
    ['of a length', { method: 'POST', body: { kind: 'length', bytes: 5 } }, 5, false, true],
    ['of a length that has not all come', { method: 'POST', body: { kind: 'length', bytes: 5 } }, 4, false, false],
    ['in chunks', POST, 5, true, true],
    ['in chunks without an end', POST, 5, false, false],
  ])('%s: whether it is whole', (_, head, bytes, hasEnded, expected) => {
    const { capture } = start({ head })
    if (bytes > 0) capture.onRequestBody(Buffer.alloc(bytes))
    if (hasEnded) capture.onRequestEnd()
    expect(capture.isRequestComplete).toBe(expected)
  })
})

describe('the budget', () => {
  test('that is used up sheds, and what was held until then is free', () => {
    const { capture, budget, say } = start({ most: 300 })
    capture.onHead(200, JSON_TYPE)
    say('x'.repeat(100))
    say('x'.repeat(100))
    expect(capture).toMatchObject({ shedReason: 'bytes', body: '' })
    expect(budget.usedBytes).toBe(0)
  })

  test('counts what a byte costs that comes alone', () => {
    const { capture, budget, say } = start()
    capture.onHead(200, JSON_TYPE)
    for (let i = 0; i < 100; i++) say('x')
    expect(budget.usedBytes).toBeGreaterThan(100 * 32)
  })

  test('is given back exactly, in whatever order things come, and once', () => {
    const step = fc.oneof(
      fc.record({ kind: fc.constant('request' as const), bytes: fc.integer({ min: 1, max: 700 }) }),
      fc.record({ kind: fc.constant('body' as const), bytes: fc.integer({ min: 1, max: 700 }) }),
      fc.record({ kind: fc.constant('head' as const), bytes: fc.integer({ min: 0, max: 1500 }) }),
    )
    fc.assert(
      fc.property(fc.array(step, { maxLength: 12 }), fc.integer({ min: 0, max: 2500 }), (steps, most) => {
        const { capture, budget } = start({ most, head: POST })
        for (const { kind, bytes } of steps) {
          if (kind === 'request') capture.onRequestBody(Buffer.alloc(bytes))
          else if (kind === 'body') capture.onBody(Buffer.alloc(bytes), 0, bytes)
          else capture.onHead(200, ['Content-Length', String(bytes)])
          expect(budget.usedBytes).toBe(capture.heldBytes)
          expect(budget.usedBytes).toBeGreaterThanOrEqual(capture.body.length + (capture.requestBody?.length ?? 0))
        }
        capture.release()
        expect(budget.usedBytes).toBe(0)
        capture.release()
        expect(budget.usedBytes).toBe(0)
      }),
    )
  })
})
