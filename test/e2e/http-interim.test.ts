// Interim responses, Expect: 100-continue, and responses that arrive before the end of the request.
import type { Socket } from 'node:net'
import { describe, expect, it } from 'vitest'
import { startGateway } from '../kit/gateway.ts'
import { startHttpOrigin, startRawOrigin } from '../kit/origin.ts'
import { connectRaw, exchange } from '../kit/raw.ts'
import { askUntilClose, startScriptedOrigin } from '../kit/scripted.ts'
import { until } from '../kit/until.ts'

const OK = 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok'

describe('interim responses', () => {
  it.each([
    ['103 Early Hints', 'Link: </a.css>; rel=preload\r\nLink: </b.js>; rel=preload\r\n'],
    ['102 Processing', 'X-Progress: 50 %\r\n'],
    ['199 unknown', 'X-A: b\r\n'],
  ])('reach the client before the final response: %s', async (line, fields) => {
    let finish = () => {}
    const origin = await startRawOrigin((socket) => {
      socket.write(`HTTP/1.1 ${line}\r\n${fields}Connection: X-Hop\r\nX-Hop: 1\r\n\r\n`)
      finish = () => socket.write(OK)
    })
    const { port } = await startGateway({ legacy: { url: origin.url } })
    const client = await connectRaw(port)
    client.send('GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n')
    expect(await client.receives(/\r\n\r\n/)).toBe(`HTTP/1.1 ${line}\r\n${fields}\r\n`)
    finish()
    expect(await client.closes()).toMatch(/\r\n\r\nHTTP\/1\.1 200 OK\r\n.*\r\n\r\nok$/s)
  })

  it('are forwarded in order if there are several', async () => {
    const hint = (n: number) => `HTTP/1.1 103 Early Hints\r\nLink: </${n}>\r\n\r\n`
    const origin = await startRawOrigin((socket) => socket.write(hint(1) + hint(2) + hint(3) + OK))
    const { port } = await startGateway({ legacy: { url: origin.url } })
    const { head, body } = await askUntilClose(port, 'GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n')
    expect(`${head}\r\n${body}`).toMatch(new RegExp(`^${[1, 2, 3].map((n) => hint(n)).join('')}HTTP/1.1 200 OK`))
  })

  it('are not sent to HTTP/1.0 clients', async () => {
    const origin = await startRawOrigin((socket) => socket.write(`HTTP/1.1 103 Early Hints\r\n\r\n${OK}`))
    const { port } = await startGateway({ legacy: { url: origin.url } })
    const { head, body } = await askUntilClose(port, 'GET / HTTP/1.0\r\n\r\n')
    expect(head).toMatch(/^HTTP\/1\.1 200 OK\r\n/)
    expect(body).toBe('ok')
  })

  it('in an endless sequence close both connections', async () => {
    const origin = await startRawOrigin((socket) => {
      const flood = () => {
        while (socket.writable && socket.write('HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n'));
        socket.once('drain', flood)
      }
      flood()
    })
    const { port } = await startGateway({ legacy: { url: origin.url } })
    const client = await connectRaw(port)
    client.send('GET / HTTP/1.1\r\nHost: a\r\n\r\n')
    const text = await client.receives(/HTTP\/1\.1 502/)
    expect(text.match(/HTTP\/1\.1 103/g)?.length).toBeLessThanOrEqual(32)
    await until(() => origin.connections[0]?.isClosed === true, 1000)
    client.destroy()
  })
})

