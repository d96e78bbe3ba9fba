import dns from 'node:dns'
import http from 'node:http'
import type { AddressInfo } from 'node:net'
import { describe, expect, it, onTestFinished, vi } from 'vitest'
import { compile } from '../../config/load/compile.ts'
import { validate } from '../../config/schema/validate.ts'
import type { Connection } from './connection.ts'
import { ConnectionPool, type Waiter } from './connection-pool.ts'

const URL_OF_NOBODY = 'http://127.0.0.1:1'

function open(connections: number, queue: number, url = URL_OF_NOBODY): ConnectionPool {
  const validated = validate({ legacy: { url, connections, queue } })
  if (!validated.ok) throw new Error('the config is not valid')
  return new ConnectionPool(url, '', { ...compile(validated.config).legacy }, () => performance.now())
}

type Told = Waiter & { readonly got: Connection[] }

function waiter(): Told {
  const got: Connection[] = []
  return { isWaiting: false, got, onConnection: (connection) => void got.push(connection) }
}

/** Takes a connection that is available. */
function take(connections: ConnectionPool): Connection {
  const taken = connections.take(waiter())
  if (typeof taken === 'string') throw new Error(taken)
  return taken
}

function counts({ open, inUse, waiting }: ConnectionPool) {
  return { open, inUse, waiting }
}

describe('a connection pool', () => {
  it('opens connections up to its limit, then queues requests up to the limit of the queue, and then is full', () => {
    const connections = open(2, 2)
    take(connections)
    take(connections)
    expect(connections.take(waiter())).toBe('queued')
    expect(connections.take(waiter())).toBe('queued')
    expect(connections.take(waiter())).toBe('full')
    expect(counts(connections)).toEqual({ open: 2, inUse: 2, waiting: 2 })
  })

  it('reuses the connection first that was used last', () => {
    const connections = open(3, 0)
    const [first, second] = [take(connections), take(connections)]
    connections.release(first)
    connections.release(second)
    expect(take(connections)).toBe(second)
    expect(take(connections)).toBe(first)
    expect(counts(connections)).toEqual({ open: 2, inUse: 2, waiting: 0 })
  })

  it('serves waiters in the order of their arrival and skips waiters that have left', () => {
    const connections = open(1, 3)
    const connection = take(connections)
    const [first, leaver, third] = [waiter(), waiter(), waiter()]
    for (const who of [first, leaver, third]) connections.take(who)
    connections.leave(leaver)
    expect(counts(connections)).toEqual({ open: 1, inUse: 1, waiting: 2 })
    connections.release(connection)
    connections.release(connection)
    connections.release(connection)
    expect([first, leaver, third].map(({ got }) => got.length)).toEqual([1, 0, 1])
    expect(counts(connections)).toEqual({ open: 1, inUse: 0, waiting: 0 })
  })

  it('queues another request as soon as a waiter has left the queue', () => {
    const connections = open(1, 1)
    take(connections)
    const leaver = waiter()
    connections.take(leaver)
    expect(connections.take(waiter())).toBe('full')
    connections.leave(leaver)
    connections.leave(leaver)
    expect(connections.take(waiter())).toBe('queued')
    expect(connections.take(waiter())).toBe('full')
  })

  it('serves the remaining waiters after tens of thousands have come and left', () => {
    const connections = open(1, 4)
    const connection = take(connections)
    for (let i = 0; i < 50_000; i++) {
      const leaver = waiter()
      expect(connections.take(leaver)).toBe('queued')
      connections.leave(leaver)
    }
    const last = waiter()
    connections.take(last)
    connections.release(connection)
    expect(last.got).toEqual([connection])
    expect(counts(connections)).toEqual({ open: 1, inUse: 1, waiting: 0 })
  })

  it('opens a new connection for the next waiter when a closed one is released', () => {
    const connections = open(1, 1)
    const connection = take(connections)
    const next = waiter()
    connections.take(next)
    connection.abort(new Error('too slow'))
    connections.release(connection)
    expect(next.got).toHaveLength(1)
    expect(next.got[0]).not.toBe(connection)
    expect(counts(connections)).toEqual({ open: 1, inUse: 1, waiting: 0 })
    next.got[0]?.abort(new Error('too slow'))
    connections.release(next.got[0] as Connection)
    expect(counts(connections)).toEqual({ open: 0, inUse: 0, waiting: 0 })
  })

  it('counts a replaced connection once', () => {
    const connections = open(1, 0)
    const connection = take(connections)
    const fresh = connections.replace(connection)
    expect(fresh).not.toBe(connection)
    expect(connection.isDone).toBe(true)
    expect(counts(connections)).toEqual({ open: 1, inUse: 1, waiting: 0 })
  })

  it('closes connections of a retired address when they are idle', () => {
    const connections = open(2, 0)
    const [busy, idle] = [take(connections), take(connections)]
    connections.release(idle)
    connections.retire()
    expect(idle.isDone).toBe(true)
    expect(busy.isDone).toBe(false)
    connections.release(busy)
    expect(busy.isDone).toBe(true)
    expect(connections.open).toBe(0)
  })
})

describe('an upstream whose name resolves to another address', () => {
  /** A server, on a given port if there is one, that responds with its own address. */
  async function startAt(address: string, port = 0) {
    const server = http.createServer((_request, response) => void response.end(address))
    await new Promise<void>((resolve) => server.listen(port, address, resolve))
    onTestFinished(() => {
      server.closeAllConnections()
      server.close()
    })
    return { server, port: (server.address() as AddressInfo).port }
  }

  function askOn(connections: ConnectionPool): Promise<{ answer: string; connection: Connection }> {
    const connection = take(connections)
    let answer = ''
    return new Promise((resolve, reject) => {
      connection.send(
        {
          method: 'GET',
          path: '/',
          fields: ['Host', 'orders.test'],
          body: undefined,
          isChunked: false,
          trailers: undefined,
          mayBeReused: true,
        },
        {
          onSent: () => {},
          onHead: () => {},
          onBody: (bytes, start, end) => {
            answer += bytes.toString('latin1', start, end)
            return true
          },
          onEnd: () => {
            connections.release(connection)
            resolve({ answer, connection })
          },
          onError: reject,
        },
      )
    })
  }

  it('gets the next new connection at that address, while open connections stay', async () => {
    const { port } = await startAt('127.0.0.1')
    await startAt('127.0.0.2', port)
    let address = '127.0.0.1'
    const lookup = vi.spyOn(dns, 'lookup')
    onTestFinished(() => lookup.mockRestore())
    lookup.mockImplementation(((_name: string, _options: object, done: (...result: unknown[]) => void) =>
      done(null, [{ address, family: 4 }])) as unknown as typeof dns.lookup)
    const connections = open(2, 0, `http://orders.test:${port}`)
    onTestFinished(() => connections.retire())

    const first = await askOn(connections)
    address = '127.0.0.2'
    const onTheOpenOne = await askOn(connections)
    onTheOpenOne.connection.abort(new Error('the old address goes away'))
    const onTheNew = await askOn(connections)
    expect([first, onTheOpenOne, onTheNew].map(({ answer }) => answer)).toEqual(['127.0.0.1', '127.0.0.1', '127.0.0.2'])
    expect(lookup.mock.calls.map(([name]) => name)).toEqual(['orders.test', 'orders.test'])
  })
})
