// One request and its response, independent of the client's wire. Forwarding uses this interface and never a socket or a
// stream of the wire. One contract test covers every implementation.
import type { Failure } from '../../model/failures.ts'

/** Receives the events of one exchange. */
export type DownstreamObserver = {
  /** The client takes more of the response again, after `isBlocked` was true. */
  readonly onDrain: () => void
  /** The exchange is over: the whole response was sent, or the client has gone. Called once. */
  readonly onGone: () => void
}

/** Receives the body of the request. */
export type BodyReader = {
  readonly onBodyBytes: (bytes: Buffer) => void
  readonly onBodyEnd: () => void
  /** The connection has closed; `isBodyComplete` tells whether all of the body arrived before. */
  readonly onBodyClose: () => void
}

export type DownstreamExchange = {
  /** Starts the calls to the observer. Called once, before anything else. */
  readonly observe: (observer: DownstreamObserver) => void
  /** Whether the listener has already refused this request because the bytes behind its head are not a valid body. */
  readonly isRefused: boolean

  /** Whether all of the request body has arrived. */
  readonly isBodyComplete: boolean
  readonly isBodyPaused: boolean
  /** Trailers of the request, `[name, value, ...]`; complete once the body is. */
  readonly requestTrailers: readonly string[]
  /** Passes the body to a reader, as fast as `pauseBody` and `resumeBody` allow. */
  readonly readBody: (reader: BodyReader) => void
  readonly pauseBody: () => void
  readonly resumeBody: () => void
  /** Discards the rest of the body, so that the next request on the connection can be read. */
  readonly discardBody: () => void

  /** The status that was sent; undefined before the head. */
  readonly sentStatus: number | undefined
  /** Whether the whole response was given to the operating system. */
  readonly isSent: boolean
  /** Whether the client has stopped taking the response; `onDrain` follows. */
  readonly isBlocked: boolean
  /** Bytes of the response that wait in this process. */
  readonly waitingBytes: number
  /** Fields that middleware has set and that the upstream's fields must not replace, `[name, value, ...]`. */
  readonly middlewareFields: () => string[]
  /** Sends an informational response, if the client can take one. @throws for a field that cannot be written */
  readonly inform: (status: number, fields: string[]) => void
  /**
   * Writes the head of the response. It goes out together with the first bytes of the body, or at the end of this turn of
   * the event loop.
   *
   * @param fields `[name, value, ...]`
   * @throws for a reason or a field that cannot be written
   */
  readonly respond: (status: number, reason: string, fields: string[]) => void
  /** Closes the connection behind the response, slowly enough for a client that is still sending to read the response. */
  readonly closeAfterResponse: () => void
  /**
   * Writes bytes of the body.
   *
   * @returns whether the caller may overwrite the buffer; if not, the buffer belongs to the exchange from now on
   */
  readonly write: (bytes: Buffer, start: number, end: number) => boolean
  /**
   * Ends the response.
   *
   * @param trailers `[name, value]` pairs
   * @param text last bytes of the body
   * @throws for a trailer that cannot be written
   */
  readonly end: (trailers: readonly (readonly [string, string])[], text?: string) => void
  /**
   * Answers with a problem document (RFC 9457); the head must not have been sent.
   *
   * @param close whether the response announces the end of the connection
   */
  readonly respondError: (failure: Failure, requestId: string, close: boolean) => void
  /** Ends the connection so that the client notices that the response is not complete. */
  readonly abort: () => void
}
