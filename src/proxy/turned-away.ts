// Connections on which a request was turned away. Where the next request begins is then anybody's guess, and what
// looks like one may be the body of the one that was refused: nothing further is served (RFC 9112 section 9.6).
import type { Socket } from 'node:net'

/** On the socket itself: asked for every request, and a property that is not there costs less than a WeakSet. */
type Connection = Socket & { isTurnedAway?: true }

export function markTurnedAway(socket: Socket): void {
  ;(socket as Connection).isTurnedAway = true
}

export function isTurnedAway(socket: Socket): boolean {
  return (socket as Connection).isTurnedAway === true
}
