// Connections are few, and whoever only holds one makes room for who comes: else 256 that say nothing keep the operator
// out, and the probe that decides whether this gateway lives.
import type { IncomingMessage, Server, ServerResponse } from 'node:http'
import type { Socket } from 'node:net'

/** Ends the one that has been without a request for the longest time where there are more than `most`. */
export function makeRoom(server: Server, most: number): void {
  /** Requests under way on each connection. */
  const underWay = new Map<Socket, number>()
  /** Connections without one, in the order in which they came to be. */
  const idle = new Set<Socket>()

  server.on('connection', (socket: Socket) => {
    underWay.set(socket, 0)
    idle.add(socket)
    socket.once('close', () => {
      underWay.delete(socket)
      idle.delete(socket)
    })
    if (underWay.size > most) end(idle.values().next().value)
  })

  server.on('request', ({ socket }: IncomingMessage, response: ServerResponse) => {
    count(socket, 1)
    response.once('close', () => count(socket, -1))
  })

  function end(socket: Socket | undefined): void {
    if (socket === undefined) return
    // Gone from here on, whenever its close is told.
    underWay.delete(socket)
    idle.delete(socket)
    socket.destroy()
  }

  function count(socket: Socket, more: 1 | -1): void {
    const before = underWay.get(socket)
    if (before === undefined) return
    underWay.set(socket, before + more)
    if (before + more === 0) idle.add(socket)
    else idle.delete(socket)
  }
}
