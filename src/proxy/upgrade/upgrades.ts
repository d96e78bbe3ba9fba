// WebSocket upgrades, under the same policy as any request. Only a 101 response switches: httpxy forwards any other
// response as it is and closes the connection.
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import { createProxyServer } from 'httpxy'
import type { Side } from '../../model/route.ts'
import type { DataPlane } from '../data-plane.ts'
import { rawHead } from '../downstream/raw-head.ts'
import { refuseOnSocket } from '../downstream/refuse.ts'
import { isLoop } from '../forward/headers.ts'
import { applyPolicy, type Policy } from '../policy/apply-policy.ts'
import { type Facts, gatherFacts } from '../policy/gather-facts.ts'
import { matchRoute } from '../policy/match-route.ts'
import { readHead } from '../policy/read-head.ts'
import { CLIENT_GONE, LOOP, Refusal } from '../policy/refusal.ts'
import { dismiss, Tunnel } from './tunnel.ts'

/** A request or a tunnel in progress; the context is undefined if no context owns the path. */
export type InProgress = { readonly context: string | undefined; readonly side: Side }

export class Upgrades {
  readonly #plane: DataPlane
  readonly #tunnels = new Set<Tunnel>()
  /** httpxy emits its events on one server for all tunnels; the request identifies the tunnel. */
  readonly #tunnelOf = new WeakMap<object, Tunnel>()
  readonly #proxy = createProxyServer({ prependPath: false })

  constructor(plane: DataPlane) {
    this.#plane = plane
    this.#proxy.on('proxyReqWs', (outgoing, request) => this.#tunnelOf.get(request)?.watch(outgoing))
    this.#proxy.on('error', (error, request) => void (request && this.#tunnelOf.get(request)?.fail(error)))
  }

  /** The number of open tunnels. */
  get size(): number {
    return this.#tunnels.size
  }

  get inProgress(): Iterable<InProgress> {
    return this.#tunnels
  }

  /** Whether the gateway switches the protocol of a request. It forwards any other request without its Upgrade field. */
  isUpgrade = (request: IncomingMessage): boolean => {
    if (!requestsWebSocket(request)) return false
    const snapshot = this.#plane.snapshots.current
    const head = readHead(rawHead(request), snapshot)
    // A tunnel has no request body: an upstream that does not switch would read the body as the next request.
    if (head instanceof Refusal || head.body.kind !== 'none') return false
    return !isAnswering(request.socket) && matchRoute(head, snapshot).route.upgrade
  }

  /** @param early bytes that the client sent after the handshake, before its answer */
  handle = (request: IncomingMessage, socket: Duplex, early: Buffer): void => {
    const arrivedAt = this.#plane.now()
    // Node removes its own listener from a socket that it hands over: a reset would end the process.
    socket.on('error', () => socket.destroy())
    const policy = this.#apply(request)
    if (!(policy instanceof Promise)) {
      this.#proceed(policy, request, socket as Socket, early, arrivedAt)
      return
    }
    policy
      .then((settled) => this.#proceed(settled, request, socket as Socket, early, arrivedAt))
      .catch((error: unknown) => {
        this.#plane.events.bug({ where: 'upgrade', error })
        socket.destroy()
      })
  }

  /** Drains: ends both directions of every tunnel. */
  close(): void {
    for (const tunnel of this.#tunnels) tunnel.end()
  }

  cut(): void {
    for (const tunnel of this.#tunnels) tunnel.cut()
  }

  #apply(request: IncomingMessage): Policy | Refusal | Promise<Policy | Refusal> {
    const plane = this.#plane
    const snapshot = plane.snapshots.current
    const head = readHead(rawHead(request), snapshot)
    if (head instanceof Refusal) return head
    if (isLoop(head.fields, plane.viaName)) return LOOP
    const match = matchRoute(head, snapshot)
    if (!match.route.upgrade || !requestsWebSocket(request)) return new Refusal('bad-upgrade', 'not a WebSocket route')
    const decideOn = (facts: Facts | Refusal) =>
      facts instanceof Refusal ? facts : applyPolicy(facts, snapshot, plane)
    const facts = gatherFacts(head, match, plane)
    return facts instanceof Promise ? facts.then(decideOn) : decideOn(facts)
  }

  #proceed(policy: Policy | Refusal, request: IncomingMessage, socket: Socket, early: Buffer, arrivedAt: number): void {
    const refusal = socket.destroyed ? CLIENT_GONE : policy instanceof Refusal ? policy : policy.refusal
    if (refusal !== undefined || policy instanceof Refusal) {
      dismiss(socket)
      refuseOnSocket(this.#plane, socket, refusal as Refusal, arrivedAt, request)
      return
    }
    const tunnel = new Tunnel(this.#plane, policy, request, socket, arrivedAt, this.#tunnels, this.#proxy)
    this.#tunnelOf.set(request, tunnel)
    tunnel.open(early)
  }
}

/** Whether the response to an earlier pipelined request is incomplete: bytes of a tunnel would mix with it. */
function isAnswering(socket: Socket): boolean {
  return Boolean((socket as Socket & { _httpMessage?: ServerResponse | null })._httpMessage)
}

/** RFC 6455 section 4.1: GET, HTTP/1.1, `Connection: Upgrade`, a 16-byte key, version 13. */
function requestsWebSocket(request: IncomingMessage): boolean {
  const { headers } = request
  return (
    request.method === 'GET' &&
    request.httpVersion === '1.1' &&
    headers.upgrade?.toLowerCase() === 'websocket' &&
    /(?:^|,)\s*upgrade\s*(?:,|$)/i.test(headers.connection ?? '') &&
    headers['sec-websocket-version'] === '13' &&
    /^[A-Za-z0-9+/]{22}==$/.test(headers['sec-websocket-key'] ?? '')
  )
}
