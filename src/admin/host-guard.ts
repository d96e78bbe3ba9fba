// Against DNS rebinding: a page on evil.example whose name suddenly resolves to 127.0.0.1 makes the victim's browser
// talk to this port, but the browser still says `Host: evil.example`.
import { isIP } from 'node:net'
import type { RequestHandler } from 'express'
import { sendProblem } from './problem.ts'

/**
 * Lets through the names listed, `localhost`, and IP addresses. An address cannot be rebound: a page served from one
 * is that address's own; and kubelet and Prometheus come by address.
 */
export function hostGuard(names: readonly string[]): RequestHandler {
  const allowed = new Set(['localhost', ...names.map((name) => name.toLowerCase())])
  return (request, response, next) => {
    const host = hostname(request.headers.host ?? '')
    if (host !== undefined && (allowed.has(host) || isIP(host) !== 0)) return next()
    sendProblem(response, 421, 'This host name is not served here')
  }
}

/** The Host field without its port, in lower case and without the brackets of IPv6; undefined if it is malformed. */
function hostname(field: string): string | undefined {
  const parts = /^(?:\[([0-9a-f:.]+)\]|([a-z0-9._-]+))(?::\d{1,5})?$/i.exec(field)
  return (parts?.[1] ?? parts?.[2])?.toLowerCase()
}
