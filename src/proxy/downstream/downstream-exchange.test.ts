// The contract of DownstreamExchange, over real sockets: node:http, and the request and response of an Express application.
import { createServer, type RequestListener } from 'node:http'
import type { AddressInfo } from 'node:net'
import express from 'express'
import { describe, expect, it } from 'vitest'
import { whenOver } from '../../../test/kit/lifetime.ts'
import { connectRaw, exchange } from '../../../test/kit/raw.ts'
import { until } from '../../../test/kit/until.ts'
import type { BodyReader, DownstreamExchange } from './downstream-exchange.ts'
import { NodeExchange } from './node-exchange.ts'

type Events = { drains: number; gone: number; isSentWhenGone: boolean | undefined }
type Serve = (downstream: DownstreamExchange, events: Events) => void

const IMPLEMENTATIONS: Readonly<Record<string, (listener: RequestListener) => RequestListener>> = {
  'node:http': (listener) => listener,
  Express: (listener) => express().use((request, response) => void listener(request, response)) as RequestListener,
}

const GET = 'GET / HTTP/1.1\r\nHost: a\r\n\r\n'
const MIB = 1024 * 1024

describe.each(Object.entries(IMPLEMENTATIONS))('a downstream exchange over %s', (_name, implementation) => {
  async function start(serve: Serve) {
    const exchanges: Events[] = []
    const server = createServer(
      implementation((request, response) => {
        const events: Events = { drains: 0, gone: 0, isSentWhenGone: undefined }
        exchanges.push(events)
        const downstream = new NodeExchange(request, response)
        downstream.observe({
          onDrain: () => void events.drains++,
          onGone: () => {
            events.gone++
            events.isSentWhenGone = downstream.isSent
          },
        })
        serve(downstream, events)
      }),
    )
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    whenOver(() => {
      server.closeAllConnections()
      server.close()
    })
    return { port: (server.address() as AddressInfo).port, exchanges }
  }

  it('passes the body and its trailers to the reader and reports that the body is complete', async () => {
    const body: string[] = []
    const { port } = await start((downstream) => {
      downstream.readBody(
        reader({
          onBodyBytes: (bytes) => void body.push(bytes.toString()),
          onBodyEnd: () => {
            expect(downstream.isBodyComplete).toBe(true)
            expect(downstream.requestTrailers).toEqual(['X-Sum', '7'])
            respondText(downstream, 'ok')
          },
        }),
      )
    })
    const chunks = '3\r\none\r\n3\r\ntwo\r\n0\r\nX-Sum: 7\r\n\r\n'
    const head = 'POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n'
    expect(await exchange(port, head + chunks)).toMatchObject({ status: 200, body: 'ok' })
    expect(body.join('')).toBe('onetwo')
  })

  it('stops reading the body while it is paused', async () => {
    let received = 0
    let paused: DownstreamExchange | undefined
    const { port } = await start((downstream) => {
      downstream.readBody(
        reader({
          onBodyBytes: (bytes) => {
            received += bytes.length
            if (paused !== undefined) return
            paused = downstream
            downstream.pauseBody()
          },
          onBodyEnd: () => respondText(downstream, 'ok'),
        }),
      )
    })
    const client = await connectRaw(port)
    client.send(`POST / HTTP/1.1\r\nHost: a\r\nContent-Length: ${32 * MIB}\r\n\r\n`)
    client.send(Buffer.alloc(32 * MIB))
    await until(() => paused !== undefined)
    expect(paused?.isBodyPaused).toBe(true)
    expect(received).toBeLessThan(MIB)
    paused?.resumeBody()
    await client.receives(/\r\n\r\nok$/)
    expect(received).toBe(32 * MIB)
  })

  it('discards the rest of a body, so that the next request on the connection is served', async () => {
    const { port, exchanges } = await start((downstream) => {
      downstream.readBody(reader({ onBodyBytes: () => {}, onBodyEnd: () => {} }))
      downstream.discardBody()
      void until(() => downstream.isBodyComplete).then(() => respondText(downstream, 'ok'))
    })
    const client = await connectRaw(port)
    client.send(`POST / HTTP/1.1\r\nHost: a\r\nContent-Length: ${MIB}\r\n\r\n`)
    client.send(Buffer.alloc(MIB))
    client.send(GET)
    await until(() => exchanges.length === 2 && client.received().split('\r\n\r\nok').length === 3)
    client.destroy()
  })

  it('tells the reader when the client leaves before the end of its body', async () => {
    let isCompleteAtClose: boolean | undefined
    const { port } = await start((downstream) => {
      downstream.readBody(
        reader({
          onBodyBytes: () => {},
          onBodyClose: () => {
            isCompleteAtClose = downstream.isBodyComplete
          },
        }),
      )
    })
    const client = await connectRaw(port)
    client.send('POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nhalf')
    client.socket.end()
    await until(() => isCompleteAtClose !== undefined)
    expect(isCompleteAtClose).toBe(false)
  })

  it('sends a head without a body at the end of the turn', async () => {
    const { port } = await start((downstream) => downstream.respond(200, 'OK', ['X-Early', '1']))
    const client = await connectRaw(port)
    client.send(GET)
    await client.receives(/X-Early: 1\r\n.*\r\n\r\n$/s)
    client.destroy()
  })

  it('sends informational responses before the final one', async () => {
    const { port } = await start((downstream) => {
      downstream.inform(103, ['Link', '</a>'])
      expect(downstream.sentStatus).toBeUndefined()
      respondText(downstream, 'ok')
      expect(downstream.sentStatus).toBe(200)
    })
    const client = await connectRaw(port)
    client.send(GET)
    await client.receives(/^HTTP\/1\.1 103 .*Link: <\/a>.*HTTP\/1\.1 200 OK/s)
    client.destroy()
  })

  it('sends no informational response to an HTTP/1.0 client', async () => {
    const { port } = await start((downstream) => {
      downstream.inform(103, ['Link', '</a>'])
      respondText(downstream, 'ok')
    })
    const { head } = await exchange(port, 'GET / HTTP/1.0\r\n\r\n')
    expect(head).not.toContain('103')
  })

  it.each([10, 5000, 100_000])('copies or keeps a piece of %i bytes, as its return value states', async (length) => {
    const { port } = await start((downstream) => {
      downstream.respond(200, 'OK', ['Content-Length', String(2 * length)])
      const bytes = Buffer.alloc(length, 'a')
      for (const letter of ['a', 'b']) {
        const piece = letter === 'a' ? bytes : Buffer.alloc(length, letter)
        if (downstream.write(piece, 0, length)) piece.fill('x')
      }
      downstream.end([])
    })
    expect((await exchange(port, GET)).body).toBe('a'.repeat(length) + 'b'.repeat(length))
  })

  it('is blocked while the client does not read, and reports when the client reads again', async () => {
    let blocked: DownstreamExchange | undefined
    const { port, exchanges } = await start((downstream) => {
      blocked = downstream
      downstream.respond(200, 'OK', ['Content-Length', String(64 * MIB)])
      for (let i = 0; i < 64; i++) downstream.write(Buffer.alloc(MIB), 0, MIB)
    })
    const client = await connectRaw(port)
    client.socket.pause()
    client.send(GET)
    await until(() => blocked?.isBlocked === true)
    expect(blocked?.waitingBytes).toBeGreaterThan(0)
    client.socket.resume()
    await until(() => exchanges[0]?.drains === 1)
    expect(blocked?.isBlocked).toBe(false)
    client.destroy()
  })

  it('ends a chunked response with a last text and trailers', async () => {
    const { port } = await start((downstream) => {
      downstream.respond(200, 'OK', ['Transfer-Encoding', 'chunked', 'Trailer', 'X-Sum'])
      downstream.write(Buffer.from('one'), 0, 3)
      downstream.end([['X-Sum', '7']], 'two')
    })
    const { body } = await exchange(port, GET)
    expect(body).toMatch(/onetwo\r\n0\r\nX-Sum: 7\r\n\r\n$/)
  })

  it('answers with a problem document and closes the connection where that is announced', async () => {
    const { port } = await start((downstream) => downstream.respondError('overloaded', 'id-1', true))
    const { status, head, body, isClosed } = await exchange(port, GET)
    expect({ status, isClosed }).toEqual({ status: 503, isClosed: true })
    expect(head).toContain('application/problem+json')
    expect(JSON.parse(body)).toMatchObject({ status: 503, requestId: 'id-1' })
  })

  it('cuts an HTTP/1.1 response so that its client gets the bytes but not the end', async () => {
    const { port } = await start((downstream) => {
      downstream.respond(200, 'OK', ['Transfer-Encoding', 'chunked'])
      downstream.write(Buffer.from('half'), 0, 4)
      downstream.abort()
    })
    const client = await connectRaw(port)
    client.send(GET)
    expect(await client.closes()).toMatch(/half\r\n$/)
  })

  it('resets the connection of an HTTP/1.0 client whose response is cut', async () => {
    const { port } = await start((downstream) => {
      downstream.respond(200, 'OK', [])
      downstream.write(Buffer.from('half'), 0, 4)
      setImmediate(() => downstream.abort())
    })
    const client = await connectRaw(port)
    let code: string | undefined
    client.socket.on('error', (error: NodeJS.ErrnoException) => {
      code = error.code
    })
    client.send('GET / HTTP/1.0\r\n\r\n')
    await client.closes()
    expect(code).toBe('ECONNRESET')
  })

  it('lets a client that is still sending read the whole response before the connection closes', async () => {
    const { port } = await start((downstream) => {
      downstream.closeAfterResponse()
      downstream.respond(200, 'OK', ['Content-Length', '2', 'Connection', 'close'])
      downstream.write(Buffer.from('ok'), 0, 2)
      downstream.end([])
      downstream.discardBody()
    })
    const client = await connectRaw(port)
    client.send(`POST / HTTP/1.1\r\nHost: a\r\nContent-Length: ${8 * MIB}\r\n\r\n`)
    client.send(Buffer.alloc(8 * MIB))
    expect(await client.closes()).toMatch(/\r\n\r\nok$/)
  })

  it('reports once that the exchange is over, after the whole response was sent', async () => {
    const { port, exchanges } = await start((downstream) => respondText(downstream, 'ok'))
    await exchange(port, GET)
    await until(() => exchanges[0]?.gone === 1)
    expect(exchanges).toEqual([{ drains: 0, gone: 1, isSentWhenGone: true }])
  })

  it('reports once that the exchange is over when the client leaves before the response', async () => {
    const { port, exchanges } = await start(() => {})
    const client = await connectRaw(port)
    client.send(GET)
    await until(() => exchanges.length === 1)
    client.destroy()
    await until(() => exchanges[0]?.gone === 1)
    expect(exchanges).toEqual([{ drains: 0, gone: 1, isSentWhenGone: false }])
  })
})

function reader(calls: Partial<BodyReader> & Pick<BodyReader, 'onBodyBytes'>): BodyReader {
  return { onBodyEnd: () => {}, onBodyClose: () => {}, ...calls }
}

function respondText(downstream: DownstreamExchange, text: string): void {
  downstream.respond(200, 'OK', ['Content-Length', String(text.length)])
  downstream.write(Buffer.from(text), 0, text.length)
  downstream.end([])
}
