// Too much of everything: refused by size, early, cheaply, and never with a 5xx.
import { describe, expect, it } from 'vitest'
import { sharedByFile } from '../kit/lifetime.ts'
import { OK } from '../kit/origin.ts'
import { connectRaw, exchange } from '../kit/raw.ts'
import { until } from '../kit/until.ts'
import { expectRefused, knock, request, startTarget } from './attack.ts'

const target = sharedByFile(() => startTarget())
const lines = (count: number, line: (i: number) => string) => Array.from({ length: count }, (_, i) => line(i))

describe('B31 a head with', () => {
  it.each<[string, string, number[]]>([
    ['a URL of 20 KB', request(`GET /${'a'.repeat(20_000)}`), [414]],
    ['a URL of 8,193 bytes', request(`GET /${'a'.repeat(8192)}`), [414]],
    ['a query of 20 KB', request(`GET /?${'a'.repeat(20_000)}`), [414]],
    ['a URL of 1 MB', request(`GET /${'a'.repeat(1_000_000)}`), [414, 431]],
    ['a header of 70 KB', request('GET /', [`X: ${'a'.repeat(70_000)}`]), [431]],
    ['a header of 17 KB after a short URL', request('GET /', [`X: ${'a'.repeat(17_000)}`]), [431]],
    [
      '17 KB in a hundred lines',
      request(
        'GET /',
        lines(90, () => `X: ${'a'.repeat(190)}`),
      ),
      [431],
    ],
    [
      '1,000 header lines',
      request(
        'GET /',
        lines(1000, (i) => `X${i}: y`),
      ),
      [431],
    ],
    [
      '101 header lines',
      request(
        'GET /',
        lines(100, (i) => `X${i}: y`),
      ),
      [431],
    ],
    ['5,000 cookies in one line', request('GET /', [`Cookie: ${lines(5000, (i) => `c${i}=1`).join('; ')}`]), [431]],
    [
      '5,000 cookies in 5,000 lines',
      request(
        'GET /',
        lines(5000, (i) => `Cookie: c${i}=1`),
      ),
      [431],
    ],
    ['a header name of 20 KB', request('GET /', [`${'X'.repeat(20_000)}: y`]), [431]],
    ['a method of 100 KB', request(`${'A'.repeat(100_000)} /`), [400]],
    ['a method of 100 KB that begins with GET', request(`GET${'T'.repeat(100_000)} /`), [400]],
    ['an endless header line', `GET / HTTP/1.1\r\nHost: a\r\nX: ${'a'.repeat(100_000)}`, [431]],
  ])('%s is refused', async (_, bytes, statuses) => {
    const startedAt = performance.now()
    await expectRefused(target(), bytes, statuses)
    // Ten milliseconds are required of a quiet machine; no refusal waits for anything on any machine.
    expect(performance.now() - startedAt).toBeLessThan(1500)
  })

  it.each<[string, string]>([
    ['a URL of 8,192 bytes', request(`GET /${'a'.repeat(8191)}`)],
    ['a header of 15 KB', request('GET /', [`X: ${'a'.repeat(15_000)}`])],
    [
      '100 header lines',
      request(
        'GET /',
        lines(99, (i) => `X${i}: y`),
      ),
    ],
  ])('%s is accepted', async (_, bytes) => {
    const { response, heads } = await target().attack(bytes)
    expect(response.status).toBe(200)
    expect(heads).toHaveLength(1)
  })

  it('endless trailers after its body is cut off', async () => {
    const client = await connectRaw(target().gateway.port)
    client.send(request('POST /', ['Transfer-Encoding: chunked'], `2\r\nhi\r\n0\r\n${'X: y\r\n'.repeat(20_000)}`))
    expect(await client.closes()).not.toContain(' 200 ')
    await knock(target().gateway)
  })
})

describe('B32 a body', () => {
  /** An origin that answers no chunked request before its end. */
  const limited = sharedByFile(() =>
    startTarget({
      script: (socket, seen) => {
        if (!seen.includes('/chunks')) socket.write(OK)
      },
      config: { limits: { bodyBytes: 10 } },
    }),
  )

  it('with a Content-Length above the limit is refused before a byte is forwarded', async () => {
    const client = await connectRaw(limited().gateway.port)
    const earlier = limited().origin.requests()
    client.send(request('POST /', ['Content-Length: 11']))
    const answer = await client.receives('\r\n\r\n')
    expect(answer).toMatch(/^HTTP\/1\.1 413 /)
    expect(answer).toContain('\r\nConnection: close\r\n')
    await client.closes()
    expect(limited().origin.requests()).toBe(earlier)
  })

  it('with chunks above the limit is refused at the limit, and the origin never receives its end', async () => {
    const chunk = '8\r\n12345678\r\n'
    const client = await connectRaw(limited().gateway.port)
    const earlier = limited().origin.connections.length
    client.send(request('POST /chunks', ['Transfer-Encoding: chunked'], chunk + chunk))
    const answer = await client.receives('\r\n\r\n')
    expect(answer).toMatch(/^HTTP\/1\.1 413 /)
    expect(answer).toContain('\r\nConnection: close\r\n')
    await client.closes()
    await knock(limited().gateway)
    for (const { bytes } of limited().origin.connections.slice(earlier))
      expect(bytes.toString()).not.toContain('\r\n0\r\n')
  })

  it('of exactly the limit is accepted', async () => {
    const whole = request('POST /', ['Content-Length: 10', 'Connection: close'], '0123456789')
    expect((await exchange(limited().gateway.port, whole)).status).toBe(200)
  })

  it('of 10 GB whose client disconnects closes the connection to the origin', async () => {
    const patient = await startTarget({
      script: (socket, seen) =>
        void (seen.includes('/knock') && socket.write('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok')),
    })
    const client = await connectRaw(patient.gateway.port)
    client.send(request('POST /big', ['Content-Length: 10737418240'], 'x'.repeat(1000)))
    await until(() => patient.origin.connections.some(({ bytes }) => bytes.includes('xxx')))
    client.destroy()
    await until(() => patient.origin.connections[0]?.isClosed === true)
    await knock(patient.gateway)
    expect(patient.origin.heads().filter((head) => head.includes('/big'))).toHaveLength(1)
  })
})
