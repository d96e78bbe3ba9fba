// Accepts: the listener, its limits, its sockets, and the one catch for bugs.
import { closeSync, openSync } from 'node:fs'
import http, { type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo, Socket } from 'node:net'
import { devNull } from 'node:os'
import type { Duplex } from 'node:stream'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Failure } from '../../model/failures.ts'
import { RULE_OF_PARSE_ERROR } from '../../model/refusal-rules.ts'
import type { Side } from '../../model/route.ts'
import type { Limits } from '../../model/snapshot.ts'
import { createHandleRequest, type DataPlane } from '../handle-request.ts'
import { hasUnknownCoding } from '../policy/read-head.ts'
import { createUpgrades, type UnderWay } from '../upgrade/upgrade.ts'
import { peerAddress } from './peer-address.ts'
import { isOtherProtocol } from './protocol-name.ts'
import { rawError, writeError } from './respond-error.ts'
import { startSweep } from './sweep.ts'
import { endRefusal, isTurnedAway, markTurnedAway } from './turned-away.ts'

/** What was under way when the server closed. */
export type Closed = {
  /** Requests and tunnels that were cut at the limit. */
  readonly left: number
  /** Streams of events that were ended between two events. */
  readonly eventStreams: number
}

export type ProxyServer = {
  readonly port: number
  /** Requests and tunnels under way. */
  readonly inFlight: () => number
  /** The same by context and side, without what no context claims. */
  readonly inFlightBySide: () => Record<string, Record<Side, number>>
  /** The limits of a new snapshot: those on heads and connections, which Node keeps. */
  readonly applyLimits: (limits: Limits) => void
  /** Closes the listener and idle connections, lets requests finish, and resolves when all have or the limit is up. */
  readonly close: (limitMs: number) => Promise<Closed>
}

/** How often request heads that do not come to an end are looked at; Node's default is 30 s. */
const SLOW_HEADS_MS = 500
/** While closing: how often connections that have become idle are closed, and how long what was cut may take to end. */
const IDLE_MS = 50
const CUT_MS = 500

export async function startServer(plane: DataPlane, at: { host: string; port: number }): Promise<ProxyServer> {
  const handle = guard(plane, createHandleRequest(plane))
  const upgrades = createUpgrades(plane)
  const server = http.createServer({
    connectionsCheckingInterval: SLOW_HEADS_MS,
    // A large upload may take its time: slow bodies are cut by rate, not by the clock.
    requestTimeout: 0,
    // Counted by readHead, which answers 431; Node would cut the list without a word.
    maxHeadersCount: 0,
    requireHostHeader: false,
    insecureHTTPParser: false,
    noDelay: true,
    keepAlive: true,
    // A request without a body, and most are, then costs no stream events.
    optimizeEmptyRequests: true,
    shouldUpgradeCallback: upgrades.isUpgrade,
  } as http.ServerOptions)
  server.maxHeadersCount = 0
  const applyLimits = ({ headersMs, keepAliveMs, headerBytes, targetBytes, connections }: Limits) => {
    server.headersTimeout = headersMs
    server.keepAliveTimeout = keepAliveMs
    ;(server as { maxHeaderSize?: number }).maxHeaderSize = headerBytes + targetBytes
    server.maxConnections = connections
  }
  applyLimits(plane.snapshots.current.limits)
  server.on('request', handle)
  server.on('checkContinue', handle)
  server.on('checkExpectation', handle)
  server.on('upgrade', upgrades.handle)
  server.on('connect', (_request: IncomingMessage, socket: Duplex) => {
    // Node takes its own listener away from a socket that it hands over: a reset would end the process.
    socket.on('error', () => socket.destroy())
    afterAnswers(socket as Socket, () => turnAway(plane, socket as Socket, 'method-refused', 'CONNECT'))
  })
  server.on('clientError', (error: NodeJS.ErrnoException, socket: Duplex) => {
    answerParseError(plane, error, socket as Socket)
  })

  const stopSweep = startSweep(plane.exchanges)

  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen(at.port, at.host, () => {
      server.off('error', reject)
      resolve()
    })
  })

  const acceptFailed = (error: unknown) => plane.events.acceptFailed({ what: 'gateway', error })
  // Without a listener an accept that fails would end the process.
  server.on('error', acceptFailed)
  const stopWatchingFiles = watchFileDescriptors(acceptFailed)

  return {
    port: (server.address() as AddressInfo).port,
    inFlight: () => plane.exchanges.size + upgrades.open(),
    inFlightBySide: () => bySide(plane.exchanges, upgrades.underWay),
    applyLimits,
    close: async (limitMs) => {
      const closed = new Promise<void>((resolve) => server.close(() => resolve()))
      let eventStreams = 0
      // Again and again: an answer whose head went out before the drain could not say that its connection ends, and
      // the head of a stream of events may still come.
      const endWhatIsIdle = () => {
        server.closeIdleConnections()
        for (const exchange of plane.exchanges) if (exchange.endEvents()) eventStreams++
      }
      const idle = setInterval(endWhatIsIdle, IDLE_MS)
      endWhatIsIdle()
      upgrades.close()
      await Promise.race([closed, sleep(limitMs, undefined, { ref: false })])
      clearInterval(idle)
      const left = plane.exchanges.size + upgrades.open()
      server.closeAllConnections()
      upgrades.cut()
      // What was cut is still to be logged and counted.
      for (let waited = 0; waited < CUT_MS && plane.exchanges.size + upgrades.open() > 0; waited += 10) await sleep(10)
      stopSweep()
      stopWatchingFiles()
      return { left, eventStreams }
    },
  }
}

