// Node parses every request in a packet, whether or not the earlier ones were answered: one packet can hold 1,500 requests.
// Here a connection has one active request, and the bytes behind it are not parsed until it is answered.
import type { IncomingMessage, RequestListener, Server, ServerResponse } from 'node:http'
import type { Socket } from 'node:net'

/**
 * Handles the requests of a connection one after the other, each in its own turn of the event loop. Ends a connection on which
 * more than `maxPipelined` requests wait behind the active one. A request is active until its response is flushed to the
 * system, so that a client that does not read is limited too.
 */
export function queueRequests(server: Server, handle: RequestListener, maxPipelined: number): void {
  const connections = new WeakMap<Socket, QueuedConnection>()
  server.on('connection', (socket: Socket) => {
    connections.set(socket, new QueuedConnection(socket, handle, maxPipelined))
  })
  server.on('request', (request: IncomingMessage, response: ServerResponse) => {
    connections.get(request.socket)?.enqueue(request, response)
  })
}

type QueuedRequest = { readonly request: IncomingMessage; readonly response: ServerResponse }

class QueuedConnection {
  readonly #socket: Socket
  readonly #handle: RequestListener
  readonly #maxPipelined: number
  /** Passes bytes to Node's parser. */
  readonly #parse: (bytes: Buffer | null) => boolean
  /** Parsed requests without an answer: one, or more if the end of a body and later requests arrive in one chunk. */
  readonly #waiting: QueuedRequest[] = []
  #unparsed: Buffer | undefined
  #hasEnded = false

  constructor(socket: Socket, handle: RequestListener, maxPipelined: number) {
    this.#socket = socket
    this.#handle = handle
    this.#maxPipelined = maxPipelined
    this.#parse = socket.push.bind(socket)
    // With a data listener, Node's parser reads from the stream and no longer directly from the system handle.
    socket.on('data', ignore)
    socket.push = (bytes: Buffer | null) => this.#receive(bytes)
  }

  enqueue(request: IncomingMessage, response: ServerResponse): void {
    if (this.#waiting.push({ request, response }) > 1 + this.#maxPipelined) return void this.#socket.destroy()
    response.once('close', () => this.#finish())
    if (this.#waiting.length === 1) setImmediate(() => this.#begin())
  }

  /** @returns whether the parser wants more bytes, as `Readable.push` does */
  #receive(bytes: Buffer | null): boolean {
    if (bytes === null) this.#hasEnded = true
    else this.#unparsed = this.#unparsed === undefined ? bytes : Buffer.concat([this.#unparsed, bytes])
    return this.#parseMore()
  }

  /** Parses until a complete request waits. */
  #parseMore(): boolean {
    let wantsMore = true
    while (this.#unparsed !== undefined && !this.#socket.destroyed) {
      const last = this.#waiting.at(-1)
      if (last?.request.complete) {
        if (countBlankLines(this.#unparsed, this.#maxPipelined + 1) > this.#maxPipelined) this.#socket.destroy()
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

  #finish(): void {
    this.#waiting.shift()
    if (this.#waiting.length > 0) setImmediate(() => this.#begin())
    else this.#parseMore()
  }
}

/** Ends a head (RFC 9112 section 2.1). Outside of bodies there is at most one request between two blank lines. */
const BLANK_LINE = Buffer.from('\r\n\r\n')
/** Bytes before the blank line of the shortest head: `GET / HTTP/1.1` and an empty `Host:`. */
const SHORTEST_HEAD = 21
/** The least bytes of a body to parse at once: each line of a body can be blank. */
const BODY_PIECE = 512

/** @param limit the count stops here */
function countBlankLines(bytes: Buffer, limit: number): number {
  let count = 0
  for (
    let index = bytes.indexOf(BLANK_LINE);
    index !== -1 && count < limit;
    index = bytes.indexOf(BLANK_LINE, index + SHORTEST_HEAD)
  )
    count++
  return count
}

function split(bytes: Buffer, index: number): [Buffer, Buffer?] {
  return index === bytes.length ? [bytes] : [bytes.subarray(0, index), bytes.subarray(index)]
}

function ignore(): void {}