describe('a request that expects 100-continue', () => {
  const expecting = (path: string, version = '1.1') =>
    `POST ${path} HTTP/${version}\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n`

  async function startPair(handle: (socket: Socket) => void) {
    const origin = await startScriptedOrigin({ '/upload': handle, '/next': OK })
    const gateway = await startGateway({ legacy: { url: origin.url, connections: 1 } })
    return { origin, gateway, port: gateway.port, client: await connectRaw(gateway.port) }
  }

  it('gets 100 when the origin sends it, and not before', async () => {
    let goOn = () => {}
    const { origin, client } = await startPair((socket) => {
      goOn = () => socket.write('HTTP/1.1 100 Continue\r\n\r\n')
      socket.on('data', (chunk: Buffer) => {
        if (chunk.toString().endsWith('hello')) socket.write(OK)
      })
    })
    client.send(expecting('/upload'))
    await until(() => origin.requests() === 1)
    expect(origin.heads()[0]).toMatch(/\r\nExpect: 100-continue\r\n/)
    expect(client.received()).toBe('')
    goOn()
    expect(await client.receives('\r\n\r\n')).toBe('HTTP/1.1 100 Continue\r\n\r\n')
    expect(origin.connections[0]?.bytes.toString()).not.toContain('hello')
    client.send('hello')
    await client.receives(/200 OK.*\r\n\r\nok$/s)
    client.destroy()
  })

  it('and is refused gets the refusal without sending its body, and the next requests get their own responses', async () => {
    const { origin, port, client } = await startPair((socket) => {
      socket.write('HTTP/1.1 413 Content Too Large\r\nContent-Length: 3\r\n\r\nbig')
    })
    client.send(expecting('/upload'))
    const text = await client.closes()
    expect(text).toMatch(/^HTTP\/1\.1 413 Content Too Large\r\n.*\r\nConnection: close\r\n.*\r\nbig$/s)
    expect(origin.connections[0]?.bytes.toString()).toMatch(/\r\n\r\n$/)
    for (let i = 0; i < 3; i++) {
      expect((await exchange(port, 'GET /next HTTP/1.1\r\nHost: a\r\n\r\n')).body).toBe('ok')
    }
  })

  it('but sends its body without waiting is served by an origin that never sends 100', async () => {
    const origin = await startHttpOrigin(() => {})
    origin.server.on('checkContinue', (request, response) => {
      request.resume()
      request.on('end', () => response.end('ok'))
    })
    const { port } = await startGateway({ legacy: { url: origin.url } })
    const answer = await exchange(port, `${expecting('/upload')}hello`)
    expect(answer).toMatchObject({ status: 200 })
  })

  it('is not closed as a slow client while it waits for the origin', async () => {
    let goOn = () => {}
    const origin = await startScriptedOrigin({
      '/upload': (socket) => {
        goOn = () => socket.write('HTTP/1.1 100 Continue\r\n\r\n')
        socket.on('data', (chunk: Buffer) => {
          if (chunk.toString().endsWith('hello')) socket.write(OK)
        })
      },
    })
    const { port } = await startGateway({
      legacy: { url: origin.url },
      limits: { rateGraceMs: 500, clientIdleMs: 1000 },
    })
    const client = await connectRaw(port)
    client.send(expecting('/upload'))
    await until(() => origin.requests() === 1)
    const since = performance.now()
    await until(() => client.isClosed() || performance.now() - since > 3200)
    goOn()
    await client.receives('HTTP/1.1 100 Continue\r\n\r\n')
    client.send('hello')
    await client.receives(/200 OK/)
    client.destroy()
  })

  it('in HTTP/1.0 is ignored, because HTTP/1.0 has no 100', async () => {
    const { origin, client } = await startPair((socket) => socket.write(`HTTP/1.1 100 Continue\r\n\r\n${OK}`))
    client.send(`${expecting('/upload', '1.0')}hello`)
    expect(await client.closes()).toMatch(/^HTTP\/1\.1 (?:200|502)/)
    expect(origin.heads()[0]).not.toMatch(/\r\nExpect:/i)
  })

  it('of an unknown kind is refused', async () => {
    const { origin, client } = await startPair((socket) => socket.write(OK))
    client.send('POST /upload HTTP/1.1\r\nHost: a\r\nExpect: 200-ok\r\nContent-Length: 5\r\n\r\n')
    expect(await client.receives('\r\n\r\n')).toMatch(/^HTTP\/1\.1 417 /)
    expect(origin.requests()).toBe(0)
    client.destroy()
  })
})

describe('a response before the end of the request', () => {
  it('reaches the client at once and ends its connection, so that bytes after the body are not served', async () => {
    const origin = await startScriptedOrigin({
      '/upload': 'HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno',
      '/next': OK,
    })
    const { port, metric } = await startGateway({ legacy: { url: origin.url, connections: 1 } })
    const client = await connectRaw(port)
    client.send('POST /upload HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\n')
    client.send('x'.repeat(50_000))
    await client.receives(/^HTTP\/1\.1 403 Forbidden\r\n.*\r\n\r\nno$/s)
    client.send('x'.repeat(50_000))
    client.send('GET /next HTTP/1.1\r\nHost: a\r\n\r\n')
    expect(await client.closes()).toMatch(/\r\nConnection: close\r\n.*\r\n\r\nno$/s)
    expect(origin.heads().filter((head) => !head.startsWith('POST'))).toHaveLength(0)
    await until(async () => (await metric('strangler_requests_in_flight')) === 0)
  })

  it('leaves no bytes of the body for the next client of the same upstream', async () => {
    const origin = await startScriptedOrigin({
      '/upload': 'HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno',
      '/next': OK,
    })
    const { port } = await startGateway({ legacy: { url: origin.url, connections: 1 } })
    const uploader = await connectRaw(port)
    uploader.send('POST /upload HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n')
    await uploader.receives(/\r\n\r\nno$/)
    for (let i = 0; i < 3; i++) {
      expect((await exchange(port, 'GET /next HTTP/1.1\r\nHost: a\r\n\r\n')).body).toBe('ok')
    }
    uploader.destroy()
  })

  it('is complete for a client that reads after sending its body', async () => {
    const origin = await startHttpOrigin((_request, response) => response.writeHead(413).end('too large'))
    const { port } = await startGateway({ legacy: { url: origin.url } })
    const body = 'x'.repeat(1_000_000)
    const answer = await exchange(port, `POST / HTTP/1.1\r\nHost: a\r\nContent-Length: ${body.length}\r\n\r\n${body}`)
    expect(answer.status).toBe(413)
    expect(answer.body).toContain('too large')
  })
})
