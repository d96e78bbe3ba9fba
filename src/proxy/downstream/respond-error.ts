// Writes a failure as a problem document (RFC 9457): status, title, request id and rule, and no internal detail.
import { type IncomingMessage, type ServerResponse, STATUS_CODES } from 'node:http'
import { FAILURES, type Failure } from '../../model/failures.ts'
import { type RefusalRule, RULE_OF_FAILURE } from '../../model/refusal-rules.ts'
import { markRefused } from './refused-connections.ts'

/** Seconds after which a client may repeat a request that was answered 503. */
const RETRY_AFTER_SECONDS = 1

type ErrorResponse = { readonly status: number; readonly headers: string[]; readonly body: string }

/**
 * @param close whether the response announces the end of the connection
 * @param challenge the `WWW-Authenticate` value, for 401 and 403
 * @param rule the rule that the request breaks, if it is narrower than the failure
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
 * Writes the head and body of an error. The caller ends the response, with `endAfterBody` if the client is still sending:
 * an immediate end would reset the connection before the client has read the answer.
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
  if (close) markRefused(response.req.socket, response)
  // The response keeps fields that a route's middleware has set (CORS, security headers).
  response.writeHead(status, STATUS_CODES[status] ?? '', headers)
  response.write(body)
}

/** How long the gateway reads from a client that is still sending before it closes the connection, in milliseconds. */
const LINGER_MS = 2000

/**
 * Ends a response whose request is still arriving: discards the rest of the request first, for `LINGER_MS` at most. An
 * immediate close would reset the connection, and the reset would overtake the answer.
 */
export function endAfterBody(request: IncomingMessage, response: ServerResponse): void {
  // `readableEnded` without `complete`: a request without a body, which Node may close before it calls the handler.
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

/** The same as raw bytes, for a socket without a response object: after a parse error, or for a refused upgrade. */
export function rawError(failure: Failure, requestId: string, challenge?: string, rule?: RefusalRule): string {
  const { status, headers, body } = errorResponse(failure, requestId, true, challenge, rule)
  let head = `HTTP/1.1 ${status} ${STATUS_CODES[status] ?? ''}\r\n`
  for (let i = 0; i < headers.length; i += 2) head += `${headers[i]}: ${headers[i + 1]}\r\n`
  return `${head}Date: ${new Date().toUTCString()}\r\n\r\n${body}`
}
