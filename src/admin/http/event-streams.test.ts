import type { Response } from 'express'
import { afterEach, describe, expect, onTestFinished, test, vi } from 'vitest'
import { connectRaw } from '../../../test/kit/raw.ts'
import { AUDIENCE, goodClaims, ISSUER, rsaPair, signed } from '../../../test/kit/tokens.ts'
import { until } from '../../../test/kit/until.ts'
import { manualClock } from '../../lib/manual-clock.test-kit.ts'
import type { FindKey } from '../access/verify-jwt.ts'
import { createTestControl, eventsOf, startTestAdmin, TOKEN } from '../admin.test-kit.ts'
import { EventStreams, MAX_STREAMS, MAX_STREAMS_PER_ADDRESS, MAX_STREAMS_PER_TOKEN } from './event-streams.ts'
import type { ApiRefusal } from './problem.ts'
import type { ApiServices } from './services.ts'

type ReceivedEvent = {
  readonly id: string
  readonly generation: number
  readonly changed: unknown
  readonly kill: unknown
}

/** An admin server, and functions that open its streams and change its state. */
async function streaming(more: Partial<ApiServices> = {}) {
  const admin = await startTestAdmin(more)
  const open = async (headers: Record<string, string> = {}) => {
    const gone = new AbortController()
    onTestFinished(() => gone.abort())
    const response = await fetch(`http://127.0.0.1:${admin.port}/api/v1/events`, {
      headers: { Authorization: `Bearer ${TOKEN}`, ...headers },
      signal: gone.signal,
    })
    const events = eventsOf(response.body as ReadableStream<Uint8Array>)
    const next = async (): Promise<ReceivedEvent | 'over'> => {
      const { done, value } = await events.next()
      return done ? 'over' : { id: value.id, ...JSON.parse(value.text) }
    }
    return { response, next, leave: () => gone.abort() }
  }
  const flip = (percentage: number, reason: string | null = null) =>
    admin.control.flip('catalog', percentage, { by: 'ann', address: null, reason })
  return { ...admin, open, flip }
}

afterEach(() => void vi.useRealTimers())

