// An origin may respond before it has the body of a request (RFC 9112 section 9.3), and close after its response.
import { once } from 'node:events'
import { connect, Socket } from 'node:net'
import { describe, expect, it, onTestFinished, vi } from 'vitest'
import { expectCalm } from '../kit/calm.ts'
import { startGateway } from '../kit/gateway.ts'
import { startRawOrigin } from '../kit/origin.ts'
import { connectRaw } from '../kit/raw.ts'
import { until } from '../kit/until.ts'

const UNAUTHORIZED = 'HTTP/1.1 401 Unauthorized\r\nContent-Length: 6\r\n\r\nlogin!'
const HEAD = 'POST /upload HTTP/1.1\r\nHost: a\r\n'

async function gatewayBefore(answer: (socket: Socket, seen: Buffer) => void) {
  const origin = await startRawOrigin(answer)
  const gateway = await startGateway({ legacy: { url: origin.url } })
  const client = await connectRaw(gateway.port)
  onTestFinished(client.destroy)
  return { origin, gateway, client }
}

describe('the head of a request with a body', () => {
  it('reaches the origin before any byte of the body', async () => {
    const { origin, client } = await gatewayBefore(() => {})
    client.send(`${HEAD}Content-Length: 5\r\n\r\n`)
    await until(() => origin.heads().length === 1)
    expect(origin.connections[0]?.bytes.toString()).toMatch(/\r\n\r\n$/)
  })

  it('is sent in one write with a body that came in the same packet', async () => {
    const { client } = await gatewayBefore((socket) => void socket.write(UNAUTHORIZED))
    for (const connection of ['new', 'kept']) {
      const writes = vi.spyOn(Socket.prototype, '_writev')
      client.send(`${HEAD}Content-Length: 5\r\n\r\n${connection}`.padEnd(HEAD.length + 26, '!'))
      await until(() => client.received().split('login!').length === (connection === 'new' ? 2 : 3))
      const texts = writes.mock.calls.map(([pieces]) => pieces.map(({ chunk }) => String(chunk)).join(''))
      expect(texts.filter((text) => text.startsWith('POST /upload') && text.includes(connection))).toHaveLength(1)
      writes.mockRestore()
    }
  })
})

describe('a request whose head was sent and whose body was not', () => {
  it('is repeated neither at the service nor at legacy when the service closes the connection', async () => {
    const service = await startRawOrigin((socket) => void socket.end())
    const legacy = await startRawOrigin((socket) => void socket.write(UNAUTHORIZED))
    const gateway = await startGateway(
      {
        legacy: { url: legacy.url },
        services: { uploads: { url: service.url } },
        contexts: {
          uploads: {
            owner: 'team',
            service: 'uploads',
            flag: 'migrate-uploads',
            fallback: true,
            routes: ['/upload'],
          },
        },
      },
      { percentages: { 'migrate-uploads': 100 } },
    )
    const client = await connectRaw(gateway.port)
    onTestFinished(client.destroy)
    client.send(`${HEAD}Content-Length: 5\r\n\r\n`)
    expect(await client.receives('requestId')).toMatch(/^HTTP\/1\.1 502 /)
    expect(service.heads()).toHaveLength(1)
    expect(legacy.heads()).toHaveLength(0)
    await expectCalm(gateway)
  })
})

describe('a request that leaves the queue with an incomplete body', () => {
  it('gives its place for uploads to the next request', async () => {
    const origin = await startRawOrigin(() => {})
    const gateway = await startGateway({
      legacy: { url: origin.url, connections: 1, timeouts: { queueMs: 60_000 } },
    })
    const open = async (bytes: string) => {
      const client = await connectRaw(gateway.port)
      onTestFinished(client.destroy)
      client.send(bytes)
      return client
    }
    const waiting = () =>
      gateway.metric(`strangler_connections{upstream="legacy",address="${origin.url}",state="waiting"}`)
    await open('GET / HTTP/1.1\r\nHost: a\r\n\r\n')
    await until(() => origin.heads().length === 1)
    const gone = await open(`${HEAD}Content-Length: 5\r\n\r\n`)
    await until(async () => (await waiting()) === 1)
    gone.destroy()
    await until(async () => (await waiting()) === 0)
    await open(`${HEAD}Content-Length: 6\r\n\r\n`)
    await until(async () => (await waiting()) === 1)
    origin.connections[0]?.socket.write(UNAUTHORIZED)
    await until(() => origin.heads().length === 2)
  })
})

