// Parses HTTP/1 responses strictly: bytes that can be read in two ways are rejected (RFC 9112). It finds the end of a
// message; headers.ts interprets the fields for the client.
import { latin1 } from '../../lib/latin1.ts'

/** Receives a response, in this order. The bytes are valid during the call only: the next read overwrites them. */
export type ResponseSink = {
  /** Once for each informational response and once for the final one. `fields` is `[name, value, ...]`, as sent. */
  readonly onHead: (status: number, reason: string, fields: string[]) => void
  readonly onBody: (bytes: Buffer, start: number, end: number) => void
}

/** The bytes are not a response, or are a response that must not be passed on. */
export class ResponseError extends Error {}

const MAX_HEAD_BYTES = 64 * 1024
const MAX_CHUNK_LINE_BYTES = 4096
/** Hexadecimal digits of a chunk size; more do not fit into a number. */
const MAX_SIZE_DIGITS = 13
/** Few heads are longer. The end is searched in this part first, so that the body behind it is not copied into text. */
const USUAL_HEAD_BYTES = 2048

const CR = 13
const LF = 10
const NO_TRAILERS: readonly string[] = []
/** The end of a head whose lines end in CRLF or in LF. */
const LENIENT_HEAD_END = /\r?\n\r?\n/g
const LENIENT_LINE_END = /\r?\n/g