const WATCH_FILES_MS = 1000

/**
 * libuv drops a connection that it cannot accept for want of a file descriptor, and does not report it. So one descriptor
 * is opened and closed once a second.
 */
function watchFileDescriptors(onFailure: (error: unknown) => void): () => void {
  const timer = setInterval(() => {
    try {
      closeSync(openSync(devNull, 'r'))
    } catch (error) {
      onFailure(error)
    }
  }, WATCH_FILES_MS)
  timer.unref()
  return () => clearInterval(timer)
}

function bySide(...groups: readonly Iterable<UnderWay>[]): Record<string, Record<Side, number>> {
  const counts: Record<string, Record<Side, number>> = {}
  for (const group of groups)
    for (const { context, side } of group) {
      if (context === undefined) continue
      counts[context] ??= { legacy: 0, service: 0 }
      counts[context][side]++
    }
  return counts
}

/** The one catch for bugs: a request that met one is answered 500, and nothing else notices. */
function guard(plane: DataPlane, handle: (request: IncomingMessage, response: ServerResponse) => Promise<void>) {
  return (request: IncomingMessage, response: ServerResponse): void => {
    // Pipelined behind a refused request; the answer to that one closes the connection.
    if (isTurnedAway(request.socket)) return
    // readHead refuses every major version but 1.
    if (isOtherProtocol(request)) request.httpVersionMajor = 0
    inTurn(request, response, () => serve(request, response))
  }

  function serve(request: IncomingMessage, response: ServerResponse): void {
    // RFC 9112 section 9.3: no proxy keeps a connection to an HTTP/1.0 client, whatever the client asks for.
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

/** On the socket: the last answer begun on the connection, and how many requests wait behind it. */
const LAST = Symbol('last')
const WAITING = Symbol('waiting')
type Line = Socket & { [LAST]?: ServerResponse; [WAITING]?: number }

/** Pipelined requests that may wait their turn on one connection; nobody honest comes near. */
const MOST_PIPELINED = 100

/**
 * Serves pipelined requests one after another. Their answers go out in that order anyway, and served at once a single
 * connection could take every connection of an upstream.
 */
function inTurn(request: IncomingMessage, response: ServerResponse, serve: () => void): void {
  const socket: Line = request.socket
  if (socket.writableEnded) return
  const last = socket[LAST]
  socket[LAST] = response
  if (last === undefined || last.writableFinished) {
    serve()
    return
  }
  const waiting = (socket[WAITING] ?? 0) + 1
  socket[WAITING] = waiting
  if (waiting > MOST_PIPELINED) {
    socket.destroy()
    return
  }
  last.once('close', () => {
    socket[WAITING] = (socket[WAITING] ?? 1) - 1
    // RFC 9112 section 9.6: behind a response that closes the connection nothing is processed. The client may send it again.
    if (!socket.destroyed && !socket.writableEnded && !isTurnedAway(socket)) serve()
  })
}

const PARSE_FAILURES: Readonly<Record<string, Failure>> = {
  HPE_HEADER_OVERFLOW: 'headers-too-large',
  HPE_CHUNK_EXTENSIONS_OVERFLOW: 'body-too-large',
  ERR_HTTP_REQUEST_TIMEOUT: 'slow-request',
}

/** The parser refuses a Transfer-Encoding that does not end in `chunked`; RFC 9112 section 6.1 asks for 501 if it is unknown. */
function failureOf({ code = '', rawPacket }: NodeJS.ErrnoException & { rawPacket?: Buffer }): Failure {
  if (code === 'HPE_INVALID_TRANSFER_ENCODING') {
    const [, coding] =
      /\r\ntransfer-encoding:[ \t]*([^\r\n]*?)[ \t]*\r\n/i.exec(rawPacket?.toString('latin1') ?? '') ?? []
    if (coding !== undefined && hasUnknownCoding(coding)) return 'coding-unknown'
  }
  return PARSE_FAILURES[code] ?? 'malformed'
}

/** Bytes that are not HTTP, or that took too long. Answers before it on the same connection are finished first. */
function answerParseError(plane: DataPlane, error: NodeJS.ErrnoException, socket: Socket): void {
  if (error.code === 'ECONNRESET') {
    socket.destroy()
    return
  }
  const failure = failureOf(error)
  const pending = pendingOn(socket)
  if (isTurnedAway(socket)) {
    endRefusal(socket)
  } else if (pending === undefined) {
    turnAway(plane, socket, failure, error.code)
  } else if (pending.req.complete) {
    // Pipelined garbage after a good request: the good one keeps its answer (B40).
    pending.once('close', () => answerParseError(plane, error, socket))
  } else if (pending.headersSent || error.code === 'HPE_INVALID_EOF_STATE') {
    // Garbage in the middle of the body that is being answered: the answer cannot be trusted to be about it. Or the
    // end of the connection there: the client has left, and its exchange tells.
    socket.destroy()
  } else {
    turnAway(plane, socket, failure, error.code)
  }
}

/** The answer that is being written on a connection; those to pipelined requests behind it wait their turn. */
function pendingOn(socket: Socket): ServerResponse | undefined {
  return (socket as Socket & { _httpMessage?: ServerResponse | null })._httpMessage ?? undefined
}

function afterAnswers(socket: Socket, then: () => void): void {
  const pending = pendingOn(socket)
  if (pending === undefined) then()
  else pending.once('close', () => afterAnswers(socket, then))
}

function turnAway(plane: DataPlane, socket: Socket, failure: Failure, detail: string | undefined): void {
  if (isTurnedAway(socket)) return
  markTurnedAway(socket, 'bytes')
  const now = plane.now()
  const requestId = plane.random.hex(16)
  plane.events.requestRefused({
    arrivedAt: now,
    finishedAt: now,
    failure,
    requestId,
    peerAddress: peerAddress(socket),
    method: undefined,
    target: undefined,
    detail,
  })
  if (socket.writable)
    socket.end(
      rawError(failure, requestId, undefined, failure === 'malformed' ? RULE_OF_PARSE_ERROR[detail ?? ''] : undefined),
      () => socket.destroy(),
    )
  else socket.destroy()
}
