import { once } from 'node:events'
import { createServer, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { describe, expect, onTestFinished, test } from 'vitest'
import { connectRaw } from '../../test/kit/raw.ts'
import { until } from '../../test/kit/until.ts'
import { limitRequests, parseInPieces } from './limit-requests.ts'

const ASKING = 'GET / HTTP/1.1\r\nHost: localhost\r\n\r\n'

/** A server whose requests wait until the test answers them. */
async function small() {
  const handled: ServerResponse[] = []
  const handle = limitRequests((_request, response) => void handled.push(response), { ofConnection: 3, inAll: 5 })
  const server = createServer(handle)
  parseInPieces(server)
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
  test('within the limit of their connection are answered in turn, and make room for more', async () => {
    const { connect, handled } = await small()
    const client = await connect()
    for (let round = 0; round < 3; round++) {
      client.send(ASKING.repeat(3))
      for (let i = 0; i < 3; i++) {
        await until(() => handled.length === 3 * round + i + 1)
        handled.at(-1)?.end(`round ${round}`)
      }
      await until(() => client.received().split(`round ${round}`).length === 4)
    }
    expect(client.isClosed()).toBe(false)
  })

  test('above the limit of their connection end it, and no more of them are handled', async () => {
    const { connect, handled, parsed } = await small()
    const client = await connect()
    client.send(ASKING.repeat(400))
    await client.closes()
    expect(handled).toHaveLength(1)
    expect(parsed()).toBeLessThan(30)
  })

  test('above the limit in all get 503 and a time to come back where they are pipelined; those of closed connections do not count', async () => {
    const { connect, handled } = await small()
    const [first, second, third] = [await connect(), await connect(), await connect()]
    first.send(ASKING.repeat(3))
    second.send(ASKING.repeat(2))
    await until(() => handled.length === 2)
    third.send(ASKING.repeat(2))
    await until(() => handled.length === 3)
    handled[2]?.end('the first of its connection')
    const answers = await third.receives('Retry-After: 1')
    expect(answers).toMatch(/^HTTP\/1.1 200 [\s\S]*the first of its connectionHTTP\/1.1 503 /)
    first.destroy()
    await until(() => handled[0]?.destroyed === true)
    const fourth = await connect()
    fourth.send(ASKING.repeat(2))
    await until(() => handled.length === 4)
    handled[3]?.end()
    await until(() => handled.length === 5)
  })
})
