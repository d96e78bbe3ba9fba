// Connections on which a request was turned away. Where the next request begins is then anybody's guess, and what
// looks like one may be the body of the one that was refused: nothing further is served (RFC 9112 section 9.6).
import type { ServerResponse } from 'node:http'
import type { Socket } from 'node:net'

/** On the socket itself: asked for every request, and a property that is not there costs less than a WeakSet. */
type Connection = Socket & { turnedAwayWith?: LastAnswer }

/** The last answer on a connection: a refusal, as a response or as raw bytes, or an upstream's early answer. */
type LastAnswer = ServerResponse | 'bytes' | 'early-answer'

export function markTurnedAway(socket: Socket, answer: LastAnswer): void {
  ;(socket as Connection).turnedAwayWith = answer
}

export function isTurnedAway(socket: Socket): boolean {
  return (socket as Connection).turnedAwayWith !== undefined
}

/** The request that was refused will never end, so its answer waits for nothing more. */
export function endRefusal(socket: Socket): void {
  const answer = (socket as Connection).turnedAwayWith
  // An upstream's answer is not ended by us: it may not be whole.
  if (answer === 'early-answer') socket.destroy()
  else if (answer !== undefined && answer !== 'bytes') answer.end()
}
