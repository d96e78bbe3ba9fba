// Pipelined requests (RFC 9112 section 9.3.2): several requests on one connection before the first response.
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import { isRefused } from './refused-connections.ts'

/** On the socket: the response that was begun last, and the number of requests that wait behind it. */
const LAST = Symbol('last')
const WAITING = Symbol('waiting')
type PipelinedSocket = Socket & { [LAST]?: ServerResponse; [WAITING]?: number }

/** Pipelined requests that may wait on one connection. No ordinary client comes near it. */
const MOST_PIPELINED = 100

/**
 * Serves pipelined requests one after another. Their responses leave in that order anyway, and parallel requests of a
 * single connection could take every connection of an upstream.
 */
export function serveInOrder(request: IncomingMessage, response: ServerResponse, serve: () => void): void {
  const socket: PipelinedSocket = request.socket
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
    // RFC 9112 section 9.6: after a response that closes the connection no request is processed. The client may repeat it.
    if (!socket.destroyed && !socket.writableEnded && !isRefused(socket)) serve()
  })
}

/** The response that is being written on a connection; responses to later pipelined requests wait for it. */
export function pendingResponse(socket: Socket): ServerResponse | undefined {
  return (socket as Socket & { _httpMessage?: ServerResponse | null })._httpMessage ?? undefined
}

/** Calls `then` once every response on a connection is complete. */
export function afterResponses(socket: Socket, then: () => void): void {
  const pending = pendingResponse(socket)
  if (pending === undefined) then()
  else pending.once('close', () => afterResponses(socket, then))
}
