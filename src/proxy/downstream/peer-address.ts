// The address of the peer of a client connection, in the form that logs and trust lists use.
import type { Socket } from 'node:net'
import { plainAddress } from '../../model/plain-address.ts'

const PEER = Symbol('peer')

type Known = { readonly remoteAddress?: Socket['remoteAddress']; [PEER]?: string }

/** Asks the system once for each connection. `''` where the connection is closed already and was never asked. */
export function peerAddress(socket: Known): string {
  const known = socket[PEER]
  if (known !== undefined) return known
  const { remoteAddress } = socket
  if (remoteAddress === undefined) return ''
  const address = plainAddress(remoteAddress)
  socket[PEER] = address
  return address
}
