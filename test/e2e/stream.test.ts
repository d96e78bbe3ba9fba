// Bodies are streamed: they are not buffered as a whole, and backpressure limits the sender.
import { createCipheriv } from 'node:crypto'
import type { ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import { describe, expect, it } from 'vitest'
import { startGateway } from '../kit/gateway.ts'
import { startHttpOrigin, startRawOrigin } from '../kit/origin.ts'
import { connectRaw } from '../kit/raw.ts'
import { dechunk } from '../kit/scripted.ts'
import { until } from '../kit/until.ts'

const MIB = 1024 * 1024

describe('a response', () => {
  it('of events arrives event by event: each arrives before the next is sent', async () => {
    let stream: ServerResponse | undefined
    const origin = await startHttpOrigin((_request, response) => {
      response.writeHead(200, { 'Content-Type': 'text/event-stream' })
      response.flushHeaders()
      stream = response
    })
    const { port } = await startGateway({ legacy: { url: origin.url } })
    const client = await connectRaw(port)
    client.send('GET /events HTTP/1.1\r\nHost: a\r\n\r\n')
    await client.receives(/^HTTP\/1\.1 200 OK\r\n.*text\/event-stream.*\r\n\r\n$/s)
    for (let i = 0; i < 20; i++) {
      stream?.write(`data: ${i}\n\n`)
      await client.receives(`data: ${i}\n\n`)
    }
    stream?.end()
    const text = await client.receives(/\r\n0\r\n\r\n$/)
    expect(dechunk(text.slice(text.indexOf('\r\n\r\n') + 4)).body).toBe(
      Array.from({ length: 20 }, (_, i) => `data: ${i}\n\n`).join(''),
    )
    client.destroy()
  })

  it.each(['Content-Length: 4', 'Transfer-Encoding: chunked', 'Connection: close'])(
    'is forwarded with its head before there is a body: %s',
    async (framing) => {
      let finish = (_body: string) => {}
      const origin = await startRawOrigin((socket) => {
        socket.write(`HTTP/1.1 200 OK\r\n${framing}\r\n\r\n`)
        finish = (body) => void socket.write(body, () => framing.endsWith('close') && socket.end())
      })
      const { port } = await startGateway({ legacy: { url: origin.url } })
      const client = await connectRaw(port)
      client.send('GET / HTTP/1.1\r\nHost: a\r\n\r\n')
      expect(await client.receives('\r\n\r\n')).toMatch(/^HTTP\/1\.1 200 OK\r\n.*\r\n\r\n$/s)
      finish(framing.endsWith('chunked') ? '4\r\nbody\r\n0\r\n\r\n' : 'body')
      await client.receives(/body/)
      client.destroy()
    },
  )

  it('that its client does not read pauses the upstream, and continues when the client reads', async () => {
    const size = 64 * MIB
    let upstream: Socket | undefined
    const origin = await startRawOrigin((socket) => {
      upstream = socket
      const chunk = Buffer.alloc(256 * 1024, 'x')
      let left = size
      const send = () => {
        while (left > 0) {
          left -= chunk.length
          if (!socket.write(chunk)) return void socket.once('drain', send)
        }
      }
      socket.write(`HTTP/1.1 200 OK\r\nContent-Length: ${size}\r\n\r\n`)
      send()
    })
    const gateway = await startGateway({ legacy: { url: origin.url }, limits: { minimumRate: 0 } })
    const client = await connectRaw(gateway.port)
    let received = 0
    client.socket.removeAllListeners('data')
    client.socket.on('data', (chunk: Buffer) => {
      received += chunk.length
      client.socket.pause()
    })
    client.send('GET / HTTP/1.1\r\nHost: a\r\n\r\n')
    await until(() => received > 0)
    const sent = await settled(() => upstream?.bytesWritten ?? 0)
    expect(sent).toBeLessThan(20 * MIB)
    client.socket.removeAllListeners('data')
    client.socket.on('data', (chunk: Buffer) => {
      received += chunk.length
    })
    client.socket.resume()
    await until(() => received > size)
    client.destroy()
  })

  it('is the same byte for byte for two concurrent clients that pause repeatedly', async () => {
    const size = 20 * MIB
    const noise = (seed: number) =>
      createCipheriv('aes-128-ctr', Buffer.alloc(16, seed), Buffer.alloc(16)).update(Buffer.alloc(size))
    const bodies = [noise(1), noise(2)] as const
    const origin = await startHttpOrigin((request, response) => {
      response.setHeader('Content-Length', size)
      response.end(request.url === '/1' ? bodies[0] : bodies[1])
    })
    const gateway = await startGateway({ legacy: { url: origin.url } })
    const download = async (path: string) => {
      const client = await connectRaw(gateway.port)
      client.socket.removeAllListeners('data')
      const chunks: Buffer[] = []
      let received = 0
      let unread = 0
      client.socket.on('data', (chunk: Buffer) => {
        chunks.push(chunk)
        received += chunk.length
        unread += chunk.length
        if (unread < MIB) return
        unread = 0
        client.socket.pause()
        setTimeout(() => client.socket.resume(), 30)
      })
      client.send(`GET ${path} HTTP/1.1\r\nHost: a\r\n\r\n`)
      await until(() => received > size)
      const bytes = Buffer.concat(chunks)
      client.destroy()
      return bytes.subarray(bytes.indexOf('\r\n\r\n') + 4)
    }
    const [first, second] = await Promise.all([download('/1'), download('/2')])
    expect(first.equals(bodies[0])).toBe(true)
    expect(second.equals(bodies[1])).toBe(true)
  })
})

describe('a request body', () => {
  it('arrives piece by piece: each arrives before the next is sent', async () => {
    let seen = ''
    const origin = await startHttpOrigin((request, response) => {
      request.on('data', (chunk: Buffer) => {
        seen += chunk.toString()
      })
      request.on('end', () => response.end('ok'))
    })
    const { port } = await startGateway({ legacy: { url: origin.url } })
    const client = await connectRaw(port)
    client.send('POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n')
    for (let i = 0; i < 10; i++) {
      client.send(`2\r\n${i};\r\n`)
      await until(() => seen.endsWith(`${i};`))
    }
    client.send('0\r\n\r\n')
    await client.receives(/200 OK/)
    client.destroy()
  })

  it('that the origin does not read pauses the client, and continues when the origin reads', async () => {
    const size = 64 * MIB
    let read = () => {}
    let received = 0
    const origin = await startHttpOrigin((request, response) => {
      request.pause()
      read = () => {
        request.on('data', (chunk: Buffer) => {
          received += chunk.length
        })
        request.resume()
      }
      request.on('end', () => response.end('ok'))
    })
    const { port } = await startGateway({ legacy: { url: origin.url }, limits: { minimumRate: 0 } })
    const client = await connectRaw(port)
    client.send(`POST / HTTP/1.1\r\nHost: a\r\nContent-Length: ${size}\r\n\r\n`)
    const chunk = Buffer.alloc(256 * 1024, 'x')
    let left = size
    const send = () => {
      while (left > 0) {
        left -= chunk.length
        if (!client.socket.write(chunk)) return void client.socket.once('drain', send)
      }
    }
    send()
    await until(() => origin.requests() === 1)
    const sent = await settled(() => client.socket.bytesWritten - client.socket.writableLength)
    expect(sent).toBeLessThan(20 * MIB)
    read()
    await client.receives(/200 OK/)
    expect(received).toBe(size)
    client.destroy()
  })

  it('may be answered while it is sent, with both bodies streaming', async () => {
    const origin = await startHttpOrigin((request, response) => {
      response.writeHead(200)
      request.on('data', (chunk: Buffer) => response.write(chunk.toString().toUpperCase()))
      request.on('end', () => response.end())
    })
    const { port } = await startGateway({ legacy: { url: origin.url } })
    const client = await connectRaw(port)
    client.send('POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n')
    for (const word of ['one', 'two', 'six']) {
      client.send(`3\r\n${word}\r\n`)
      await client.receives(word.toUpperCase())
    }
    client.send('0\r\n\r\n')
    await client.receives(/\r\n0\r\n\r\n$/)
    client.destroy()
  })
})

/** Waits until a count has not grown for half a second, and returns it. */
async function settled(count: () => number): Promise<number> {
  let last = count()
  let since = Date.now()
  await until(() => {
    const now = count()
    if (now !== last) since = Date.now()
    last = now
    return Date.now() - since > 500
  })
  return last
}
