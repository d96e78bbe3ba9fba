// Bytes that Node's parser rejects, heads that do not arrive in time, and CONNECT.
import type { Socket } from 'node:net'
import type { Failure } from '../../model/failures.ts'
import { RULE_OF_PARSE_ERROR } from '../../model/refusal-rules.ts'
import type { DataPlane } from '../data-plane.ts'
import { hasUnknownCoding } from '../policy/read-head.ts'
import { Refusal } from '../policy/refusal.ts'
import { afterResponses, pendingResponse } from './pipelining.ts'
import { refuseOnSocket } from './refuse.ts'
import { endRefusal, isRefused, markRefused } from './refused-connections.ts'

/** An error of Node's `clientError` event. */
type ParseError = NodeJS.ErrnoException & { readonly rawPacket?: Buffer }

/** Answers a parse error. Earlier responses on the same connection are completed first. */
export function answerParseError(plane: DataPlane, error: ParseError, socket: Socket): void {
  if (error.code === 'ECONNRESET') {
    socket.destroy()
    return
  }
  const pending = pendingResponse(socket)
  if (isRefused(socket)) {
    endRefusal(socket)
  } else if (pending === undefined) {
    refuseConnection(plane, socket, refusalOf(error))
  } else if (pending.req.complete) {
    // Pipelined garbage after a valid request: the valid request keeps its response.
    pending.once('close', () => answerParseError(plane, error, socket))
  } else if (pending.headersSent || error.code === 'HPE_INVALID_EOF_STATE') {
    // Garbage inside the body of the request that is being answered: the response may belong to another request. Or the
    // client has closed the connection inside the body: its exchange reports that.
    socket.destroy()
  } else {
    refuseConnection(plane, socket, refusalOf(error))
  }
}

/** Answers CONNECT (RFC 9110 section 9.3.6), which Node does not hand to the request handler. */
export function answerConnect(plane: DataPlane, socket: Socket): void {
  // Node removes its own listener from a socket that it hands over: a reset would end the process.
  socket.on('error', () => socket.destroy())
  afterResponses(socket, () => refuseConnection(plane, socket, new Refusal('method-refused', 'CONNECT')))
}

const FAILURE_OF_CODE: Readonly<Record<string, Failure>> = {
  HPE_HEADER_OVERFLOW: 'headers-too-large',
  HPE_CHUNK_EXTENSIONS_OVERFLOW: 'body-too-large',
  ERR_HTTP_REQUEST_TIMEOUT: 'slow-request',
}

function refusalOf({ code = '', rawPacket }: ParseError): Refusal {
  // Node's parser rejects any Transfer-Encoding that does not end in `chunked`. RFC 9112 section 6.1 requires 501 for an
  // unknown coding.
  if (code === 'HPE_INVALID_TRANSFER_ENCODING' && hasUnknownCoding(transferEncodingOf(rawPacket))) {
    return new Refusal('coding-unknown', code)
  }
  const failure = FAILURE_OF_CODE[code] ?? 'malformed'
  return failure === 'malformed'
    ? new Refusal(failure, code, undefined, RULE_OF_PARSE_ERROR[code])
    : new Refusal(failure, code)
}

function transferEncodingOf(packet: Buffer | undefined): string {
  const [, coding = ''] =
    /\r\ntransfer-encoding:[ \t]*([^\r\n]*?)[ \t]*\r\n/i.exec(packet?.toString('latin1') ?? '') ?? []
  return coding
}

function refuseConnection(plane: DataPlane, socket: Socket, refusal: Refusal): void {
  if (isRefused(socket)) return
  markRefused(socket, 'bytes')
  refuseOnSocket(plane, socket, refusal, plane.now(), undefined, () => socket.destroy())
}
