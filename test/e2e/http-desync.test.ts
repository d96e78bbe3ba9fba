// An origin that sends extra bytes, too few bytes or an invalid response: the client gets 502 or a truncated response, the upstream
// connection is closed, and the next client gets its own response.
import { describe, expect, it } from 'vitest'
import { startGateway } from '../kit/gateway.ts'
import { connectRaw, exchange } from '../kit/raw.ts'
import { type Answer, startScriptedOrigin } from '../kit/scripted.ts'
import { until } from '../kit/until.ts'

const FOREIGN = 'HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\nforeign'
const OK = 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok'

/** One upstream connection, so that leftover bytes on it would be read as the next response. */
async function startPair(answer: Answer) {
  const origin = await startScriptedOrigin({ '/bad': answer, '/next': OK })
  const gateway = await startGateway({ legacy: { url: origin.url, connections: 1 } })
  const ask = (path: string, method = 'GET') => exchange(gateway.port, `${method} ${path} HTTP/1.1\r\nHost: a\r\n\r\n`)
  const expectNextIsClean = async () => {
    for (let i = 0; i < 4; i++) expect(await ask('/next')).toMatchObject({ status: 200, body: 'ok' })
  }
  return { origin, gateway, ask, expectNextIsClean }
}

describe('extra bytes after a response', () => {
  it.each([
    ['a second response in the same packet', `${OK}${FOREIGN}`],
    ['garbage', `${OK}garbage`],
    ['a line break', `${OK}\r\n`],
    ['a response behind 204', `HTTP/1.1 204 No Content\r\n\r\n${FOREIGN}`],
    ['a body behind 204', 'HTTP/1.1 204 No Content\r\nContent-Length: 7\r\n\r\nforeign'],
    ['a body behind 304', 'HTTP/1.1 304 Not Modified\r\nContent-Length: 7\r\n\r\nforeign'],
    [
      'a response after the last chunk',
      `HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n${FOREIGN}`,
    ],
  ])('never reach another client: %s', async (_what, bytes) => {
    const { origin, gateway, expectNextIsClean } = await startPair(bytes)
    const client = await connectRaw(gateway.port)
    client.send('GET /bad HTTP/1.1\r\nHost: a\r\n\r\n')
    expect(await client.receives('\r\n\r\n')).toMatch(/^HTTP\/1\.1 (?:200|204|304) /)
    client.destroy()
    await expectNextIsClean()
    expect(bytes === `${OK}\r\n` || origin.connections[0]?.isClosed).toBe(true)
  })

  it('never reach another client if they arrive while the connection is idle', async () => {
    let sendMore = () => {}
    const { origin, ask, expectNextIsClean } = await startPair((socket) => {
      socket.write(OK)
      sendMore = () => socket.write(FOREIGN)
    })
    expect((await ask('/bad')).body).toBe('ok')
    sendMore()
    await until(() => origin.connections[0]?.isClosed === true)
    await expectNextIsClean()
  })

  it('never reach a client that already waits for the connection', async () => {
    let answer = () => {}
    const { origin, gateway, expectNextIsClean } = await startPair((socket) => {
      answer = () => socket.write(OK + FOREIGN + FOREIGN)
    })
    const [first, second] = [await connectRaw(gateway.port), await connectRaw(gateway.port)]
    first.send('GET /bad HTTP/1.1\r\nHost: a\r\n\r\n')
    await until(() => origin.requests() === 1)
    second.send('GET /next HTTP/1.1\r\nHost: a\r\n\r\n')
    await until(async () => (await gateway.metrics()).includes('state="waiting"} 1'))
    answer()
    expect(await first.receives(/ok$/)).not.toContain('foreign')
    expect(await second.receives(/\r\n\r\n.+/)).toMatch(/^HTTP\/1\.1 200 OK\r\n.*\r\n\r\nok$/s)
    await expectNextIsClean()
    first.destroy()
    second.destroy()
  })

  it('after the head of a HEAD response are not used as the next response', async () => {
    const { ask, gateway, expectNextIsClean } = await startPair(FOREIGN)
    const client = await connectRaw(gateway.port)
    client.send('HEAD /bad HTTP/1.1\r\nHost: a\r\n\r\n')
    await client.receives('\r\n\r\n')
    client.send('GET /next HTTP/1.1\r\nHost: a\r\n\r\n')
    expect(await client.receives(/ok$/)).not.toContain('foreign')
    client.destroy()
    await expectNextIsClean()
    expect((await ask('/next')).body).toBe('ok')
  })
})

