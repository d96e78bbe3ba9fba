// Node hands over each pipelined request as soon as it is parsed, whether or not its predecessors were answered: one packet can
// hold a thousand. These limits end that before any work is done.
import type { IncomingMessage, RequestListener, Server, ServerResponse } from 'node:http'
import type { Socket } from 'node:net'

export type RequestLimits = {
  /** Requests of one connection that are not answered yet, the one under way included. */
  readonly ofConnection: number
  /** The same of all connections. Above it a connection can still have one request, so that others cannot keep its client out. */
  readonly inAll: number
}

/**
 * Handles the requests of a connection one after the other, ends a connection on which more wait than its limit, answers 503 to
 * pipelined requests where all together exceed theirs, and drops the requests of closed connections unhandled. A request counts until the client has taken in its
 * response, so that a client that does not read is bounded too.
 */
export function limitRequests(handle: RequestListener, { ofConnection, inAll }: RequestLimits): RequestListener {
  const waiting = new Map<Socket, Exchange[]>()
  let total = 0

  return (request: IncomingMessage, response: ServerResponse) => {
    const { socket } = request
    if (socket.destroyed) return
    const queue = waiting.get(socket) ?? open(socket)
    if (queue.length >= ofConnection) return void socket.destroy()
    total++
    queue.push({ request, response, isRefused: total > inAll && queue.length > 0 })
    response.once('close', () => finished(socket))
    if (queue.length === 1) begin(queue)
  }

  function open(socket: Socket): Exchange[] {
    const queue: Exchange[] = []
    waiting.set(socket, queue)
    // Responses that wait for their turn are not notified when the connection closes.
    socket.once('close', () => {
      total -= queue.length
      waiting.delete(socket)
    })
    return queue
  }

  function finished(socket: Socket): void {
    const queue = waiting.get(socket)
    if (queue === undefined) return
    queue.shift()
    total--
    if (!socket.destroyed) begin(queue)
  }

  function begin([next]: readonly Exchange[]): void {
    if (next === undefined) return
    if (next.isRefused) refuse(next.response)
    else handle(next.request, next.response)
  }
}

type Exchange = { readonly request: IncomingMessage; readonly response: ServerResponse; readonly isRefused: boolean }

function refuse(response: ServerResponse): void {
  response.writeHead(503, { 'Retry-After': '1', 'Content-Length': '0', Connection: 'close' }).end()
}

/**
 * Hands what comes in to Node's parser in small pieces: the parser makes a request of everything that it is given, also after the
 * connection has been closed, and a packet of 64 KiB can hold 1,500.
 */
export function parseInPieces(server: Server): void {
  server.on('connection', (socket: Socket) => {
    // With a listener for data Node's parser reads from the stream, and no longer from the system past it.
    socket.on('data', ignore)
    const push = socket.push.bind(socket)
    socket.push = (chunk: Buffer | null, encoding?: BufferEncoding) => {
      if (chunk === null || chunk.length <= PIECE_BYTES) return push(chunk, encoding)
      let wantsMore = true
      for (let start = 0; start < chunk.length && !socket.destroyed; start += PIECE_BYTES)
        wantsMore = push(chunk.subarray(start, start + PIECE_BYTES))
      return wantsMore
    }
  })
}

/** About a dozen of the shortest requests. */
const PIECE_BYTES = 512

function ignore(): void {}