describe('a stream of changes', () => {
  test('begins with the current state, and continues with each change', async () => {
    const { open, flip, control } = await streaming()
    await flip(5)
    const { response, next } = await open()
    expect(response.headers.get('content-type')).toMatch(/^text\/event-stream/)
    expect(response.headers.get('cache-control')).toBe('no-store')
    expect(response.headers.get('x-accel-buffering')).toBe('no')
    expect(await next()).toMatchObject({ id: '1', generation: 1, changed: null, contexts: [{ name: 'catalog' }] })
    await flip(10, 'a try')
    expect(await next()).toMatchObject({
      id: '2',
      generation: 2,
      changed: { context: 'catalog', verb: 'flip', by: 'ann', reason: 'a try' },
      contexts: [{ flip: { percentage: 10 } }],
    })
    await control.kill({ by: 'ann', address: null, reason: 'on fire' })
    expect(await next()).toMatchObject({ id: '3', changed: null, kill: { by: 'ann' } })
  })

  test('contains the shadow percentage, or null without one', async () => {
    const { open, flip, control } = await streaming()
    await flip(5)
    const first = await open()
    expect(await first.next()).toMatchObject({ contexts: [{ name: 'catalog', shadow: null }] })
    await control.shadow('catalog', 10, { by: 'ann', address: null, reason: null })
    const event = { changed: { verb: 'shadow' }, contexts: [{ shadow: { percentage: 10, by: 'ann' } }] }
    expect(await first.next()).toMatchObject(event)
    const second = await open()
    expect(await second.next()).toMatchObject({ changed: null, contexts: event.contexts })
  })

  test.each([
    ['only newer changes, if the client has the current state', '1', 2],
    ['the current state, if the client is behind', '0', 1],
    ['the current state, if the client is ahead because the store was replaced', '99', 1],
    ['the current state, if the id is not valid', '-1; drop', 1],
  ])('begins with %s', async (_, seen, first) => {
    const { open, flip } = await streaming()
    await flip(5)
    const { next } = await open({ 'Last-Event-ID': seen })
    const event = next()
    await flip(10)
    expect(await event).toMatchObject({ generation: first })
  })

  test('contains no line ends of a reason', async () => {
    const { open, flip } = await streaming()
    await flip(5, 'over\n\nevent: change\ndata: {}\r\r\u2028')
    const { next } = await open()
    expect(await next()).toMatchObject({
      contexts: [{ flip: { reason: 'over\n\nevent: change\ndata: {}\r\r\u2028' } }],
    })
  })

  test('has a heartbeat, so that proxies do not close it', async () => {
    vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval'] })
    const { port } = await startTestAdmin()
    const client = await connectRaw(port)
    client.send(`GET /api/v1/events HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer ${TOKEN}\r\n\r\n`)
    await client.receives('event: change')
    vi.advanceTimersByTime(14_999)
    expect(client.received()).not.toContain('heartbeat')
    vi.advanceTimersByTime(1)
    await client.receives(': heartbeat\n\n')
    client.destroy()
  })

  test('leaves no timer after its last client has left', async () => {
    vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval'] })
    const { open } = await streaming()
    const timers = vi.getTimerCount()
    const { leave, next } = await open()
    await next()
    expect(vi.getTimerCount()).toBe(timers + 1)
    leave()
    await until(() => vi.getTimerCount() === timers)
  })

  test('ends with a complete response when the gateway stops', async () => {
    const { open, stop } = await streaming()
    const { next } = await open()
    await next()
    await stop()
    expect(await next()).toBe('over')
  })

  test('ends when its token expires', async () => {
    const clock = { now: () => performance.now(), wallTime: () => Date.now() }
    const { open } = await streaming({ clock, auth: signing(() => key()) })
    // Expiry has a tolerance of 30 s for the clock of the issuer.
    const claims = { role: 'viewer', exp: Date.now() / 1000 - 29.7 }
    const { next, response } = await open({ Authorization: `Bearer ${tokenWith(claims)}` })
    expect(response.status).toBe(200)
    expect(await next()).toMatchObject({ generation: 0 })
    expect(await next()).toBe('over')
  })

  // The attack: a client stops reading, so that unsent changes fill the memory.
  test('breaks off if its client is too far behind', async () => {
    const { port, flip, open } = await streaming()
    const client = await connectRaw(port)
    client.send(`GET /api/v1/events HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer ${TOKEN}\r\n\r\n`)
    await client.receives('event: change')
    client.socket.pause()
    const { next } = await open()
    await next()
    // More than the buffers of a socket can hold.
    for (let i = 0; i < 1500; i++) {
      await flip(i % 100, '☃'.repeat(3_000))
      await next()
    }
    client.socket.resume()
    const text = await client.closes()
    expect(text).not.toContain('id: 1500\n')
    expect(text.endsWith('0\r\n\r\n')).toBe(false)
  })

  test.each([
    [256 * 1024, true],
    [256 * 1024 + 1, false],
  ])('with %d waiting bytes continues: %s', async (writableLength, goesOn) => {
    const { response, sent, isCut } = fakeResponse({ writableLength })
    const control = createTestControl(manualClock())
    const streams = new EventStreams(control, () => 0)
    await (streams.open(ANN) as Stream).pour(response)
    expect(sent().length > 0).toBe(goesOn)
    expect(isCut()).toBe(!goesOn)
  })
})

test('a change during the start of a stream is not followed by the older state', async () => {
  const control = createTestControl(manualClock())
  const status = await control.status()
  const pendingStatus = Promise.withResolvers<typeof status>()
  const streams = new EventStreams({ ...control, status: () => pendingStatus.promise }, () => 0)
  const { response, sent } = fakeResponse()
  const begun = (streams.open(ANN) as Stream).pour(response)
  await control.flip('catalog', 5, { by: 'ann', address: null, reason: null })
  pendingStatus.resolve(status)
  await begun
  expect(sent().match(/^id: .*$/gm)).toEqual(['id: 1'])
})

