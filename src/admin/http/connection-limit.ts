// Limits the connections of the admin port. When a limit is reached, a new connection evicts the longest-idle one: otherwise 256
// silent connections would keep out the operator, and the liveness probe of this gateway.
import type { IncomingMessage, Server, ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import { networkOf } from './network-map.ts'

type ConnectionLimits = {
  readonly inAll: number
  /** From one IPv4 address, or one IPv6 /64 network. */
  readonly ofAddress: number
  /** Whether many clients share this address, so that `ofAddress` does not apply: a trusted proxy. */
  readonly isShared?: (address: string) => boolean
  /** Connections whose request waits until the caller's token is checked, the longest-waiting first. */
  readonly unidentified?: ReadonlySet<Socket>
}

/**
 * Evicts the longest-idle connection when a limit is exceeded. If every other connection has an active request, it evicts the
 * one whose caller has waited longest to be identified, so that callers with invalid tokens keep nobody out; else the new one.
 */
export function limitConnections(server: Server, limits: ConnectionLimits): void {
  const connections = new LimitedConnections(limits)
  server.on('connection', (socket: Socket) => connections.add(socket))
  server.on('request', ({ socket }: IncomingMessage, response: ServerResponse) => {
    connections.countRequest(socket, 1)
    response.once('close', () => connections.countRequest(socket, -1))
  })
}

class LimitedConnections {
  readonly #inAll: number
  readonly #ofAddress: number
  readonly #isShared: (address: string) => boolean
  readonly #unidentified: ReadonlySet<Socket>
  /** The number of active requests on each connection. */
  readonly #activeRequests = new Map<Socket, number>()
  /** Connections without an active request, the longest-idle first. */
  readonly #idle = new Set<Socket>()
  readonly #networks = new Map<Socket, string>()
  /** The number of connections from each network. */
  readonly #sizes = new Map<string, number>()

  constructor({ inAll, ofAddress, isShared = () => false, unidentified = new Set() }: ConnectionLimits) {
    this.#inAll = inAll
    this.#ofAddress = ofAddress
    this.#isShared = isShared
    this.#unidentified = unidentified
  }

  add(socket: Socket): void {
    const address = socket.remoteAddress ?? 'unknown'
    const network = networkOf(address)
    const size = (this.#sizes.get(network) ?? 0) + 1
    this.#activeRequests.set(socket, 0)
    this.#idle.add(socket)
    this.#networks.set(socket, network)
    this.#sizes.set(network, size)
    socket.once('close', () => this.#remove(socket))
    if (size > this.#ofAddress && !this.#isShared(address)) this.#evictFor(socket, network)
    else if (this.#activeRequests.size > this.#inAll) this.#evictFor(socket)
  }

  countRequest(socket: Socket, difference: 1 | -1): void {
    const previous = this.#activeRequests.get(socket)
    if (previous === undefined) return
    this.#activeRequests.set(socket, previous + difference)
    if (previous + difference === 0) this.#idle.add(socket)
    else this.#idle.delete(socket)
  }

  #evictFor(newcomer: Socket, network?: string): void {
    const longestIdle = this.#firstOf(this.#idle, network)
    this.#evict(longestIdle === newcomer ? (this.#firstOf(this.#unidentified, network) ?? newcomer) : longestIdle)
  }

  #firstOf(sockets: ReadonlySet<Socket>, network?: string): Socket | undefined {
    for (const socket of sockets) {
      const socketNetwork = this.#networks.get(socket)
      if (socketNetwork !== undefined && (network === undefined || socketNetwork === network)) return socket
    }
    return undefined
  }

  #evict(socket: Socket | undefined): void {
    if (socket === undefined) return
    // Removed now: the close event comes later, and until then the connection must not count.
    this.#remove(socket)
    socket.destroy()
  }

  #remove(socket: Socket): void {
    const network = this.#networks.get(socket)
    if (network === undefined) return
    this.#activeRequests.delete(socket)
    this.#idle.delete(socket)
    this.#networks.delete(socket)
    const size = (this.#sizes.get(network) ?? 0) - 1
    if (size > 0) this.#sizes.set(network, size)
    else this.#sizes.delete(network)
  }
}
