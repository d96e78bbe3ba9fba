import type { Client } from 'undici'
import { describe, expect, it } from 'vitest'
import { compile } from '../config/compile.ts'
import { validate } from '../config/validate.ts'
import { Connections, type Waiter } from './connections.ts'

const URL_OF_NOBODY = 'http://127.0.0.1:1'

function open(connections: number, queue: number): Connections {
  const validated = validate({ legacy: { url: URL_OF_NOBODY, connections, queue } })
  if (!validated.ok) throw new Error('the config is not valid')
  return new Connections(URL_OF_NOBODY, '', { ...compile(validated.config).legacy })
}

type Told = Waiter & { readonly got: Client[] }

function waiter(): Told {
  const got: Client[] = []
  return { isWaiting: false, got, onConnection: (client) => void got.push(client) }
}

/** Takes one that is there to be had. */
function take(connections: Connections): Client {
  const taken = connections.take(waiter())
  if (typeof taken === 'string') throw new Error(taken)
  return taken
}

function counts({ open, inUse, waiting }: Connections) {
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
    const client = take(connections)
    const [first, leaver, third] = [waiter(), waiter(), waiter()]
    for (const who of [first, leaver, third]) connections.take(who)
    connections.leave(leaver)
    expect(counts(connections)).toEqual({ open: 1, inUse: 1, waiting: 2 })
    connections.release(client)
    connections.release(client)
    connections.release(client)
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
    const client = take(connections)
    for (let i = 0; i < 50_000; i++) {
      const leaver = waiter()
      expect(connections.take(leaver)).toBe('queued')
      connections.leave(leaver)
    }
    const last = waiter()
    connections.take(last)
    connections.release(client)
    expect(last.got).toEqual([client])
    expect(counts(connections)).toEqual({ open: 1, inUse: 1, waiting: 0 })
  })

  it('that were given up are made anew for the next', () => {
    const connections = open(1, 1)
    const client = take(connections)
    const next = waiter()
    connections.take(next)
    connections.giveUp(client, new Error('too slow'))
    connections.release(client)
    expect(next.got).toHaveLength(1)
    expect(next.got[0]).not.toBe(client)
    expect(counts(connections)).toEqual({ open: 1, inUse: 1, waiting: 0 })
    connections.giveUp(next.got[0] as Client, new Error('too slow'))
    connections.release(next.got[0] as Client)
    expect(counts(connections)).toEqual({ open: 0, inUse: 0, waiting: 0 })
  })

  it('are replaced one for one', () => {
    const connections = open(1, 0)
    const client = take(connections)
    const fresh = connections.replace(client)
    expect(fresh).not.toBe(client)
    expect(client.destroyed).toBe(true)
    expect(counts(connections)).toEqual({ open: 1, inUse: 1, waiting: 0 })
  })

  it('of a config that is no longer in use close when they are idle', () => {
    const connections = open(2, 0)
    const [busy, idle] = [take(connections), take(connections)]
    connections.release(idle)
    connections.retire()
    expect(idle.destroyed).toBe(true)
    expect(busy.destroyed).toBe(false)
    connections.release(busy)
    expect(busy.destroyed).toBe(true)
    expect(connections.open).toBe(0)
  })
})