/** The part of the message to which the next byte belongs. A plain object of numbers, since every read compares it. */
const STATE = {
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
  #state = STATE.over
  #isResponseToHead = false
  /** The beginning of a head, of a chunk size line or of trailers whose end has not arrived. */
  #pending = ''
  #remaining = 0
  #isStopped = false
  /** Whether the connection may carry another message after this one (RFC 9112 section 9.3). */
  keepsAlive = false
  /** `Keep-Alive: timeout=`, in seconds; undefined without one. */
  keepAliveHint: number | undefined = undefined
  /** `[name, value, ...]`, when the message has ended. */
  trailers: readonly string[] = NO_TRAILERS

  /**
   * @param takesBareLf whether a line of a head may end with LF alone (RFC 9112 section 2.2). Chunks and trailers always
   *   need CRLF
   */
  constructor(sink: ResponseSink, takesBareLf = false) {
    this.#sink = sink
    this.#takesBareLf = takesBareLf
  }

  /** Starts a message. @param isHead whether the request was HEAD: then its fields announce a body that does not come */
  expect(isHead: boolean): void {
    this.#state = STATE.head
    this.#isResponseToHead = isHead
    this.#pending = ''
    this.#isStopped = false
    this.trailers = NO_TRAILERS
  }

  /** Stops the calls to the sink for this message. */
  stop(): void {
    this.#isStopped = true
  }

  /** Whether the message has ended. */
  get isOver(): boolean {
    return this.#state === STATE.over
  }

  /**
   * @returns how many bytes belong to the message; fewer than `length` if the message has ended before
   * @throws {ResponseError} for bytes that are not a response
   */
  read(bytes: Buffer, length: number): number {
    let offset = 0
    while (offset < length && this.#state !== STATE.over && !this.#isStopped) {
      switch (this.#state) {
        case STATE.head:
          offset = this.#readHead(bytes, offset, length)
          break
        case STATE.counted:
          offset = this.#readCounted(bytes, offset, length)
          if (this.#remaining === 0) this.#state = STATE.over
          break
        case STATE.afterInterim:
          // Some servers send one superfluous empty line behind an interim response.
          this.#state = bytes[offset] === CR ? STATE.afterInterimLf : STATE.head
          if (this.#state === STATE.afterInterimLf || (this.#takesBareLf && bytes[offset] === LF)) offset++
          break
        case STATE.afterInterimLf:
          if (bytes[offset++] !== LF) throw new ResponseError('no status line')
          this.#state = STATE.head
          break
        case STATE.toTheEnd:
          this.#sink.onBody(bytes, offset, length)
          return length
        default:
          offset = this.#readChunked(bytes, offset, length)
      }
    }
    return offset
  }

  /** The connection has ended without an error. This ends a body without a length and without chunks. */
  endOfConnection(): void {
    if (this.#state === STATE.toTheEnd) this.#state = STATE.over
  }

  #readHead(bytes: Buffer, from: number, length: number): number {
    if (this.#takesBareLf) return this.#readLenientHead(bytes, from, length)
    const pendingLength = this.#pending.length
    let to = Math.min(length, from + USUAL_HEAD_BYTES)
    let text = this.#pending + latin1(bytes, from, to)
    let end = text.indexOf('\r\n\r\n', Math.max(0, pendingLength - 3))
    if (end === -1 && to < length) {
      to = length
      text = this.#pending + latin1(bytes, from, to)
      end = text.indexOf('\r\n\r\n', Math.max(0, pendingLength - 3))
    }
    if (isTooLong(text, end)) throw new ResponseError('a head without end')
    if (end === -1) {
      // Bytes of another protocol are rejected before they reach 64 KiB.
      if (!'HTTP/1.'.startsWith(text.slice(0, 7))) throw new ResponseError('no status line')
      // A head with bare line feeds only has no end here, and the request would wait until its timeout.
      if (text.includes('\n\n', Math.max(0, pendingLength - 1))) throw new ResponseError('a head with bare line feeds')
      this.#pending = text
      return length
    }
    this.#pending = ''
    this.#parseHead(text, end + 2)
    return from + end + 4 - pendingLength
  }

  /** As `#readHead`, but LF alone may end a line too. */
  #readLenientHead(bytes: Buffer, from: number, length: number): number {
    const pendingLength = this.#pending.length
    const text = this.#pending + latin1(bytes, from, length)
    LENIENT_HEAD_END.lastIndex = Math.max(0, pendingLength - 3)
    const end = LENIENT_HEAD_END.exec(text)
    if (isTooLong(text, end === null ? -1 : end.index)) throw new ResponseError('a head without end')
    if (end === null) {
      if (!'HTTP/1.'.startsWith(text.slice(0, 7))) throw new ResponseError('no status line')
      this.#pending = text
      return length
    }
    this.#pending = ''
    const lines = `${text.slice(0, end.index).replace(LENIENT_LINE_END, '\r\n')}\r\n`
    this.#parseHead(lines, lines.length)
    return from + end.index + end[0].length - pendingLength
  }

  /** @param end where the empty line begins */
  #parseHead(text: string, end: number): void {
    const line = text.indexOf('\r\n')
    const minor = text.charCodeAt(7) - 48
    const status = parseStatus(text, line)
    if (status === 0 || (minor !== 1 && minor !== 0)) throw new ResponseError('no status line')
    const fields: string[] = []
    let length = -1
    let isChunked = false
    let connection = ''
    this.keepAliveHint = undefined
    for (let offset = line + 2; offset < end; ) {
      const eol = text.indexOf('\r\n', offset)
      const colon = text.indexOf(':', offset)
      if (colon === -1 || colon >= eol) throw new ResponseError('a field without a colon')
      const name = text.slice(offset, colon)
      const value = trimBlanks(text, colon + 1, eol)
      offset = eol + 2
      fields.push(name, value)
      // The fields that determine the end of the message. The length of the name is compared first, because it is cheap.
      if (name.length === 14) {
        if (name.toLowerCase() !== 'content-length') continue
        if (length !== -1) throw new ResponseError('two lengths')
        length = parseLength(value)
      } else if (name.length === 17) {
        if (name.toLowerCase() !== 'transfer-encoding') continue
        if (isChunked || value.toLowerCase() !== 'chunked') throw new ResponseError('unknown transfer coding')
        isChunked = true
      } else if (name.length === 10) {
        const lower = name.toLowerCase()
        if (lower === 'connection') connection = connection === '' ? value : `${connection},${value}`
        else if (lower === 'keep-alive') this.keepAliveHint = parseKeepAlive(value)
      }
    }
    // RFC 9112 section 6.3: a message with both framings may be an attack of request smuggling.
    if (isChunked && (length !== -1 || minor === 0)) throw new ResponseError('two framings')
    this.keepsAlive = keepsConnection(connection, minor === 1)
    this.#enterBody(status, length, isChunked)
    this.#sink.onHead(status, text.slice(13, line), fields)
  }

  #enterBody(status: number, length: number, isChunked: boolean): void {
    if (status < 200) {
      this.#state = STATE.afterInterim
      return
    }
    if (this.#isResponseToHead || status === 204 || status === 304) {
      this.#state = STATE.over
    } else if (isChunked) {
      this.#state = STATE.size
    } else if (length !== -1) {
      this.#state = length === 0 ? STATE.over : STATE.counted
      this.#remaining = length
    } else {
      this.#state = STATE.toTheEnd
      this.keepsAlive = false
    }
  }

  #readCounted(bytes: Buffer, from: number, length: number): number {
    const to = Math.min(length, from + this.#remaining)
    this.#remaining -= to - from
    this.#sink.onBody(bytes, from, to)
    return to
  }

  #readChunked(bytes: Buffer, from: number, length: number): number {
    switch (this.#state) {
      case STATE.size:
        return this.#readSize(bytes, from, length)
      case STATE.chunk: {
        const offset = this.#readCounted(bytes, from, length)
        if (this.#remaining === 0) this.#state = STATE.chunkCr
        return offset
      }
      case STATE.chunkCr:
        if (bytes[from] !== CR) throw new ResponseError('a chunk longer than its size')
        this.#state = STATE.chunkLf
        return from + 1
      case STATE.chunkLf:
        if (bytes[from] !== LF) throw new ResponseError('a chunk longer than its size')
        this.#state = STATE.size
        return from + 1
      default:
        return this.#readTrailers(bytes, from, length)
    }
  }

  /** `size [; extension] CRLF`, RFC 9112 section 7.1: extensions are ignored. */
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
    this.#remaining = parseChunkSize(line)
    this.#state = this.#remaining === 0 ? STATE.trailers : STATE.chunk
    return to
  }

  /** Field lines up to an empty one. */
  #readTrailers(bytes: Buffer, from: number, length: number): number {
    const pendingLength = this.#pending.length
    const text = this.#pending + latin1(bytes, from, length)
    const isEmpty = text.startsWith('\r\n')
    const end = isEmpty ? 0 : text.indexOf('\r\n\r\n', Math.max(0, pendingLength - 3))
    if (isTooLong(text, end)) throw new ResponseError('trailers without end')
    if (end === -1) {
      this.#pending = text
      return length
    }
    this.#pending = ''
    if (!isEmpty) this.trailers = parseTrailers(text.slice(0, end + 2))
    this.#state = STATE.over
    return from + end + (isEmpty ? 2 : 4) - pendingLength
  }
}

