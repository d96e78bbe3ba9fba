// Reads HTTP/1 responses from bytes, strictly: what could be read in two ways is refused (RFC 9112). It knows where a
// message ends; what its fields mean to a client is headers.ts.
import { latin1 } from '../../lib/latin1.ts'

/** What is told of a response, in this order. Bytes are only lent: they are overwritten when the call returns. */
export type ResponseSink = {
  /** Once for each informational response and once for the final one. `fields` is `[name, value, ...]`, as sent. */
  readonly onHead: (status: number, reason: string, fields: string[]) => void
  readonly onBody: (bytes: Buffer, start: number, end: number) => void
}

/** The bytes are not a response, or one that must not be passed on. */
export class ResponseError extends Error {}

const MAX_HEAD_BYTES = 64 * 1024
const MAX_CHUNK_LINE_BYTES = 4096
/** Hexadecimal digits of a chunk's size: more would not fit a number. */
const MAX_SIZE_DIGITS = 13
/** Heads are hardly ever longer: looked for in this much first, so that a body is not copied into text with them. */
const USUAL_HEAD_BYTES = 2048

const CR = 13
const LF = 10
const NONE: readonly string[] = []
/** The end of a head whose lines end in CRLF or in LF. */
const LENIENT_HEAD_END = /\r?\n\r?\n/g
const LENIENT_LINE_END = /\r?\n/g

/** Where in a message the next byte stands. A plain object of numbers: compared for every read. */
const AT = {
  head: 0,
  counted: 1,
  toTheEnd: 2,
  size: 3,
  sizeLf: 4,
  chunk: 5,
  chunkCr: 6,
  chunkLf: 7,
  trailers: 8,
  over: 9,
  afterInterim: 10,
  afterInterimLf: 11,
}

export class ResponseParser {
  readonly #sink: ResponseSink
  readonly #takesBareLf: boolean
  #at = AT.over
  #isHead = false
  /** The beginning of a head, a chunk's size line or trailers, of which the rest is not here yet. */
  #pending = ''
  #left = 0
  #isStopped = false
  /** Whether the connection may carry another message after this one (RFC 9112 section 9.3). */
  keepsAlive = false
  /** `Keep-Alive: timeout=`, in seconds; undefined where it is not said. */
  keepAliveHint: number | undefined = undefined
  /** `[name, value, ...]`, once the message is over. */
  trailers: readonly string[] = NONE

  /**
   * @param takesBareLf whether a line of a head may end in LF without CR (RFC 9112 section 2.2). Chunks and trailers need
   *   CRLF either way
   */
  constructor(sink: ResponseSink, takesBareLf = false) {
    this.#sink = sink
    this.#takesBareLf = takesBareLf
  }

  /** @param isHead whether the response is to HEAD, and so has no body whatever its fields say */
  expect(isHead: boolean): void {
    this.#at = AT.head
    this.#isHead = isHead
    this.#pending = ''
    this.#isStopped = false
    this.trailers = NONE
  }

  /** Nothing more is told of this message: whoever was told has given it up. */
  stop(): void {
    this.#isStopped = true
  }

  /** Whether the message has come to its end. */
  get isOver(): boolean {
    return this.#at === AT.over
  }

