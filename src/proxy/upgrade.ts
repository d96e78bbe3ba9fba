// WebSocket over the same identify, match and decide. Only a 101 switches: httpxy relays any other answer as the
// plain response it is and closes.
import type { IncomingMessage } from 'node:http'
import type { Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import { createProxyServer, type ProxyServerOptions } from 'httpxy'
import type { Failure, Outcome } from '../model/outcome.ts'
import type { RequestFacts } from '../telemetry/events.ts'
import { continueTrace } from '../telemetry/trace.ts'
import { classifyError } from './classify-error.ts'
import { decide } from './decide.ts'
import { type Plane, type Policy, rawHead, refuseEncodedSlash } from './handle-request.ts'
import { asObject, isLoop, requestHeaders } from './headers.ts'
import { matchRoute } from './match-route.ts'
import { upstreamPath } from './path.ts'
import { readHead } from './read-head.ts'
import { Refusal } from './refusal.ts'
import { rawError } from './respond-error.ts'
import type { Address } from './upstreams.ts'

export function createUpgrades(plane: Plane) {
  const proxy = createProxyServer({ prependPath: false })
  // httpxy speaks of trouble by event; a listener must be there, and the callback of each call has told it already.
  proxy.on('error', () => {})
  const tunnels = new Set<Tunnel>()

  return {
    open: () => tunnels.size,

    /** Whether a request with an Upgrade field is one that we switch; all others are plain requests without it. */
    isUpgrade: (request: IncomingMessage): boolean => {
      if (!asksForWebSocket(request)) return false
      const { current } = plane.snapshots
      const head = readHead(rawHead(request), current.limits, current.identity.user?.header)
      return !(head instanceof Refusal) && matchRoute(head, current).route.upgrade
    },

    handle: (request: IncomingMessage, socket: Duplex, early: Buffer): void => {
      const arrivedAt = plane.now()
      const policy = applyPolicy(plane, request)
      if (policy instanceof Refusal) {
        const requestId = plane.random.hex(16)
        socket.end(rawError(policy.failure, requestId))
        plane.events.requestRefused({
          arrivedAt,
          finishedAt: plane.now(),
          failure: policy.failure,
          requestId,
          peerAddress: (socket as Socket).remoteAddress ?? '',
          method: request.method,
          target: request.url,
          detail: policy.detail,
        })
        return
      }
      new Tunnel(plane, proxy, policy, request, socket as Socket, arrivedAt, tunnels).open(early)
    },

    /** Draining: tells both ends that no more will come. */
    close: () => {
      for (const tunnel of tunnels) tunnel.end()
    },

    cut: () => {
      for (const tunnel of tunnels) tunnel.cut()
    },
  }
}

/** RFC 6455 section 4.1: GET, HTTP/1.1, `Connection: Upgrade`, a 16-byte key, version 13. */
function asksForWebSocket(request: IncomingMessage): boolean {
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

function applyPolicy(plane: Plane, request: IncomingMessage): Policy | Refusal {
  const snapshot = plane.snapshots.current
  const head = readHead(rawHead(request), snapshot.limits, snapshot.identity.user?.header)
  if (head instanceof Refusal) return head
  if (isLoop(head.fields.via, plane.viaName)) return new Refusal('loop', 'our own name in Via')
  const identity = plane.identify(head, snapshot)
  const match = matchRoute(head, snapshot)
  if (!match.route.upgrade || !asksForWebSocket(request)) return new Refusal('bad-upgrade', 'not a WebSocket route')
  const decision = decide({ head, route: match.route, identity, flags: plane.flags, health: plane.upstreams })
  return refuseEncodedSlash(head, match, decision, snapshot) ?? { head, identity, match, decision }
}

/** One upgraded connection, from the request to the end of the last byte. */
class Tunnel {
  readonly #plane: Plane
  readonly #proxy: ReturnType<typeof createProxyServer>
  readonly #policy: Policy
  readonly #request: IncomingMessage
  readonly #socket: Socket
  readonly #arrivedAt: number
  readonly #tunnels: Set<Tunnel>
  #upstreamSocket: Socket | undefined
  #address: Address | undefined
  #status = 0
  #headAt = 0
  #failure: Failure | undefined
  #cause: unknown

  constructor(
    plane: Plane,
    proxy: ReturnType<typeof createProxyServer>,
    policy: Policy,
    request: IncomingMessage,
    socket: Socket,
    arrivedAt: number,
    tunnels: Set<Tunnel>,
  ) {
    this.#plane = plane
    this.#proxy = proxy
    this.#policy = policy
    this.#request = request
    this.#socket = socket
    this.#arrivedAt = arrivedAt
    this.#tunnels = tunnels
  }

  open(early: Buffer): void {
    const { head, identity, match, decision } = this.#policy
    const plane = this.#plane
    const snapshot = plane.snapshots.current
    const context = match.route.context
    const upstream = decision.side === 'service' && context !== undefined ? context.service : snapshot.legacy
    const address = plane.upstreams.pick(plane.upstreams.of(upstream))
    this.#address = address
    this.#tunnels.add(this)
    this.#socket.once('close', () => this.#closed())
    this.#socket.on('error', () => {})
    if (address === undefined) {
      this.#fail('unavailable', undefined)
      return
    }
    const { traceparent } = continueTrace(head.fields.traceparent, plane.random)
    const added = { head, identity, snapshot, viaName: plane.viaName, traceparent }
    // httpxy reads these two, so they are edited before it sees the request and not in a hook that it may skip.
    this.#request.url = upstreamPath(head, match, decision.side)
    this.#request.headers = {
      ...asObject(requestHeaders(added, upstream, address.authority)),
      connection: 'Upgrade',
      upgrade: 'websocket',
    }
    const options: ProxyServerOptions = {
      target: address.url,
      agent: false as never,
      upgradeTimeout: match.route.timeouts?.headersMs ?? upstream.timeouts.headersMs,
      ...(upstream.tls === undefined ? {} : { ssl: upstream.tls as never, secure: upstream.tls.rejectUnauthorized }),
    } as ProxyServerOptions
    const onProxyRequest = (outgoing: import('node:http').ClientRequest, request: IncomingMessage) => {
      if (request !== this.#request) return
      this.#proxy.off('proxyReqWs', onProxyRequest)
      outgoing.prependOnceListener('upgrade', (answer: IncomingMessage, upstreamSocket: Socket) => {
        this.#switched(answer, upstreamSocket)
      })
      outgoing.prependOnceListener('response', (answer) => {
        this.#status = answer.statusCode ?? 502
        this.#headAt = plane.now()
      })
    }
    this.#proxy.on('proxyReqWs', onProxyRequest)
    this.#proxy
      .ws(this.#request as never, this.#socket as never, options as never, early)
      .catch((error: unknown) => this.#fail(classifyError(error, this.#headAt > 0), error))
  }

  end(): void {
    this.#socket.end()
    this.#upstreamSocket?.end()
  }

  cut(): void {
    this.#socket.destroy()
    this.#upstreamSocket?.destroy()
  }

  #switched(answer: IncomingMessage, upstreamSocket: Socket): void {
    const { identity, match } = this.#policy
    this.#status = 101
    this.#headAt = this.#plane.now()
    this.#upstreamSocket = upstreamSocket
    answer.headers['x-request-id'] ??= identity.requestId
    const idleMs = match.route.timeouts?.idleMs ?? 0
    if (idleMs > 0) setImmediate(() => this.#socket.setTimeout(idleMs, () => this.cut()))
    // Whichever side goes first takes the other with it.
    upstreamSocket.once('close', () => this.#socket.destroy())
    this.#socket.once('close', () => upstreamSocket.destroy())
    this.#plane.events.upgradeOpened(this.#facts())
  }

  #fail(failure: Failure, cause: unknown): void {
    if (this.#status !== 0) return
    this.#failure = failure
    this.#cause = cause
    if (this.#socket.writable) this.#socket.end(rawError(failure, this.#policy.identity.requestId))
    else this.#socket.destroy()
  }

  #closed(): void {
    if (!this.#tunnels.delete(this)) return
    if (this.#status === 0 && this.#failure === undefined) this.#failure = 'client-gone'
    const facts = this.#facts()
    if (this.#status === 101) {
      this.#plane.events.upgradeClosed({
        ...facts,
        bytesIn: this.#socket.bytesRead,
        bytesOut: this.#socket.bytesWritten,
      })
    } else {
      this.#plane.events.requestFinished(facts)
    }
  }

  #facts(): RequestFacts {
    const { head, identity, match, decision } = this.#policy
    const upstreamMs = this.#headAt > 0 ? this.#headAt - this.#arrivedAt : undefined
    const outcome: Outcome = {
      status: this.#status,
      failure: this.#failure,
      cause: this.#cause,
      answeredBy:
        this.#headAt > 0 && this.#address !== undefined
          ? {
              side: decision.side,
              upstream: decision.side === 'service' ? (match.route.context?.service.name ?? '') : 'legacy',
              address: this.#address.url,
            }
          : undefined,
      upstreamMs,
      upstreamTotalMs: upstreamMs,
      requestBytes: 0,
      responseBytes: 0,
      attempts: 1,
      retried: false,
      fellBack: undefined,
    }
    return {
      arrivedAt: this.#arrivedAt,
      finishedAt: this.#plane.now(),
      head,
      identity,
      route: match.route,
      decision,
      outcome,
    }
  }
}
