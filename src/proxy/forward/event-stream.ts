// Finds the ends of server-sent events, so that a drain can end the stream between two events.

/** Sent before a drain ends a stream: the client reconnects after two seconds, to a gateway that does not drain. */
export const RECONNECT_SOON = 'retry: 2000\n\n'

const LF = 0x0a
const CR = 0x0d
/** The longest end of an event is CRLF CRLF, so only the last four bytes of a piece matter. */
const MAX_EVENT_END_BYTES = 4

/** Position in the stream: within a line, behind the end of a line, or behind an empty line, which ends an event. */
const IN_LINE = 0
const LINE_START = 1
const EVENT_END = 2

/** Tracks the position in one stream. Lines end with CRLF, LF or CR (WHATWG HTML, "Parsing an event stream"). */
export class EventStream {
  /** In a compressed stream the ends of events are not visible, and nothing can be appended. */
  readonly isCompressed: boolean
  /** The gateway ends the stream behind the current event. */
  isEnding = false
  #state: number = EVENT_END
  #isAfterCr = false

  constructor(isCompressed: boolean) {
    this.isCompressed = isCompressed
  }

  get isBetweenEvents(): boolean {
    return this.isCompressed || this.#state === EVENT_END
  }

  /**
   * Takes the next piece of the body.
   *
   * @returns the end of the part for the client: `end`, or in a stream that is ending the last end of an event
   */
  take(bytes: Uint8Array, start: number, end: number): number {
    if (this.isCompressed) return end
    if (this.isEnding) return this.#takeToEnd(bytes, start, end)
    let from = start
    if (end - start > MAX_EVENT_END_BYTES) {
      from = end - MAX_EVENT_END_BYTES
      this.#state = IN_LINE
      this.#isAfterCr = false
    }
    for (let i = from; i < end; i++) this.#step(bytes[i] as number)
    return end
  }

  #takeToEnd(bytes: Uint8Array, start: number, end: number): number {
    let boundary = -1
    for (let i = start; i < end; i++) {
      this.#step(bytes[i] as number)
      if (this.#state === EVENT_END) boundary = i + 1
    }
    if (boundary < 0) return end
    this.#state = EVENT_END
    return boundary
  }

  #step(byte: number): void {
    if (byte === LF && this.#isAfterCr) {
      // The second character of CRLF.
      this.#isAfterCr = false
      return
    }
    this.#isAfterCr = byte === CR
    if (byte !== LF && byte !== CR) this.#state = IN_LINE
    else this.#state = this.#state === IN_LINE ? LINE_START : EVENT_END
  }
}

/**
 * @param raw the fields of a final response, names and values in turn
 * @returns undefined for any other response, and for a stream of a known length, which ends by itself
 */
export function eventStreamOf(raw: readonly string[]): EventStream | undefined {
  const type = fieldValue(raw, 'content-type')
  if (type === undefined || !/^text\/event-stream\s*(?:;|$)/i.test(type)) return undefined
  if (fieldValue(raw, 'content-length') !== undefined) return undefined
  return new EventStream((fieldValue(raw, 'content-encoding') ?? 'identity').toLowerCase() !== 'identity')
}

function fieldValue(raw: readonly string[], name: string): string | undefined {
  for (let i = 0; i < raw.length; i += 2) {
    const field = raw[i] as string
    if (field.length === name.length && field.toLowerCase() === name) return raw[i + 1]
  }
  return undefined
}