describe('the number of streams', () => {
  test(`is limited to ${MAX_STREAMS_PER_TOKEN} of one token; another token can open more`, async () => {
    const { open, tokens } = await streamingWithTokens()
    const streams = await Promise.all(Array.from({ length: MAX_STREAMS_PER_TOKEN }, () => open(tokens.ann)))
    expect(streams.map(({ response }) => response.status)).toEqual(Array(MAX_STREAMS_PER_TOKEN).fill(200))
    const refused = await open(tokens.ann)
    expect(refused.response.status).toBe(503)
    expect(refused.response.headers.get('retry-after')).toBe('10')
    expect(await refused.response.json()).toMatchObject({ code: 'too-many-streams' })
    expect((await open(tokens.bob)).response.status).toBe(200)
    streams[0]?.leave()
    await until(async () => (await open(tokens.ann)).response.status === 200)
  })

  test(`is limited to ${MAX_STREAMS_PER_ADDRESS} of one address; another address can open more`, async () => {
    const streams = new EventStreams(createTestControl(manualClock()), () => 0)
    const open = (name: string, address: string) => openOne(streams, { ...ANN, name, address })
    for (let i = 0; i < MAX_STREAMS_PER_ADDRESS; i++) await open(`person ${i}`, `2001:db8::${i}`)
    expect(streams.size).toBe(MAX_STREAMS_PER_ADDRESS)
    expect(await open('one more', '2001:db8::ffff')).toMatchObject({ code: 'too-many-streams' })
    await open('one more', '2001:db8:0:1::1')
    expect(streams.size).toBe(MAX_STREAMS_PER_ADDRESS + 1)
  })

  test(`is limited to ${MAX_STREAMS} in total`, async () => {
    const streams = new EventStreams(createTestControl(manualClock()), () => 0)
    const open = (i: number) => openOne(streams, { ...ANN, name: `person ${i}`, address: `10.0.0.${i}` })
    for (let i = 0; i < MAX_STREAMS; i++) await open(i)
    expect(streams.size).toBe(MAX_STREAMS)
    expect(await open(MAX_STREAMS)).toMatchObject({ code: 'too-many-streams' })
  })

  // The attack: many requests wait while the keys are read, and are authorized at the same moment.
  test('is limited for requests that are authorized at the same moment', async () => {
    const streams = new EventStreams(createTestControl(manualClock()), () => 0)
    const opened = Array.from({ length: MAX_STREAMS_PER_TOKEN + 20 }, () => streams.open(ANN))
    const responses = opened.map(() => fakeResponse())
    await Promise.all(opened.map((stream, i) => (stream as Stream).pour(responses[i]?.response as Response)))
    expect(streams.size).toBe(MAX_STREAMS_PER_TOKEN)
    expect(responses.filter(({ hasEnded }) => hasEnded())).toHaveLength(20)
  })

  test('does not include clients that left before they were authorized', async () => {
    const keys = Promise.withResolvers<Awaited<ReturnType<FindKey>>>()
    const clock = { now: () => performance.now(), wallTime: () => Date.now() }
    let lookups = 0
    const findKey = () => {
      lookups++
      return keys.promise
    }
    const { open, port } = await streaming({ clock, auth: signing(findKey) })
    const Authorization = `Bearer ${tokenWith({ role: 'viewer' })}`
    const clients = await Promise.all(Array.from({ length: MAX_STREAMS }, () => connectRaw(port)))
    for (const client of clients) {
      client.send(`GET /api/v1/events HTTP/1.1\r\nHost: localhost\r\nAuthorization: ${Authorization}\r\n\r\n`)
    }
    await until(() => lookups > 0)
    for (const client of clients) client.destroy()
    await Promise.all(clients.map((client) => client.closes()))
    // The server handles the closed connections before this request.
    await fetch(`http://127.0.0.1:${port}/livez`)
    keys.resolve(key())
    expect((await open({ Authorization })).response.status).toBe(200)
  })
})

const ANN = { lastId: undefined, until: undefined, name: 'ann', address: '127.0.0.1' } as const

/** Opens a stream. @returns the refusal above a limit */
async function openOne(
  streams: EventStreams,
  options: Parameters<EventStreams['open']>[0],
): Promise<ApiRefusal | undefined> {
  const opened = streams.open(options)
  if (!('pour' in opened)) return opened
  await opened.pour(fakeResponse().response)
  return undefined
}

async function streamingWithTokens() {
  const clock = { now: () => performance.now(), wallTime: () => Date.now() }
  const { open, ...rest } = await streaming({ clock, auth: signing(() => key()) })
  const headersOf = (sub: string) => ({ Authorization: `Bearer ${tokenWith({ role: 'viewer', sub })}` })
  return { ...rest, open, tokens: { ann: headersOf('ann'), bob: headersOf('bob') } }
}

const PAIR = rsaPair()
const key = () => ({ key: PAIR.publicKey, alg: undefined })

function signing(findKey: FindKey): ApiServices['auth'] {
  const jwks = { kind: 'jwks', uri: `${ISSUER}keys` } as const
  const jwt = { issuer: ISSUER, audience: AUDIENCE, algorithms: ['RS256'], key: jwks, roleClaim: 'role' } as const
  return { stateDir: '/nowhere', token: undefined, jwt, findKey }
}

function tokenWith(claims: Readonly<Record<string, unknown>>): string {
  return signed('RS256', PAIR.privateKey, { payload: goodClaims(claims) })
}

type Stream = Exclude<ReturnType<EventStreams['open']>, ApiRefusal>

function fakeResponse({ writableLength = 0 } = {}) {
  let [text, isCut, hasEnded] = ['', false, false]
  const response = {
    writableLength,
    writableEnded: false,
    destroyed: false,
    once: () => {},
    write: (more: string) => {
      text += more
    },
    end: () => {
      hasEnded = true
    },
    destroy: () => {
      isCut = true
    },
  }
  return {
    response: response as unknown as Response,
    sent: () => text,
    isCut: () => isCut,
    hasEnded: () => hasEnded,
  }
}
