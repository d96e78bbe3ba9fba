// The address of the peer of a client connection, in the form that logs and trust lists use.
import type { Socket } from 'node:net'
import { plainAddress } from '../../model/plain-address.ts'

const PEER = Symbol('peer')

type SocketWithPeer = { readonly remoteAddress?: Socket['remoteAddress']; [PEER]?: string }

/** Reads the address once for each connection. `''` if the connection was closed before the first call. */
export function peerAddress(socket: SocketWithPeer): string {
  const cachedAddress = socket[PEER]
  if (cachedAddress !== undefined) return cachedAddress
  const { remoteAddress } = socket
  if (remoteAddress === undefined) return ''
  const address = plainAddress(remoteAddress)
  socket[PEER] = address
  return address
}
