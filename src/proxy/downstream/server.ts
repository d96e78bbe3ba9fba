// The listener for clients: its limits, its connections, and the one place that catches bugs of request handling.
import http, { type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import net, { type AddressInfo, type Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import { setImmediate as nextTurn, setTimeout as sleep } from 'node:timers/promises'
import type { Side } from '../../model/route.ts'
import type { Limits } from '../../model/snapshot.ts'
import type { DataPlane } from '../data-plane.ts'
import { createHandleRequest } from '../handle-request.ts'
import { type InProgress, Upgrades } from '../upgrade/upgrades.ts'
import { watchFileDescriptors } from './file-descriptors.ts'
import { answerConnect, answerParseError } from './parse-errors.ts'
import { serveInOrder } from './pipelining.ts'
import { isOtherProtocol } from './protocol-name.ts'
import { isRefused } from './refused-connections.ts'
import { writeError } from './respond-error.ts'
import { startSweep } from './sweep.ts'

/** The result of closing the server. */
type Closed = {
  /** Requests and tunnels that were cut at the time limit. */
  readonly left: number
  /** Event streams that were ended between two events. */
  readonly eventStreams: number
}

/** How often Node looks for request heads that take too long; its default is 30 s. */
const SLOW_HEADS_MS = 500
/** While closing: how often idle connections are closed. */
const IDLE_MS = 50
/** A turn of the event loop that takes less than this has accepted no connection and read no request, in milliseconds. */
const QUIET_TURN_MS = 0.1
/** Before closing: how long a quiet turn is waited for. */
const QUIET_WAIT_MS = 100
/** While closing: the time that cut requests get to be logged and counted. */
const CUT_MS = 500

/** @throws if the port cannot be opened */
export async function startServer(plane: DataPlane, address: { host: string; port: number }): Promise<ProxyServer> {
  const server = new ProxyServer(plane)
  await server.listen(address)
  return server
}

export class ProxyServer {
  readonly #plane: DataPlane
  readonly #server: Server
  readonly #upgrades: Upgrades
  #stopTimers: () => void = () => {}

  constructor(plane: DataPlane) {
    this.#plane = plane
    this.#upgrades = new Upgrades(plane)
    this.#server = createHttpServer(plane, this.#upgrades)
    this.applyLimits(plane.snapshots.current.limits)
  }

  async listen({ host, port }: { host: string; port: number }): Promise<void> {
    const server = this.#server
    const stopSweep = startSweep(this.#plane.exchanges)
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject)
      server.listen(port, host, () => {
        server.off('error', reject)
        resolve()
      })
    })
    const acceptFailed = (error: unknown) => this.#plane.events.acceptFailed({ what: 'gateway', error })
    // Without a listener a failed accept would end the process.
    server.on('error', acceptFailed)
    const stopWatching = watchFileDescriptors(acceptFailed)
    this.#stopTimers = () => {
      stopSweep()
      stopWatching()
    }
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port
  }

  /** The number of requests and tunnels in progress. */
  inFlight(): number {
    return this.#plane.exchanges.size + this.#upgrades.size
  }

  /** The same by context and side, without requests that no context owns. */
  inFlightBySide(): Record<string, Record<Side, number>> {
    return countBySide(this.#plane.exchanges, this.#upgrades.inProgress)
  }

  /** Applies those limits of a new snapshot that Node enforces: on heads and connections. */
  applyLimits({ headersMs, keepAliveMs, headerBytes, targetBytes, connections }: Limits): void {
    const server = this.#server
    server.headersTimeout = headersMs
    server.keepAliveTimeout = keepAliveMs
    ;(server as { maxHeaderSize?: number }).maxHeaderSize = headerBytes + targetBytes
    server.maxConnections = connections
  }

  /** Closes the listener and idle connections. Resolves when every request has ended, at the latest after `limitMs`. */
  async close(limitMs: number): Promise<Closed> {
    const server = this.#server
    await whenNoneWaits(server)
    // Not http's close(), which closes idle connections before the listener: clients could connect in that time.
    const closed = new Promise<void>((resolve) => net.Server.prototype.close.call(server, () => resolve()))
    let eventStreams = 0
    // Repeated: a response whose head left before the drain could not announce the end of its connection, and the head of
    // an event stream may still arrive.
    const endIdle = () => {
      server.closeIdleConnections()
      for (const exchange of this.#plane.exchanges) if (exchange.endEvents()) eventStreams++
    }
    const timer = setInterval(endIdle, IDLE_MS)
    endIdle()
    this.#upgrades.close()
    await Promise.race([closed, sleep(limitMs, undefined, { ref: false })])
    clearInterval(timer)
    const left = this.inFlight()
    server.closeAllConnections()
    this.#upgrades.cut()
    for (let waitedMs = 0; waitedMs < CUT_MS && this.inFlight() > 0; waitedMs += 10) await sleep(10)
    this.#stopTimers()
    return { left, eventStreams }
  }
}

function createHttpServer(plane: DataPlane, upgrades: Upgrades): Server {
  const handle = catchBugs(plane, createHandleRequest(plane))
  const server = http.createServer({
    connectionsCheckingInterval: SLOW_HEADS_MS,
    // A large upload may take long: slow bodies are cut by their rate.
    requestTimeout: 0,
    // readHead counts the fields and answers 431. Node would drop the surplus fields.
    maxHeadersCount: 0,
    requireHostHeader: false,
    insecureHTTPParser: false,
    noDelay: true,
    keepAlive: true,
    // A request without a body, as most are, then emits no stream events.
    optimizeEmptyRequests: true,
    shouldUpgradeCallback: upgrades.isUpgrade,
  } as http.ServerOptions)
  server.maxHeadersCount = 0
  server.on('request', handle)
  server.on('checkContinue', handle)
  server.on('checkExpectation', handle)
  server.on('upgrade', upgrades.handle)
  server.on('connect', (_request: IncomingMessage, socket: Duplex) => answerConnect(plane, socket as Socket))
  server.on('clientError', (error: NodeJS.ErrnoException, socket: Duplex) => {
    answerParseError(plane, error, socket as Socket)
  })
  return server
}

/**
 * Resolves in a turn of the event loop that accepted no connection, or after {@link QUIET_WAIT_MS}: no client waits to
 * be accepted then. The kernel resets such a connection when the listener closes. Its request is then lost, and a load
 * balancer must not repeat a POST.
 */
async function whenNoneWaits(server: Server): Promise<void> {
  let accepted = 0
  const count = () => accepted++
  server.on('connection', count)
  const startedAt = performance.now()
  for (let turnAt = startedAt; turnAt - startedAt < QUIET_WAIT_MS; ) {
    const acceptedBefore = accepted
    await nextTurn()
    const now = performance.now()
    if (accepted === acceptedBefore && now - turnAt < QUIET_TURN_MS) break
    turnAt = now
  }
  server.off('connection', count)
}

function countBySide(...groups: readonly Iterable<InProgress>[]): Record<string, Record<Side, number>> {
  const counts: Record<string, Record<Side, number>> = {}
  for (const group of groups)
    for (const { context, side } of group) {
      if (context === undefined) continue
      counts[context] ??= { legacy: 0, service: 0 }
      counts[context][side]++
    }
  return counts
}

/** Answers 500 to a request whose handling threw. Other requests are not affected. */
function catchBugs(plane: DataPlane, handle: (request: IncomingMessage, response: ServerResponse) => Promise<void>) {
  return (request: IncomingMessage, response: ServerResponse): void => {
    // Pipelined after a refused request, whose answer closes the connection.
    if (isRefused(request.socket)) return
    // readHead refuses every major version but 1.
    if (isOtherProtocol(request)) request.httpVersionMajor = 0
    serveInOrder(request, response, () => serve(request, response))
  }

  function serve(request: IncomingMessage, response: ServerResponse): void {
    // RFC 9112 section 9.3: a proxy must not keep a connection to an HTTP/1.0 client.
    if (request.httpVersionMinor === 0) response.shouldKeepAlive = false
    handle(request, response).catch((error: unknown) => {
      plane.events.bug({ where: 'handle-request', error })
      if (response.headersSent) {
        request.socket.destroy()
      } else {
        writeError(response, 'internal', plane.random.hex(16), true)
        response.end()
      }
    })
  }
}
