import { once } from 'node:events'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { describe, expect, onTestFinished, test } from 'vitest'
import { connectRaw } from '../../../test/kit/raw.ts'
import { until } from '../../../test/kit/until.ts'
import { queueRequests } from './request-queue.ts'

const REQUEST = 'GET / HTTP/1.1\r\nHost: localhost\r\n\r\n'

/** A server whose requests wait until the test answers them. */
async function startServer() {
  const handled: ServerResponse[] = []
  const server = createServer()
  const handle = (request: IncomingMessage, response: ServerResponse) => {
    request.resume().once('end', () => void handled.push(response))
  }
  queueRequests(server, handle, 2)
  let parsed = 0
  server.on('request', () => parsed++)
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  onTestFinished(() => {
    server.closeAllConnections()
    server.close()
  })
  const connect = async () => {
    const client = await connectRaw((server.address() as AddressInfo).port)
    onTestFinished(client.destroy)
    return client
  }
  return { connect, handled, parsed: () => parsed }
}

describe('waiting requests', () => {
  test('within the limit are answered in order, and further requests follow', async () => {
    const { connect, handled } = await startServer()
    const client = await connect()
    for (let round = 0; round < 3; round++) {
      client.send(REQUEST.repeat(3))
      for (let i = 0; i < 3; i++) {
        await until(() => handled.length === 3 * round + i + 1)
        handled.at(-1)?.end(`round ${round}`)
      }
      await until(() => client.received().split(`round ${round}`).length === 4)
    }
    expect(client.isClosed()).toBe(false)
  })

  test('above the limit end their connection, and none is handled', async () => {
    const { connect, handled, parsed } = await startServer()
    const client = await connect()
    client.send(REQUEST.repeat(400))
    await client.closes()
    expect(handled).toHaveLength(0)
    expect(parsed()).toBe(1)
  })

  test('above the limit end their connection, also if they arrive after the first is handled', async () => {
    const { connect, handled, parsed } = await startServer()
    const client = await connect()
    client.send(REQUEST)
    await until(() => handled.length === 1)
    client.send(REQUEST.repeat(2))
    client.send(REQUEST.repeat(400))
    await client.closes()
    expect(handled).toHaveLength(1)
    expect(parsed()).toBe(1)
  })
})

describe('a body', () => {
  const posting = (body: string) =>
    `POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: ${body.length}\r\n\r\n${body}`

  test('of blank lines is not parsed as requests, whatever its chunks and the bytes behind it', async () => {
    const text = posting('\r\n\r\n'.repeat(1_000)) + posting('x') + REQUEST
    for (const pieces of [[text], [text.slice(0, 1_500), text.slice(1_500)], text.match(/.{1,97}/gs) ?? []]) {
      const { connect, handled, parsed } = await startServer()
      const client = await connect()
      for (const piece of pieces) client.send(piece)
      for (let i = 0; i < 3; i++) {
        await until(() => handled.length === i + 1)
        handled[i]?.end(`answer ${i}`)
      }
      await until(() => client.received().includes('answer 2'))
      expect(parsed()).toBe(3)
    }
  })
})