describe('a response that is not valid', () => {
  it.each([
    [
      'Content-Length with Transfer-Encoding',
      'HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n',
    ],
    ['two lengths', 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 7\r\n\r\nforeign'],
    ['a list of lengths', 'HTTP/1.1 200 OK\r\nContent-Length: 2, 7\r\n\r\nforeign'],
    ['a negative length', 'HTTP/1.1 200 OK\r\nContent-Length: -2\r\n\r\nok'],
    ['a length that overflows', 'HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999999\r\n\r\nok'],
    [
      'an unknown transfer coding after chunked',
      'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked, x\r\n\r\n2\r\nok\r\n0\r\n\r\n',
    ],
    ['no HTTP at all', 'SSH-2.0-OpenSSH_9.6\r\n'],
    ['another version', 'HTTP/3.7 200 OK\r\nContent-Length: 2\r\n\r\nok'],
    ['a status of two digits', 'HTTP/1.1 20 OK\r\nContent-Length: 2\r\n\r\nok'],
    ['NUL in a value', 'HTTP/1.1 200 OK\r\nX-A: a\0b\r\nContent-Length: 2\r\n\r\nok'],
    ['a bare carriage return in a value', 'HTTP/1.1 200 OK\r\nX-A: a\rX-B: b\r\nContent-Length: 2\r\n\r\nok'],
    ['a space before the colon', 'HTTP/1.1 200 OK\r\nContent-Length : 2\r\n\r\nok'],
    ['control characters in a value', 'HTTP/1.1 200 OK\r\nX-A: a\x01b\r\nContent-Length: 2\r\n\r\nok'],
    ['control characters in the reason', 'HTTP/1.1 200 O\x01K\r\nContent-Length: 2\r\n\r\nok'],
    ['a head without end', `HTTP/1.1 200 OK\r\n${`X-A: ${'a'.repeat(1000)}\r\n`.repeat(100)}`],
    ['an unrequested 101', 'HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\nforeign'],
    ['101 without a word about what', 'HTTP/1.1 101 Switching Protocols\r\n\r\nforeign'],
  ])('is answered with 502, closes the upstream connection and reveals nothing: %s', async (_what, bytes) => {
    const { origin, ask, gateway, expectNextIsClean } = await startPair(bytes)
    const answer = await ask('/bad', 'POST')
    expect(answer).toMatchObject({ status: 502 })
    expect(answer.head).toMatch(/\r\nContent-Type: application\/problem\+json\r\n/)
    expect(answer.body).not.toMatch(/foreign|127\.0\.0\.1|llhttp|HPE_|UND_ERR|node_modules/)
    await until(() => origin.connections[0]?.isClosed === true)
    const line = await gateway.accessLine(({ status }) => status === 502)
    expect(line).toMatchObject({ failure: 'response-malformed' })
    // The gateway answered, not the upstream.
    expect(line).not.toHaveProperty('address')
    await expectNextIsClean()
  })

  it.each([
    ['an invalid chunk size', 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\nzz\r\nforeign'],
    ['a chunk longer than it says', 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nokforeign\r\n0\r\n\r\n'],
  ])('in its body is truncated and never complete: %s', async (_what, bytes) => {
    const { origin, gateway, expectNextIsClean } = await startPair(bytes)
    const client = await connectRaw(gateway.port)
    client.send('GET /bad HTTP/1.1\r\nHost: a\r\n\r\n')
    const text = await client.closes()
    expect(text).not.toMatch(/\r\n0\r\n\r\n$|foreign/)
    expect(await gateway.accessLine(({ path }) => path === '/bad')).toMatchObject({ failure: 'response-broken' })
    await until(() => origin.connections[0]?.isClosed === true)
    await expectNextIsClean()
  })
})