describe('a response that comes before the request body', () => {
  it('reaches the client at once', async () => {
    const { client, gateway } = await gatewayBefore((socket) => void socket.write(UNAUTHORIZED))
    client.send(`${HEAD}Content-Length: 1000\r\n\r\n`)
    const answer = await client.receives('login!')
    expect(answer).toMatch(/^HTTP\/1\.1 401 Unauthorized\r\n/)
    expect(answer).toMatch(/\r\nConnection: close\r\n/i)
    await client.closes()
    expect(await gateway.accessLine(({ path }) => path === '/upload')).toMatchObject({ status: 401 })
    await expectCalm(gateway)
  })

  it('is complete for a client that goes on sending, although the origin has reset its connection', async () => {
    const { client } = await gatewayBefore((socket) => void socket.write(UNAUTHORIZED, () => socket.resetAndDestroy()))
    const errors: Error[] = []
    client.socket.on('error', (error) => errors.push(error))
    client.send(`${HEAD}Transfer-Encoding: chunked\r\n\r\n`)
    const sending = setInterval(() => client.send(`400\r\n${'x'.repeat(1024)}\r\n`), 1)
    const answer = await client.receives('login!').finally(() => clearInterval(sending))
    expect(answer).toMatch(/^HTTP\/1\.1 401 Unauthorized\r\n/)
    await client.closes()
    // A reset can overtake the response.
    expect(errors).toEqual([])
  })

  it('is read before a failing write in the same turn', async () => {
    const origin = await startRawOrigin((socket) => void socket.write(UNAUTHORIZED, () => socket.resetAndDestroy()))
    const gateway = await startGateway({ legacy: { url: origin.url } })
    for (let i = 0; i < 200; i++) {
      const client = await connectRaw(gateway.port)
      client.send(`${HEAD}Transfer-Encoding: chunked\r\n\r\n400\r\n${'x'.repeat(1024)}\r\n`)
      // Blocks the thread on which both run: the reset and the next chunk wait for the same poll of the sockets.
      await until(() => origin.requests() === i + 1)
      client.send(`400\r\n${'y'.repeat(1024)}\r\n`)
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 1)
      const answer = await client.receives(/login!|requestId/)
      expect(answer).toMatch(/^HTTP\/1\.1 401 /)
      client.destroy()
    }
  })

  it('ends both connections, so that no request follows a body that was not sent', async () => {
    const { client, origin } = await gatewayBefore((socket) => void socket.write(UNAUTHORIZED))
    client.send(`${HEAD}Content-Length: 60\r\n\r\n`)
    await client.receives('login!')
    const get = (path: string) => `GET ${path} HTTP/1.1\r\nHost: a\r\n\r\n`
    client.send(get('/smuggled').padEnd(60, 'x') + get('/behind'))
    await client.closes()
    expect(client.received().match(/HTTP\/1\.1 /g)).toHaveLength(1)
    await until(() => origin.connections[0]?.isClosed === true)
    expect(origin.heads()).toHaveLength(1)
  })

  it('keeps other requests off the connection to the origin on which the body is incomplete', async () => {
    const { client, origin, gateway } = await gatewayBefore((socket) => void socket.write(UNAUTHORIZED))
    client.send(`${HEAD}Content-Length: 60\r\n\r\n`)
    await client.receives('login!')
    const other = await connectRaw(gateway.port)
    onTestFinished(other.destroy)
    other.send('GET /other HTTP/1.1\r\nHost: a\r\n\r\n')
    await other.receives('login!')
    expect(origin.connections.map(({ bytes }) => bytes.toString().includes('GET /other'))).toEqual([false, true])
  })

  it('is the last on its connection: a request in the packet that ends the body is not forwarded', async () => {
    const { client, gateway } = await gatewayBefore((socket) => void socket.write(UNAUTHORIZED))
    client.send(`${HEAD}Content-Length: 5\r\n\r\n`)
    await client.receives('login!')
    client.send('helloGET /behind HTTP/1.1\r\nHost: a\r\n\r\n')
    await client.closes()
    const other = await connectRaw(gateway.port)
    onTestFinished(other.destroy)
    other.send('GET /after HTTP/1.1\r\nHost: a\r\n\r\n')
    await gateway.accessLine(({ path }) => path === '/after')
    expect((await gateway.accessLog()).map(({ path }) => path)).toEqual(['/upload', '/after'])
  })

  it('is not overtaken by a reset, although the client goes on sending after the end of the connection', async () => {
    const { gateway } = await gatewayBefore((socket) => void socket.write(UNAUTHORIZED))
    const client = connect({ port: gateway.port, host: '127.0.0.1', allowHalfOpen: true })
    onTestFinished(() => void client.destroy())
    const errors: Error[] = []
    client.on('error', (error) => errors.push(error))
    client.write(`${HEAD}Content-Length: 1000000\r\n\r\n`)
    let received = ''
    client.on('data', (bytes) => {
      received += bytes
    })
    await once(client, 'end')
    expect(received).toMatch(/login!$/)
    for (let i = 0; i < 10; i++) await new Promise((resolve) => client.write('x'.repeat(1024), resolve))
    expect(errors).toEqual([])
  })

  it('leaves both connections open if the body was sent completely', async () => {
    const { client, origin } = await gatewayBefore((socket, seen) => {
      if (seen.toString().split('hello').length > 1) socket.write(UNAUTHORIZED)
    })
    for (let i = 1; i <= 2; i++) {
      client.send(`${HEAD}Content-Length: 5\r\n\r\nhello`)
      await until(() => client.received().split('login!').length === i + 1)
    }
    expect(origin.connections).toHaveLength(1)
    expect(client.received()).not.toMatch(/\r\nConnection: close/i)
  })

  it('is not completed after a malformed chunk of the request', async () => {
    const { client, origin } = await gatewayBefore(
      (socket) => void socket.write('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nfirst\r\n'),
    )
    client.send(`${HEAD}Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n`)
    await client.receives('first')
    client.send('zz\r\nhello\r\n')
    expect(await client.closes()).not.toContain('0\r\n\r\n')
    await until(() => origin.connections[0]?.isClosed === true)
    expect(origin.connections[0]?.bytes.toString()).not.toContain('0\r\n\r\n')
  })
})

describe('a malformed chunk of a request body', () => {
  it.each([
    ['a size that is not a number', 'zz\r\nhello\r\n'],
    ['a negative size', '-1\r\n'],
    ['a bare line feed', '5\nhello\n'],
    ['a chunk longer than its size', '5\r\nhelloworld\r\n0\r\n\r\n'],
  ])('with %s ends the connection to the origin without the end of the body', async (_, chunk) => {
    const { client, origin } = await gatewayBefore(() => {})
    client.send(`${HEAD}Transfer-Encoding: chunked\r\n\r\n`)
    await until(() => origin.heads().length === 1)
    client.send(chunk)
    expect(await client.closes()).toMatch(/^HTTP\/1\.1 400 /)
    await until(() => origin.connections[0]?.isClosed === true)
    expect(origin.connections[0]?.bytes.toString()).not.toContain('0\r\n\r\n')
  })

  it('in the packet of the head keeps the request from every origin', async () => {
    const { client, origin } = await gatewayBefore(() => {})
    client.send(`${HEAD}Transfer-Encoding: chunked\r\n\r\nzz\r\n`)
    expect(await client.closes()).toMatch(/^HTTP\/1\.1 400 /)
    expect(origin.connections).toHaveLength(0)
  })
})
