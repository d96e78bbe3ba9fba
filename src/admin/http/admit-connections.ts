// A connection costs the thread that serves clients a hundred microseconds and twenty kilobytes, even if it is closed at once. Here a
// flood of connections waits at a price of a tenth, and networks take turns.
import type { Server } from 'node:http'
import type { Socket } from 'node:net'
import { TokenBucket } from '../../lib/token-bucket.ts'
import { networkOf } from './network-map.ts'

type AdmissionLimits = {
  /** Connections that are admitted at once. */
  readonly burst: number
  /** Milliseconds after which another connection is admitted. */
  readonly everyMs: number
  /** Connections that wait. The oldest one of the network with most of them is closed for a new one. */
  readonly waiting: number
}

/**
 * Delays connections above the limits: until a connection is admitted, no other listener of the server receives it and nothing is read from
 * it. To be called after all listeners for connections were added.
 *
 * @param now milliseconds of a monotonic clock
 * @returns a function that closes the connections that wait
 */
export function admitConnections(
  server: Server,
  { burst, everyMs, waiting }: AdmissionLimits,
  now: () => number,
): () => void {
  const listeners = server.listeners('connection')
  const bucket = new TokenBucket(burst, everyMs, now())
  /** By network, in the order in which the networks are served. No queue is empty. */
  const queues = new Map<string, Socket[]>()
  let size = 0
  let isPending = false
  server.removeAllListeners('connection')
  // As the option of net.createServer, which http.createServer does not pass on.
  ;(server as Server & { pauseOnConnect: boolean }).pauseOnConnect = true
  server.on('connection', (socket: Socket) => {
    if (size === 0 && bucket.take(now()) === 0) admit(socket)
    else wait(socket)
  })
  return () => {
    for (const socket of [...queues.values()].flat()) socket.destroy()
  }

  function admit(socket: Socket): void {
    for (const listener of listeners) listener.call(server, socket)
    socket.resume()
  }

  function wait(socket: Socket): void {
    socket.on('error', ignore)
    const network = networkOf(socket.remoteAddress ?? 'unknown')
    const queue = queues.get(network)
    if (queue === undefined) queues.set(network, [socket])
    else queue.push(socket)
    size++
    if (size > waiting) closeOldest()
    schedule()
  }

  function admitNext(): void {
    isPending = false
    while (size > 0 && bucket.take(now()) === 0) {
      const [first] = queues
      const [network, queue] = first as [string, Socket[]]
      const socket = queue.shift() as Socket
      size--
      queues.delete(network)
      if (queue.length > 0) queues.set(network, queue)
      socket.off('error', ignore)
      if (!socket.destroyed) admit(socket)
    }
    if (size > 0) schedule()
  }

  function schedule(): void {
    if (!isPending) setTimeout(admitNext, everyMs).unref()
    isPending = true
  }

  function closeOldest(): void {
    let longest: [string, Socket[]] | undefined
    for (const entry of queues) if (longest === undefined || entry[1].length > longest[1].length) longest = entry
    if (longest === undefined) return
    const [network, queue] = longest
    queue.shift()?.destroy()
    size--
    if (queue.length === 0) queues.delete(network)
  }
}

function ignore(): void {}
