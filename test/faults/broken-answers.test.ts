// An upstream that fails in the middle of its response: the client notices that the response is incomplete (F9).
import { describe, expect, it } from 'vitest'
import { expectCalm } from '../kit/calm.ts'
import { startGateway } from '../kit/gateway.ts'
import { startRawOrigin } from '../kit/origin.ts'
import { connectRaw } from '../kit/raw.ts'
import { shop, TO_SERVICE } from '../kit/shop.ts'
import { until } from '../kit/until.ts'

const ANSWERS = {
  'by its length': 'HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf of it',
  'by chunks': 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhalf \r\n5\r\nof it\r\n',
  'by chunks and interrupted within a chunk': 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nff\r\nhalf of it',
} as const
const DEATHS = ['reset', 'closed'] as const

const CASES = Object.entries(ANSWERS).flatMap(([name, answer]) => DEATHS.map((death) => [name, death, answer] as const))

describe('a response delimited', () => {
  it.each(CASES)(
    '%s that is %s halfway is cut for the client, not ended, and its request is not repeated',
    async (_name, death, answer) => {
      const legacy = await startRawOrigin()
      const service = await startRawOrigin((socket) => {
        // The delay lets the bytes arrive before the end: a reset would overtake them.
        socket.write(answer, () => setTimeout(() => (death === 'reset' ? socket.resetAndDestroy() : socket.end()), 30))
      })
      const gateway = await startGateway(shop({ legacy: legacy.url, service: service.url }), TO_SERVICE)
      const client = await connectRaw(gateway.port)
      client.send('GET /products HTTP/1.1\r\nHost: a\r\n\r\n')
      const received = await client.closes()
      expect(received).toMatch(/^HTTP\/1\.1 200 OK\r\n/)
      expect(received).toContain('half')
      expect(received).not.toMatch(/\r\n0\r\n\r\n$/)
      expect(service.requests()).toBe(1)
      expect(legacy.requests()).toBe(0)
      expect(await gateway.accessLine(() => true)).toMatchObject({
        failure: 'response-broken',
        status: 200,
        attempts: 1,
      })
      const failures = 'strangler_failures_total{context="catalog",side="service",failure="response-broken"}'
      expect(await gateway.metric(failures)).toBe(1)
      await expectCalm(gateway)
    },
  )

  it('by chunks is cut by a reset for an HTTP/1.0 client, which would take a close for the end', async () => {
    const origin = await startRawOrigin((socket) => {
      socket.write(ANSWERS['by chunks'], () => setTimeout(() => socket.resetAndDestroy(), 30))
    })
    const gateway = await startGateway({ legacy: { url: origin.url } })
    const client = await connectRaw(gateway.port)
    let error: string | undefined
    client.socket.on('error', ({ code }: NodeJS.ErrnoException) => {
      error = code
    })
    client.send('GET / HTTP/1.0\r\nHost: a\r\n\r\n')
    await client.closes()
    expect(error).toBe('ECONNRESET')
    await until(async () => (await gateway.metric('strangler_requests_in_flight')) === 0)
  })
})
