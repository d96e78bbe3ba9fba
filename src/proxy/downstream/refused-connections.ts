// Connections on which a request was refused. The start of the next request is then uncertain: bytes that look like a
// request may be the body of the refused one. So no further request is served (RFC 9112 section 9.6).
import type { ServerResponse } from 'node:http'
import type { Socket } from 'node:net'

/** A property of the socket, because every request reads it: a missing property costs less than a WeakSet. */
type MarkedSocket = Socket & { refusedWith?: LastAnswer }

/** The last answer on a connection: a refusal as a response or as raw bytes, or an upstream's early answer. */
type LastAnswer = ServerResponse | 'bytes' | 'early-answer'

export function markRefused(socket: Socket, answer: LastAnswer): void {
  ;(socket as MarkedSocket).refusedWith = answer
}

export function isRefused(socket: Socket): boolean {
  return (socket as MarkedSocket).refusedWith !== undefined
}

/** Ends the answer at once: the rest of the refused request will never arrive. */
export function endRefusal(socket: Socket): void {
  const answer = (socket as MarkedSocket).refusedWith
  // An upstream's answer may be incomplete, so it must not look complete.
  if (answer === 'early-answer') socket.destroy()
  else if (answer !== undefined && answer !== 'bytes') answer.end()
}
