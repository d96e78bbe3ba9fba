// The admin port has few connections. A new client evicts the one that has been idle for the longest time: otherwise 256 silent
// connections would keep out the operator, and the probe that decides whether this gateway lives.
import type { IncomingMessage, Server, ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import { networkOf } from './by-network.ts'

export type ConnectionLimits = {
  readonly inAll: number
  /** From one address, or one IPv6 network of 64 bits. */
  readonly ofAddress: number
  /** Whether the limit of one address does not hold for this one, as many clients come from it: a trusted proxy. */
  readonly isShared?: (address: string) => boolean
  /** Connections whose request waits until the caller's token is checked, the longest-waiting first. */
  readonly unidentified?: ReadonlySet<Socket>
}

/**
 * Evicts the longest-idle connection where a limit is exceeded. Where every other has a request under way: the one whose caller has waited
 * longest to be identified, so that callers with junk tokens keep nobody out; else the new one.
 */
export function makeRoom(
  server: Server,
  { inAll, ofAddress, isShared = () => false, unidentified = new Set() }: ConnectionLimits,
): void {
  /** Requests under way on each connection. */
  const underWay = new Map<Socket, number>()
  /** Connections without one, in the order in which they came to be. */
  const idle = new Set<Socket>()
  const networks = new Map<Socket, string>()
  const sizes = new Map<string, number>()

  server.on('connection', (socket: Socket) => {
    const address = socket.remoteAddress ?? 'unknown'
    const network = networkOf(address)
    const size = (sizes.get(network) ?? 0) + 1
    underWay.set(socket, 0)
    idle.add(socket)
    networks.set(socket, network)
    sizes.set(network, size)
    socket.once('close', () => forget(socket))
    if (size > ofAddress && !isShared(address)) makeRoomFor(socket, network)
    else if (underWay.size > inAll) makeRoomFor(socket)
  })

  server.on('request', ({ socket }: IncomingMessage, response: ServerResponse) => {
    count(socket, 1)
    response.once('close', () => count(socket, -1))
  })

  function makeRoomFor(newcomer: Socket, network?: string): void {
    const longestIdle = firstOf(idle, network)
    evict(longestIdle === newcomer ? (firstOf(unidentified, network) ?? newcomer) : longestIdle)
  }

  function firstOf(sockets: ReadonlySet<Socket>, network?: string): Socket | undefined {
    for (const socket of sockets)
      if (networks.has(socket) && (network === undefined || networks.get(socket) === network)) return socket
    return undefined
  }

  function evict(socket: Socket | undefined): void {
    if (socket === undefined) return
    // Not counted from here on, though its close is announced later.
    forget(socket)
    socket.destroy()
  }

  function forget(socket: Socket): void {
    const network = networks.get(socket)
    if (network === undefined) return
    underWay.delete(socket)
    idle.delete(socket)
    networks.delete(socket)
    const size = (sizes.get(network) ?? 0) - 1
    if (size > 0) sizes.set(network, size)
    else sizes.delete(network)
  }

  function count(socket: Socket, more: 1 | -1): void {
    const before = underWay.get(socket)
    if (before === undefined) return
    underWay.set(socket, before + more)
    if (before + more === 0) idle.add(socket)
    else idle.delete(socket)
  }
}
