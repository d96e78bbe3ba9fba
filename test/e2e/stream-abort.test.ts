// Aborted exchanges: clients that leave in each phase of their request, and origins that fail in the middle of a response.
import type { Socket } from 'node:net'
import { describe, expect, it } from 'vitest'
import { startGateway, type TestGateway } from '../kit/gateway.ts'
import { startHttpOrigin, startRawOrigin } from '../kit/origin.ts'
import { connectRaw } from '../kit/raw.ts'
import { dechunk } from '../kit/scripted.ts'
import { until } from '../kit/until.ts'

async function untilQuiet(gateway: TestGateway) {
  await until(async () => (await gateway.metric('strangler_requests_in_flight')) === 0)
  await until(async () => /strangler_connections\{[^}]*state="in_use"\} 0/.test(await gateway.metrics()))
  expect(await gateway.metric('strangler_bugs_total')).toBe(0)
}

const LEAVE = {
  reset: (socket: Socket) => socket.resetAndDestroy(),
  close: (socket: Socket) => socket.destroy(),
} as const

describe.each(Object.entries(LEAVE))('a client that leaves by %s', (_how, leave) => {
  it('while it waits closes the upstream request within a second, and is logged with 499', async () => {
    const origin = await startRawOrigin(() => {})
    const gateway = await startGateway({ legacy: { url: origin.url } })
    const client = await connectRaw(gateway.port)
    client.send('GET / HTTP/1.1\r\nHost: a\r\n\r\n')
    await until(() => origin.requests() === 1)
    leave(client.socket)
    await until(() => origin.connections[0]?.isClosed === true, 1000)
    expect(await gateway.accessLine(() => true)).toMatchObject({ status: 499, failure: 'client-gone', attempts: 1 })
    await untilQuiet(gateway)
  })

  it('in the middle of its body never looks like a complete request to the upstream', async () => {
    let ended = false
    let closed = false
    const origin = await startHttpOrigin((request) => {
      request.on('error', () => {})
      request.on('data', () => {})
      request.on('end', () => {
        ended = true
      })
      request.on('close', () => {
        closed = true
      })
    })
    for (const framing of ['Content-Length: 1000000', 'Transfer-Encoding: chunked']) {
      const gateway = await startGateway({ legacy: { url: origin.url } })
      closed = false
      const requestsBefore = origin.requests()
      const client = await connectRaw(gateway.port)
      client.send(`POST / HTTP/1.1\r\nHost: a\r\n${framing}\r\n\r\n3e8\r\n${'x'.repeat(1000)}\r\n`)
      await until(() => origin.requests() > requestsBefore)
      leave(client.socket)
      await until(() => closed, 1000)
      expect(ended).toBe(false)
      expect(await gateway.accessLine(() => true)).toMatchObject({ status: 499, failure: 'client-gone' })
      await untilQuiet(gateway)
    }
  })

  it('in the middle of the response closes the upstream request', async () => {
    const origin = await startRawOrigin((socket) => {
      socket.write('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\none\r\n')
    })
    const gateway = await startGateway({ legacy: { url: origin.url } })
    const client = await connectRaw(gateway.port)
    client.send('GET / HTTP/1.1\r\nHost: a\r\n\r\n')
    await client.receives('one')
    leave(client.socket)
    await until(() => origin.connections[0]?.isClosed === true, 1000)
    expect(await gateway.accessLine(() => true)).toMatchObject({ failure: 'client-gone' })
    await untilQuiet(gateway)
  })

  it('while its request is queued frees its place, and the request is not sent', async () => {
    const answers: (() => void)[] = []
    const origin = await startRawOrigin((socket) => {
      answers.push(() => void socket.write('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok'))
    })
    const gateway = await startGateway({
      legacy: { url: origin.url, connections: 1, queue: 1, timeouts: { queueMs: 60_000 } },
    })
    const waiting = async (count: number) =>
      until(async () => (await gateway.metrics()).includes(`state="waiting"} ${count}`))
    const ask = async (path: string) => {
      const client = await connectRaw(gateway.port)
      client.send(`GET ${path} HTTP/1.1\r\nHost: a\r\n\r\n`)
      return client
    }
    const first = await ask('/first')
    await until(() => origin.requests() === 1)
    const leaver = await ask('/leaver')
    await waiting(1)
    leave(leaver.socket)
    await waiting(0)
    const third = await ask('/third')
    await waiting(1)
    answers[0]?.()
    await first.receives('ok')
    await until(() => origin.requests() === 2)
    answers[1]?.()
    await third.receives('ok')
    expect(origin.heads().map((head) => head.split(' ')[1])).toEqual(['/first', '/third'])
    expect(await gateway.accessLine(({ path }) => path === '/leaver')).toMatchObject({ status: 499, attempts: 0 })
    await untilQuiet(gateway)
  })

  it('with more pipelined requests ends the active one, and the others never start', async () => {
    const origin = await startRawOrigin(() => {})
    const gateway = await startGateway({ legacy: { url: origin.url } })
    const client = await connectRaw(gateway.port)
    client.send(
      'GET /1 HTTP/1.1\r\nHost: a\r\n\r\nGET /2 HTTP/1.1\r\nHost: a\r\n\r\nGET /3 HTTP/1.1\r\nHost: a\r\n\r\n',
    )
    await until(() => origin.requests() === 1)
    leave(client.socket)
    await until(() => origin.connections.every(({ isClosed }) => isClosed), 1000)
    await untilQuiet(gateway)
    expect(await gateway.accessLine(() => true)).toMatchObject({ path: '/1', status: 499, failure: 'client-gone' })
    expect(origin.requests()).toBe(1)
  })

  it('before it gets 100 closes the upstream request', async () => {
    const origin = await startRawOrigin(() => {})
    const gateway = await startGateway({ legacy: { url: origin.url } })
    const client = await connectRaw(gateway.port)
    client.send('POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n')
    await until(() => origin.requests() === 1)
    leave(client.socket)
    await until(() => origin.connections[0]?.isClosed === true, 1000)
    expect(await gateway.accessLine(() => true)).toMatchObject({ status: 499, failure: 'client-gone' })
    await untilQuiet(gateway)
  })
})

