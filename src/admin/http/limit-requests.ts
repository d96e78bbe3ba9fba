// Node parses every request that a packet holds, whether or not its predecessors were answered: one packet can hold 1,500.
// Here a connection has one request under way, and what follows it stays unparsed until that one is answered.
import type { IncomingMessage, RequestListener, Server, ServerResponse } from 'node:http'
import type { Socket } from 'node:net'

/**
 * Handles the requests of a connection one after the other, in a turn of the event loop each, and ends a connection on which more than
 * `mostPipelined` wait behind the one under way. A request is under way until its response is flushed to the system, so that a
 * client that does not read is bounded too.
 */
export function limitRequests(server: Server, handle: RequestListener, mostPipelined: number): void {
  const connections = new WeakMap<Socket, Connection>()
  server.on('connection', (socket: Socket) => {
    connections.set(socket, new Connection(socket, handle, mostPipelined))
  })
  server.on('request', (request: IncomingMessage, response: ServerResponse) => {
    connections.get(request.socket)?.take(request, response)
  })
}

type Exchange = { readonly request: IncomingMessage; readonly response: ServerResponse }

class Connection {
  readonly #socket: Socket
  readonly #handle: RequestListener
  readonly #mostPipelined: number
  /** Hands bytes to Node's parser. */
  readonly #parse: (bytes: Buffer | null) => boolean
  /** Parsed and not answered: one, or a few where the end of a body and what follows it come in one piece. */
  readonly #waiting: Exchange[] = []
  #unparsed: Buffer | undefined
  #hasEnded = false

  constructor(socket: Socket, handle: RequestListener, mostPipelined: number) {
    this.#socket = socket
    this.#handle = handle
    this.#mostPipelined = mostPipelined
    this.#parse = socket.push.bind(socket)
    // With a listener for data Node's parser reads from the stream, and no longer from the system past it.
    socket.on('data', ignore)
    socket.push = (bytes: Buffer | null) => this.#received(bytes)
  }

  take(request: IncomingMessage, response: ServerResponse): void {
    if (this.#waiting.push({ request, response }) > 1 + this.#mostPipelined) return void this.#socket.destroy()
    response.once('close', () => this.#finished())
    if (this.#waiting.length === 1) setImmediate(() => this.#begin())
  }

  /** @returns whether more is wanted at once, as `Readable.push` does */
  #received(bytes: Buffer | null): boolean {
    if (bytes === null) this.#hasEnded = true
    else this.#unparsed = this.#unparsed === undefined ? bytes : Buffer.concat([this.#unparsed, bytes])
    return this.#parseMore()
  }

  /** Parses until a request waits that has arrived in full. */
  #parseMore(): boolean {
    let wantsMore = true
    while (this.#unparsed !== undefined && !this.#socket.destroyed) {
      const last = this.#waiting.at(-1)
      if (last?.request.complete) {
        if (blankLines(this.#unparsed, this.#mostPipelined + 1) > this.#mostPipelined) this.#socket.destroy()
        return false
      }
      const end = this.#unparsed.indexOf(BLANK_LINE, last === undefined ? SHORTEST_HEAD : BODY_PIECE)
      const [piece, rest] = end === -1 ? [this.#unparsed] : split(this.#unparsed, end + BLANK_LINE.length)
      this.#unparsed = rest
      wantsMore = this.#parse(piece)
    }
    return this.#hasEnded ? this.#parse(null) : wantsMore
  }

  #begin(): void {
    const [next] = this.#waiting
    if (next !== undefined && !this.#socket.destroyed) this.#handle(next.request, next.response)
  }

  #finished(): void {
    this.#waiting.shift()
    if (this.#waiting.length > 0) setImmediate(() => this.#begin())
    else this.#parseMore()
  }
}

/** Ends a head (RFC 9112 section 2.1): between two of them lies one request at most, where no body is. */
const BLANK_LINE = Buffer.from('\r\n\r\n')
/** Bytes before its blank line: `GET / HTTP/1.1` and an empty `Host:`. */
const SHORTEST_HEAD = 21
/** Bytes of a body that are parsed at once at least: each of its lines can be blank. */
const BODY_PIECE = 512

/** @param most where the count ends */
function blankLines(bytes: Buffer, most: number): number {
  let count = 0
  for (
    let at = bytes.indexOf(BLANK_LINE);
    at !== -1 && count < most;
    at = bytes.indexOf(BLANK_LINE, at + SHORTEST_HEAD)
  )
    count++
  return count
}

function split(bytes: Buffer, at: number): [Buffer, Buffer?] {
  return at === bytes.length ? [bytes] : [bytes.subarray(0, at), bytes.subarray(at)]
}

function ignore(): void {}
