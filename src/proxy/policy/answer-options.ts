// Requests to the gateway itself (RFC 9110 sections 7.6.2 and 9.3.7).
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { RequestHead } from '../../model/request-head.ts'
import { endAfterBody } from '../downstream/respond-error.ts'

/** `OPTIONS *` is about the server, and `Max-Forwards: 0` forbids to forward OPTIONS. */
export function isForGateway(head: RequestHead): boolean {
  return head.method === 'OPTIONS' && (head.path === '*' || Number(head.fields.maxForwards) === 0)
}

export function answerOptions(request: IncomingMessage, response: ServerResponse): void {
  response.writeHead(200, { Allow: 'GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS', 'Content-Length': '0' })
  endAfterBody(request, response)
}
