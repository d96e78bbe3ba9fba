// Refuses requests: writes the problem document, then counts and logs the refusal. One function
// answers through a Node response, the other one through a socket that has no response.
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import type { Random } from '../../model/ports.ts'
import type { Events } from '../../telemetry/events.ts'
import type { Refusal } from '../policy/refusal.ts'
import { peerAddress } from './peer-address.ts'
import { endAfterBody, rawError, writeError } from './respond-error.ts'

type RefusalReporting = {
  readonly events: Pick<Events, 'requestRefused'>
  readonly random: Pick<Random, 'hex'>
  readonly now: () => number
}

/** The request line, as far as it was read. */
type RequestLine = { readonly method?: string | undefined; readonly url?: string | undefined }

/**
 * Refuses a request before it is forwarded.
 *
 * @param arrivedAt milliseconds of the clock `now`
 * @param keepAlive whether the connection may serve further requests: only if the framing of the request is sound
 */
export function refuse(
  reporting: RefusalReporting,
  request: IncomingMessage,
  response: ServerResponse,
  refusal: Refusal,
  arrivedAt: number,
  keepAlive = false,
): void {
  const requestId = reporting.random.hex(16)
  writeError(response, refusal.failure, requestId, !keepAlive, refusal.challenge, refusal.rule)
  endAfterBody(request, response)
  report(reporting, request.socket, refusal, requestId, arrivedAt, request)
}

/**
 * Refuses a request on a socket that has no response, and ends the socket.
 *
 * @param onFlushed called once the answer is written
 */
export function refuseOnSocket(
  reporting: RefusalReporting,
  socket: Socket,
  refusal: Refusal,
  arrivedAt: number,
  request: RequestLine = UNREAD,
  onFlushed?: () => void,
): void {
  const requestId = reporting.random.hex(16)
  // Before the answer, because a destroyed socket no longer knows its peer's address.
  report(reporting, socket, refusal, requestId, arrivedAt, request)
  if (socket.writable) {
    socket.end(rawError(refusal.failure, requestId, refusal.challenge, refusal.rule), onFlushed)
  } else {
    socket.destroy()
  }
}

const UNREAD: RequestLine = {}

function report(
  { events, now }: RefusalReporting,
  socket: Socket,
  { failure, detail }: Refusal,
  requestId: string,
  arrivedAt: number,
  { method, url: target }: RequestLine,
): void {
  events.requestRefused({
    arrivedAt,
    finishedAt: now(),
    failure,
    requestId,
    peerAddress: peerAddress(socket),
    method,
    target,
    detail,
  })
}