  /**
   * @returns how many bytes belonged to the message: fewer than there are if it ended before
   * @throws {ResponseError} when they are not a response
   */
  read(bytes: Buffer, length: number): number {
    let at = 0
    while (at < length && this.#at !== AT.over && !this.#isStopped) {
      switch (this.#at) {
        case AT.head:
          at = this.#readHead(bytes, at, length)
          break
        case AT.counted:
          at = this.#readCounted(bytes, at, length)
          if (this.#left === 0) this.#at = AT.over
          break
        case AT.afterInterim:
          // Some servers send one empty line too many behind an interim response.
          this.#at = bytes[at] === CR ? AT.afterInterimLf : AT.head
          if (this.#at === AT.afterInterimLf || (this.#takesBareLf && bytes[at] === LF)) at++
          break
        case AT.afterInterimLf:
          if (bytes[at++] !== LF) throw new ResponseError('no status line')
          this.#at = AT.head
          break
        case AT.toTheEnd:
          this.#sink.onBody(bytes, at, length)
          return length
        default:
          at = this.#readChunked(bytes, at, length)
      }
    }
    return at
  }

  /** The connection has ended in good order, and with it a body that has neither a length nor chunks. */
  endOfConnection(): void {
    if (this.#at === AT.toTheEnd) this.#at = AT.over
  }

  #readHead(bytes: Buffer, from: number, length: number): number {
    if (this.#takesBareLf) return this.#readLenientHead(bytes, from, length)
    const before = this.#pending.length
    let to = Math.min(length, from + USUAL_HEAD_BYTES)
    let text = this.#pending + latin1(bytes, from, to)
    let end = text.indexOf('\r\n\r\n', Math.max(0, before - 3))
    if (end === -1 && to < length) {
      to = length
      text = this.#pending + latin1(bytes, from, to)
      end = text.indexOf('\r\n\r\n', Math.max(0, before - 3))
    }
    if (isTooLong(text, end)) throw new ResponseError('a head without end')
    if (end === -1) {
      // Whoever sends something else than HTTP need not be read to 64 KiB.
      if (!'HTTP/1.'.startsWith(text.slice(0, 7))) throw new ResponseError('no status line')
      // A head of bare line feeds alone would have no end, and the request would wait for it until its timeout.
      if (text.includes('\n\n', Math.max(0, before - 1))) throw new ResponseError('a head with bare line feeds')
      this.#pending = text
      return length
    }
    this.#pending = ''
    this.#takeHead(text, end + 2)
    return from + end + 4 - before
  }

  /** As `#readHead`, where LF alone may end a line too. */
  #readLenientHead(bytes: Buffer, from: number, length: number): number {
    const before = this.#pending.length
    const text = this.#pending + latin1(bytes, from, length)
    LENIENT_HEAD_END.lastIndex = Math.max(0, before - 3)
    const end = LENIENT_HEAD_END.exec(text)
    if (isTooLong(text, end === null ? -1 : end.index)) throw new ResponseError('a head without end')
    if (end === null) {
      if (!'HTTP/1.'.startsWith(text.slice(0, 7))) throw new ResponseError('no status line')
      this.#pending = text
      return length
    }
    this.#pending = ''
    const lines = `${text.slice(0, end.index).replace(LENIENT_LINE_END, '\r\n')}\r\n`
    this.#takeHead(lines, lines.length)
    return from + end.index + end[0].length - before
  }

  /** @param end where the empty line begins */
  #takeHead(text: string, end: number): void {
    const line = text.indexOf('\r\n')
    const minor = text.charCodeAt(7) - 48
    const status = statusOf(text, line)
    if (status === 0 || (minor !== 1 && minor !== 0)) throw new ResponseError('no status line')
    const fields: string[] = []
    let length = -1
    let isChunked = false
    let connection = ''
    this.keepAliveHint = undefined
    for (let at = line + 2; at < end; ) {
      const eol = text.indexOf('\r\n', at)
      const colon = text.indexOf(':', at)
      if (colon === -1 || colon >= eol) throw new ResponseError('a field without a colon')
      const name = text.slice(at, colon)
      const value = trimmed(text, colon + 1, eol)
      at = eol + 2
      fields.push(name, value)
      // The few that say where the message ends, found by the length of their names first.
      if (name.length === 14) {
        if (name.toLowerCase() !== 'content-length') continue
        if (length !== -1) throw new ResponseError('two lengths')
        length = lengthOf(value)
      } else if (name.length === 17) {
        if (name.toLowerCase() !== 'transfer-encoding') continue
        if (isChunked || value.toLowerCase() !== 'chunked') throw new ResponseError('unknown transfer coding')
        isChunked = true
      } else if (name.length === 10) {
        const lower = name.toLowerCase()
        if (lower === 'connection') connection = connection === '' ? value : `${connection},${value}`
        else if (lower === 'keep-alive') this.keepAliveHint = hintOf(value)
      }
    }
    // RFC 9112 section 6.3: whoever says both may mean to be read in two ways.
    if (isChunked && (length !== -1 || minor === 0)) throw new ResponseError('two framings')
    this.keepsAlive = keepsConnection(connection, minor === 1)
    this.#enterBody(status, length, isChunked)
    this.#sink.onHead(status, text.slice(13, line), fields)
  }

  #enterBody(status: number, length: number, isChunked: boolean): void {
    if (status < 200) {
      this.#at = AT.afterInterim
      return
    }
    if (this.#isHead || status === 204 || status === 304) {
      this.#at = AT.over
    } else if (isChunked) {
      this.#at = AT.size
    } else if (length !== -1) {
      this.#at = length === 0 ? AT.over : AT.counted
      this.#left = length
    } else {
      this.#at = AT.toTheEnd
      this.keepsAlive = false
    }
  }

  #readCounted(bytes: Buffer, from: number, length: number): number {
    const to = Math.min(length, from + this.#left)
    this.#left -= to - from
    this.#sink.onBody(bytes, from, to)
    return to
  }

