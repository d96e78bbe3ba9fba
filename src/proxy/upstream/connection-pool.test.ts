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

/** Takes one that is there to be had. */
function take(connections: ConnectionPool): Connection {
  const taken = connections.take(waiter())
  if (typeof taken === 'string') throw new Error(taken)
  return taken
}

function counts({ open, inUse, waiting }: ConnectionPool) {
  return { open, inUse, waiting }
}

describe('connections', () => {
  it('are opened up to the limit, then requests wait up to the queue’s, and then it is full', () => {
    const connections = open(2, 2)
    take(connections)
    take(connections)
    expect(connections.take(waiter())).toBe('queued')
    expect(connections.take(waiter())).toBe('queued')
    expect(connections.take(waiter())).toBe('full')
    expect(counts(connections)).toEqual({ open: 2, inUse: 2, waiting: 2 })
  })

  it('are used again, the last one first', () => {
    const connections = open(3, 0)
    const [one, two] = [take(connections), take(connections)]
    connections.release(one)
    connections.release(two)
    expect(take(connections)).toBe(two)
    expect(take(connections)).toBe(one)
    expect(counts(connections)).toEqual({ open: 2, inUse: 2, waiting: 0 })
  })

  it('go to those who wait in the order in which they came, and never to one who has left', () => {
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

  it('keep a place for a newcomer as soon as somebody has left the queue', () => {
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

  it('serve whoever still waits after tens of thousands have come and left', () => {
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

  it('that were given up are made anew for the next', () => {
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

  it('are replaced one for one', () => {
    const connections = open(1, 0)
    const connection = take(connections)
    const fresh = connections.replace(connection)
    expect(fresh).not.toBe(connection)
    expect(connection.isDone).toBe(true)
    expect(counts(connections)).toEqual({ open: 1, inUse: 1, waiting: 0 })
  })

  it('of a config that is no longer in use close when they are idle', () => {
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

describe('an upstream whose name is given another address', () => {
  /** A server on a port, if one is given, that says its own address. */
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

  it('is asked there by the next connection that is made; those that are open stay where they are', async () => {
    const { port } = await startAt('127.0.0.1')
    await startAt('127.0.0.2', port)
    let address = '127.0.0.1'
    const lookup = vi.spyOn(dns, 'lookup')
    onTestFinished(() => lookup.mockRestore())
    lookup.mockImplementation(((_name: string, _options: object, done: (...found: unknown[]) => void) =>
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