/** @param end where the empty line begins; -1 if it has not arrived: then up to three bytes of it may be here */
function isTooLong(text: string, end: number): boolean {
  return (end === -1 ? text.length - 3 : end) > MAX_HEAD_BYTES
}

/** RFC 9112 section 4: `HTTP/1.1 200 OK`. @returns the status; 0 if the line is not a status line */
function parseStatus(text: string, line: number): number {
  if (!text.startsWith('HTTP/1.') || text.charCodeAt(8) !== 32 || line < 12) return 0
  // The reason is optional. Many servers leave out the space before it too.
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
function trimBlanks(text: string, start: number, end: number): string {
  let from = start
  let to = end
  while (from < to && isBlank(text.charCodeAt(from))) from++
  while (to > from && isBlank(text.charCodeAt(to - 1))) to--
  return text.slice(from, to)
}

function isBlank(code: number): boolean {
  return code === 32 || code === 9
}

function parseLength(value: string): number {
  if (!/^\d{1,15}$/.test(value)) throw new ResponseError('no length')
  return Number(value)
}

/** RFC 9112 section 9.3: `close` has precedence over all other options, in any line. */
function keepsConnection(value: string, byDefault: boolean): boolean {
  if (value === '') return byDefault
  const lower = value.toLowerCase()
  if (lower === 'keep-alive') return true
  if (lower === 'close') return false
  const tokens = lower.split(',').map((token) => token.trim())
  if (tokens.includes('close')) return false
  return byDefault || tokens.includes('keep-alive')
}

function parseKeepAlive(value: string): number | undefined {
  const seconds = /(?:^|[,;\s])timeout=(\d{1,9})/i.exec(value)?.[1]
  return seconds === undefined ? undefined : Number(seconds)
}

const CHUNK_LINE = /^([0-9a-f]+)(?:[ \t]*;[\t\x20-\x7e\x80-\xff]*)?\r\n$/i

function parseChunkSize(line: string): number {
  const size = CHUNK_LINE.exec(line)?.[1]
  if (size === undefined || size.length > MAX_SIZE_DIGITS) throw new ResponseError('no chunk size')
  return Number.parseInt(size, 16)
}

function parseTrailers(text: string): string[] {
  const fields: string[] = []
  for (let offset = 0; offset < text.length; ) {
    const eol = text.indexOf('\r\n', offset)
    const colon = text.indexOf(':', offset)
    if (colon === -1 || colon >= eol) throw new ResponseError('a trailer without a colon')
    fields.push(text.slice(offset, colon), trimBlanks(text, colon + 1, eol))
    offset = eol + 2
  }
  return fields
}
