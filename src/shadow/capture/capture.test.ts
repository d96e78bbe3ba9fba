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
  const request = {
    context: 'catalog',
    route: 'GET /products/:id',
    policy: policyOf(policy),
    answeredBy: 'legacy',
  } as const
  const capture = new Capture({ ...request, head: headOf(head) }, budget, () => {})
  return { capture, budget, say: (text: string) => capture.onBody(Buffer.from(text), 0, Buffer.byteLength(text)) }
}
type Options = { most?: number; head?: Partial<RequestHead>; policy?: Partial<ShadowPolicy> }

describe('the capture of a response', () => {
  test('keeps the bytes, although the buffers are reused', () => {
    const { capture } = start()
    capture.onHead(200, JSON_TYPE)
    const lent = Buffer.from('..\xff\x00abc..', 'latin1')
    capture.onBody(lent, 2, 7)
    lent.fill(0)
    expect(Buffer.from(capture.body, 'latin1')).toEqual(Buffer.from('\xff\x00abc', 'latin1'))
    expect(capture).toMatchObject({ status: 200, headers: JSON_TYPE, isTruncated: false, isStream: false })
  })

  test('keeps a body of the limit whole, and nothing of a body that is one byte longer', () => {
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

  test('keeps nothing of a response whose Content-Length is above the limit', () => {
    const { capture, budget, say } = start()
    capture.onHead(200, [...JSON_TYPE, 'content-length', '1001'])
    say('x')
    expect(capture).toMatchObject({ isTruncated: true, body: '' })
    expect(budget.usedBytes).toBe(0)
  })

  test.each([
    ['HEAD', 200],
    ['GET', 304],
  ])('ignores the Content-Length of a response without a body: %s with %i', (method, status) => {
    const { capture } = start({ head: { method } })
    capture.onHead(status, ['Content-Length', '1001'])
    expect(capture.isTruncated).toBe(false)
  })

  test.each(['text/event-stream', 'multipart/x-mixed-replace; boundary=a', 'application/grpc'])(
    'keeps nothing of %s, which has no end',
    (type) => {
      const { capture, budget, say } = start()
      capture.onHead(200, ['Content-Type', type])
      say('data: 1\n\n')
      expect(capture).toMatchObject({ isStream: true, body: '' })
      expect(budget.usedBytes).toBe(0)
    },
  )
})

describe('the capture of a request', () => {
  test('keeps no body of a safe method', () => {
    expect(start().capture.requestBody).toBeUndefined()
    expect(start({ head: { method: 'DELETE' } }).capture.requestBody).toBe('')
  })

  test('sheds a request above the limit and releases all bytes', () => {
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
    [
      'of a length that has not arrived completely',
      { method: 'POST', body: { kind: 'length', bytes: 5 } },
      4,
      false,
      false,
    ],
    ['in chunks', POST, 5, true, true],
    ['in chunks without an end', POST, 5, false, false],
  ])('knows whether the request is complete: %s', (_, head, bytes, hasEnded, expected) => {
    const { capture } = start({ head })
    if (bytes > 0) capture.onRequestBody(Buffer.alloc(bytes))
    if (hasEnded) capture.onRequestEnd()
    expect(capture.isRequestComplete).toBe(expected)
  })
})

describe('the byte budget of captures', () => {
  test('sheds a capture when it is used up, and gets its bytes back', () => {
    const { capture, budget, say } = start({ most: 300 })
    capture.onHead(200, JSON_TYPE)
    say('x'.repeat(100))
    say('x'.repeat(100))
    expect(capture).toMatchObject({ shedReason: 'bytes', body: '' })
    expect(budget.usedBytes).toBe(0)
  })

  test('counts the overhead of each piece', () => {
    const { capture, budget, say } = start()
    capture.onHead(200, JSON_TYPE)
    for (let i = 0; i < 100; i++) say('x')
    expect(budget.usedBytes).toBeGreaterThan(100 * 32)
  })

  test('gets all bytes back exactly once, in any order of events', () => {
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
