// The head of a request as Node's parser has read it.
import type { IncomingMessage } from 'node:http'
import type { RawHead } from '../policy/read-head.ts'
import { peerAddress } from './peer-address.ts'

export function rawHead(request: IncomingMessage, target = request.url ?? ''): RawHead {
  return {
    method: request.method ?? '',
    target,
    majorVersion: request.httpVersionMajor,
    minorVersion: request.httpVersionMinor === 0 ? 0 : 1,
    rawHeaders: request.rawHeaders,
    peerAddress: peerAddress(request.socket),
    secure: 'encrypted' in request.socket,
  }
}
