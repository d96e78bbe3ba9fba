// Connections on which a request was turned away. Where the next request begins is then anybody's guess, and what
// looks like one may be the body of the one that was refused: nothing further is served (RFC 9112 section 9.6).
import type { ServerResponse } from 'node:http'
import type { Socket } from 'node:net'

/** On the socket itself: asked for every request, and a property that is not there costs less than a WeakSet. */
type Connection = Socket & { turnedAwayWith?: ServerResponse | 'bytes' }

/** @param answer the refusal that is being written, where it is a response and not raw bytes */
export function markTurnedAway(socket: Socket, answer: ServerResponse | 'bytes'): void {
  ;(socket as Connection).turnedAwayWith = answer
}

export function isTurnedAway(socket: Socket): boolean {
  return (socket as Connection).turnedAwayWith !== undefined
}

/** The request that was refused will never end, so its answer waits for nothing more. */
export function endRefusal(socket: Socket): void {
  const answer = (socket as Connection).turnedAwayWith
  if (answer !== undefined && answer !== 'bytes') answer.end()
}