describe('clients that leave repeatedly', () => {
  it('leave no sockets and no memory behind', async () => {
    const origin = await startHttpOrigin((request, response) => {
      request.resume()
      if (request.url === '/stream') response.write('begun')
    })
    const gateway = await startGateway({ legacy: { url: origin.url, connections: 50 } })
    for (let round = 0; round < 6; round++) {
      const requestsBefore = origin.requests()
      const clients = await Promise.all(
        Array.from({ length: 50 }, async (_, i) => {
          const client = await connectRaw(gateway.port)
          client.send(
            i % 3 === 0
              ? 'GET /stream HTTP/1.1\r\nHost: a\r\n\r\n'
              : i % 3 === 1
                ? 'GET /wait HTTP/1.1\r\nHost: a\r\n\r\n'
                : 'POST /body HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\nhalf',
          )
          return client
        }),
      )
      await until(() => origin.requests() >= requestsBefore + 50)
      for (const client of clients) client.destroy()
      await untilQuiet(gateway)
    }
    expect(origin.requests()).toBe(300)
    await until(async () => (await gateway.accessLog()).length === 300)
    expect(new Set((await gateway.accessLog()).map(({ failure }) => failure))).toEqual(new Set(['client-gone']))
  })
})

describe('an origin that fails in the middle of its response', () => {
  const DIE = {
    end: (socket: Socket) => void socket.end(),
    reset: (socket: Socket) => void socket.resetAndDestroy(),
  }
  async function startDying(head: string, how: keyof typeof DIE) {
    let die = () => {}
    const origin = await startRawOrigin((socket) => {
      socket.write(`${head}\r\n\r\n`)
      die = () => DIE[how](socket)
    })
    const gateway = await startGateway({ legacy: { url: origin.url } })
    return { origin, gateway, die: () => die() }
  }

  it.each(['end', 'reset'] as const)('of known length, by %s, truncates the response to the client', async (how) => {
    const { origin, gateway, die } = await startDying('HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf', how)
    const client = await connectRaw(gateway.port)
    client.send('GET / HTTP/1.1\r\nHost: a\r\n\r\n')
    await client.receives('half')
    die()
    const text = await client.closes()
    expect(text).toMatch(/\r\nContent-Length: 10\r\n/)
    expect(text.slice(text.indexOf('\r\n\r\n') + 4).trimEnd()).toBe('half')
    expect(await gateway.accessLine(() => true)).toMatchObject({ failure: 'response-broken', attempts: 1 })
    expect(origin.requests()).toBe(1)
    await untilQuiet(gateway)
  })

  it.each(['end', 'reset'] as const)('in chunks, by %s: the last chunk never comes', async (how) => {
    const { origin, gateway, die } = await startDying(
      'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf',
      how,
    )
    const client = await connectRaw(gateway.port)
    client.send('GET / HTTP/1.1\r\nHost: a\r\n\r\n')
    await client.receives('half')
    die()
    const text = await client.closes()
    expect(dechunk(text.slice(text.indexOf('\r\n\r\n') + 4))).toMatchObject({ body: 'half', isWhole: false })
    expect(await gateway.accessLine(() => true)).toMatchObject({ failure: 'response-broken', attempts: 1 })
    expect(origin.requests()).toBe(1)
    await untilQuiet(gateway)
  })

  it.each(['end', 'reset'] as const)(
    'by %s resets the connection of an HTTP/1.0 client, because a normal end would complete the body',
    async (how) => {
      const { gateway, die } = await startDying('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf', how)
      const client = await connectRaw(gateway.port)
      const error = new Promise<NodeJS.ErrnoException>((resolve) => client.socket.once('error', resolve))
      client.send('GET / HTTP/1.0\r\n\r\n')
      await client.receives('half')
      die()
      expect((await error).code).toBe('ECONNRESET')
      expect(await gateway.accessLine(() => true)).toMatchObject({ failure: 'response-broken' })
      await untilQuiet(gateway)
    },
  )

  it('by reset does not complete a body that ends with the connection', async () => {
    for (const version of ['1.1', '1.0']) {
      const { gateway, die } = await startDying(
        `HTTP/1.${version.at(-1)} 200 OK\r\nConnection: close\r\n\r\nhalf`,
        'reset',
      )
      const client = await connectRaw(gateway.port)
      client.send('GET / HTTP/1.1\r\nHost: a\r\n\r\n')
      await client.receives('half')
      die()
      const text = await client.closes()
      expect(dechunk(text.slice(text.indexOf('\r\n\r\n') + 4))).toMatchObject({ isWhole: false })
      expect(await gateway.accessLine(() => true)).toMatchObject({ failure: 'response-broken' })
      await untilQuiet(gateway)
    }
  })

  it('after it has received a whole POST gets no retry, and the client gets an error', async () => {
    const origin = await startRawOrigin((socket) => socket.destroy())
    const gateway = await startGateway({ legacy: { url: origin.url } })
    const client = await connectRaw(gateway.port)
    client.send('POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi')
    await client.receives(/^HTTP\/1\.1 502 /)
    expect(origin.requests()).toBe(1)
    client.destroy()
    await untilQuiet(gateway)
  })

  it('to a GET gets no retry, because the response has begun', async () => {
    const { origin, gateway, die } = await startDying('HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n', 'end')
    const client = await connectRaw(gateway.port)
    client.send('GET / HTTP/1.1\r\nHost: a\r\n\r\n')
    await client.receives('Content-Length: 10')
    die()
    await client.closes()
    expect(origin.requests()).toBe(1)
    await untilQuiet(gateway)
  })
})