  #readChunked(bytes: Buffer, from: number, length: number): number {
    switch (this.#at) {
      case AT.size:
        return this.#readSize(bytes, from, length)
      case AT.chunk: {
        const at = this.#readCounted(bytes, from, length)
        if (this.#left === 0) this.#at = AT.chunkCr
        return at
      }
      case AT.chunkCr:
        if (bytes[from] !== CR) throw new ResponseError('a chunk longer than its size')
        this.#at = AT.chunkLf
        return from + 1
      case AT.chunkLf:
        if (bytes[from] !== LF) throw new ResponseError('a chunk longer than its size')
        this.#at = AT.size
        return from + 1
      default:
        return this.#readTrailers(bytes, from, length)
    }
  }

  /** `size [; extension] CRLF`, RFC 9112 section 7.1: extensions are read over. */
  #readSize(bytes: Buffer, from: number, length: number): number {
    const lf = bytes.indexOf(LF, from)
    const isHere = lf !== -1 && lf < length
    const to = isHere ? lf + 1 : length
    const line = this.#pending + latin1(bytes, from, to)
    if (line.length > MAX_CHUNK_LINE_BYTES) throw new ResponseError('a chunk extension without end')
    if (!isHere) {
      this.#pending = line
      return length
    }
    this.#pending = ''
    this.#left = sizeOf(line)
    this.#at = this.#left === 0 ? AT.trailers : AT.chunk
    return to
  }

  /** Field lines up to an empty one. */
  #readTrailers(bytes: Buffer, from: number, length: number): number {
    const before = this.#pending.length
    const text = this.#pending + latin1(bytes, from, length)
    const isEmpty = text.startsWith('\r\n')
    const end = isEmpty ? 0 : text.indexOf('\r\n\r\n', Math.max(0, before - 3))
    if (isTooLong(text, end)) throw new ResponseError('trailers without end')
    if (end === -1) {
      this.#pending = text
      return length
    }
    this.#pending = ''
    if (!isEmpty) this.trailers = trailersOf(text.slice(0, end + 2))
    this.#at = AT.over
    return from + end + (isEmpty ? 2 : 4) - before
  }
}

/** @param end where the empty line begins, -1 where it is not here yet: three bytes of it may be. */
function isTooLong(text: string, end: number): boolean {
  return (end === -1 ? text.length - 3 : end) > MAX_HEAD_BYTES
}

/** RFC 9112 section 4: `HTTP/1.1 200 OK`. @returns the status, 0 if it is no status line */
function statusOf(text: string, line: number): number {
  if (!text.startsWith('HTTP/1.') || text.charCodeAt(8) !== 32 || line < 12) return 0
  // The reason is optional, and so, say many servers, is the space before it.
  if (line > 12 && text.charCodeAt(12) !== 32) return 0
  let status = 0
  for (let i = 9; i < 12; i++) {
    const digit = text.charCodeAt(i) - 48
    if (digit < 0 || digit > 9) return 0
    status = status * 10 + digit
  }
  return status >= 100 ? status : 0
}

/** Without the blanks around it (RFC 9112 section 5.1). */
function trimmed(text: string, start: number, end: number): string {
  let from = start
  let to = end
  while (from < to && isBlank(text.charCodeAt(from))) from++
  while (to > from && isBlank(text.charCodeAt(to - 1))) to--
  return text.slice(from, to)
}

function isBlank(code: number): boolean {
  return code === 32 || code === 9
}

function lengthOf(value: string): number {
  if (!/^\d{1,15}$/.test(value)) throw new ResponseError('no length')
  return Number(value)
}

/** RFC 9112 section 9.3: `close` counts for more than whatever else is said, in whichever line. */
function keepsConnection(value: string, byDefault: boolean): boolean {
  if (value === '') return byDefault
  const lower = value.toLowerCase()
  if (lower === 'keep-alive') return true
  if (lower === 'close') return false
  const tokens = lower.split(',').map((token) => token.trim())
  if (tokens.includes('close')) return false
  return byDefault || tokens.includes('keep-alive')
}

function hintOf(value: string): number | undefined {
  const seconds = /(?:^|[,;\s])timeout=(\d{1,9})/i.exec(value)?.[1]
  return seconds === undefined ? undefined : Number(seconds)
}

const CHUNK_LINE = /^([0-9a-f]+)(?:[ \t]*;[\t\x20-\x7e\x80-\xff]*)?\r\n$/i

function sizeOf(line: string): number {
  const size = CHUNK_LINE.exec(line)?.[1]
  if (size === undefined || size.length > MAX_SIZE_DIGITS) throw new ResponseError('no chunk size')
  return Number.parseInt(size, 16)
}

function trailersOf(text: string): string[] {
  const fields: string[] = []
  for (let at = 0; at < text.length; ) {
    const eol = text.indexOf('\r\n', at)
    const colon = text.indexOf(':', at)
    if (colon === -1 || colon >= eol) throw new ResponseError('a trailer without a colon')
    fields.push(text.slice(at, colon), trimmed(text, colon + 1, eol))
    at = eol + 2
  }
  return fields
}
