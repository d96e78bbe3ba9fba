import { once } from 'node:events'
import { createServer, type ServerResponse } from 'node:http'
import type { AddressInfo, Socket } from 'node:net'
import { describe, expect, onTestFinished, test } from 'vitest'
import { connectRaw } from '../../../test/kit/raw.ts'
import { until } from '../../../test/kit/until.ts'
import { limitConnections } from './connection-limit.ts'

const REQUEST = 'GET / HTTP/1.1\r\nHost: localhost\r\n\r\n'

/** A server with a limit of three connections, whose requests wait until the test answers them. */
async function startServer({ ofAddress = 3, areUnidentified = false } = {}) {
  const waiting: ServerResponse[] = []
  const unidentified = new Set<Socket>()
  const server = createServer((request, response) => {
    if (areUnidentified) unidentified.add(request.socket)
    waiting.push(response)
  })
  limitConnections(server, { inAll: 3, ofAddress, unidentified })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  onTestFinished(() => {
    server.closeAllConnections()
    server.close()
  })
  let [connections, made, left] = [0, 0, 0]
  server.on('connection', (socket: Socket) => {
    connections++
    socket.once('close', () => left++)
  })
  const { port } = server.address() as AddressInfo
  const connect = async () => {
    made++
    const client = await connectRaw(port)
    await until(() => connections === made)
    onTestFinished(client.destroy)
    return client
  }
  const ask = async () => {
    const client = await connect()
    const count = waiting.length
    client.send(REQUEST)
    await until(() => waiting.length > count || client.isClosed())
    return client
  }
  const leave = async () => {
    const count = left
    const client = await connect()
    client.destroy()
    await until(() => left > count)
  }
  return { connect, ask, leave, waiting }
}

describe('a connection above the limit', () => {
  test('evicts the caller that has waited longest to be identified, if all callers wait', async () => {
    const { ask, waiting } = await startServer({ areUnidentified: true })
    const [first, second, third] = [await ask(), await ask(), await ask()]
    const fourth = await ask()
    await first.closes()
    waiting.at(-1)?.end('here you are')
    expect(await fourth.receives('here you are')).toMatch(/^HTTP\/1.1 200 /)
    expect([second.isClosed(), third.isClosed()]).toEqual([false, false])
  })

  test('evicts the longest-idle connection', async () => {
    const { connect, ask, waiting } = await startServer()
    const [first, second, third] = [await connect(), await connect(), await connect()]
    const fourth = await ask()
    await first.closes()
    waiting[0]?.end('here you are')
    expect(await fourth.receives('here you are')).toMatch(/^HTTP\/1.1 200 /)
    expect([second.isClosed(), third.isClosed()]).toEqual([false, false])
  })

  test('is closed itself if all other connections have active requests', async () => {
    const { connect, ask, waiting } = await startServer()
    const asking = [await ask(), await ask(), await ask()]
    const late = await connect()
    await late.closes()
    expect(asking.map((client) => client.isClosed())).toEqual([false, false, false])
    for (const [i, client] of asking.entries()) {
      waiting[i]?.end(`answer ${i}`)
      await client.receives(`answer ${i}`)
    }
  })

  test('does not evict a connection with a second active request', async () => {
    const { connect, waiting } = await startServer()
    const client = await connect()
    client.send(REQUEST + REQUEST)
    await until(() => waiting.length === 2)
    waiting[0]?.end('one')
    await client.receives('one')
    const others = [await connect(), await connect(), await connect()]
    await others[0]?.closes()
    waiting[1]?.end('two')
    await client.receives('two')
  })

  test('evicts by idle time since the last answer', async () => {
    const { connect, ask, waiting } = await startServer()
    const first = await ask()
    const second = await connect()
    waiting[0]?.end('done')
    await first.receives('done')
    await connect()
    await connect()
    await second.closes()
    expect(first.isClosed()).toBe(false)
  })

  test('does not count connections that were closed', async () => {
    const { connect, ask, leave } = await startServer()
    const silent = await connect()
    for (let i = 0; i < 5; i++) await leave()
    await ask()
    expect(silent.isClosed()).toBe(false)
  })

  test('of one address evicts the longest-idle connection of that address', async () => {
    const { connect, ask } = await startServer({ ofAddress: 2 })
    const [first, second] = [await connect(), await ask()]
    const third = await connect()
    await first.closes()
    expect([second.isClosed(), third.isClosed()]).toEqual([false, false])
  })
})
