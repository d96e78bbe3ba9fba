// Failure to status and safe body: a problem document (RFC 9457) with the request id and nothing of the inside.
import { type IncomingMessage, type ServerResponse, STATUS_CODES } from 'node:http'
import { FAILURES, type Failure } from '../../model/failures.ts'
import { type RefusalRule, RULE_OF_FAILURE } from '../../model/refusal-rules.ts'
import { markTurnedAway } from './turned-away.ts'

/** Seconds after which a client that was turned away by a full pool may come back. */
const RETRY_AFTER_SECONDS = 1

type ErrorResponse = { readonly status: number; readonly headers: string[]; readonly body: string }

/**
 * What a failure looks like on the wire, for a client that may keep its connection or must leave it.
 *
 * @param challenge what the client is asked to bring, for 401 and 403
 * @param rule the rule that the request breaks, where it is narrower than the failure
 */
function errorResponse(
  failure: Failure,
  requestId: string,
  close: boolean,
  challenge: string | undefined,
  rule: RefusalRule | undefined = RULE_OF_FAILURE[failure],
): ErrorResponse {
  const { status, title } = FAILURES[failure]
  const body = `${JSON.stringify({ type: 'about:blank', title, status, rule, requestId })}\n`
  const headers = [
    'Content-Type',
    'application/problem+json',
    'Content-Length',
    String(Buffer.byteLength(body)),
    'Cache-Control',
    'no-store',
    'X-Request-Id',
    requestId,
  ]
  if (status === 503) headers.push('Retry-After', String(RETRY_AFTER_SECONDS))
  if (status === 405) headers.push('Allow', 'GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS')
  if (challenge !== undefined) headers.push('WWW-Authenticate', challenge)
  if (close) headers.push('Connection', 'close')
  return { status, headers, body }
}

/**
 * Writes the head and body of an error. The caller ends the response: where the client is still sending, ending at
 * once would reset the connection under the answer.
 */
export function writeError(
  response: ServerResponse,
  failure: Failure,
  requestId: string,
  close: boolean,
  challenge?: string,
  rule?: RefusalRule,
): void {
  const { status, headers, body } = errorResponse(failure, requestId, close, challenge, rule)
  if (close) markTurnedAway(response.req.socket, response)
  // What a route's middleware set before (CORS, security headers) stays.
  response.writeHead(status, STATUS_CODES[status] ?? '', headers)
  response.write(body)
}

/** How long a client that is still sending is listened to before its connection goes, in milliseconds. */
const LINGER_MS = 2000

/**
 * Ends a response whose request may not be read to its end: drains what still comes, for a while. Closing at once
 * would reset the connection, and the reset would overtake the answer.
 */
export function endAfterBody(request: IncomingMessage, response: ServerResponse): void {
  // Ended without being complete: a request without a body, which Node may close before its handler is called.
  if (request.complete || request.readableEnded) {
    response.end()
    return
  }
  const timer = setTimeout(() => {
    response.end()
    if (!request.complete) request.socket.destroySoon()
  }, LINGER_MS)
  const end = () => {
    clearTimeout(timer)
    response.end()
  }
  request.once('end', end).once('close', end).once('error', ignore)
  request.resume()
}

function ignore(): void {
  // 'close' follows.
}

/** The same as raw bytes, for a socket that has no response object: a parse error, a refused upgrade. */
export function rawError(failure: Failure, requestId: string, challenge?: string, rule?: RefusalRule): string {
  const { status, headers, body } = errorResponse(failure, requestId, true, challenge, rule)
  let head = `HTTP/1.1 ${status} ${STATUS_CODES[status] ?? ''}\r\n`
  for (let i = 0; i < headers.length; i += 2) head += `${headers[i]}: ${headers[i + 1]}\r\n`
  return `${head}Date: ${new Date().toUTCString()}\r\n\r\n${body}`
}
