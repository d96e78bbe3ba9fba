// Protects against DNS rebinding: a page on evil.example whose name suddenly resolves to 127.0.0.1 makes the browser of the
// victim send requests to this port, but the browser still sends `Host: evil.example`.
import { isIP } from 'node:net'
import type { Request, RequestHandler } from 'express'
import { ApiRefusal, sendRefusal } from './problem.ts'

/**
 * Accepts the listed names, `localhost`, and IP addresses. An address cannot be rebound: a page served from an address has that
 * address as its origin. Kubelet and Prometheus connect by address.
 *
 * Health checks of load balancers (HAProxy's `option httpchk`) use HTTP/1.0 without Host. Every browser sends Host, so a
 * request without Host does not come from a rebound page. Such requests may read the health paths and nothing else.
 */
export function hostGuard(
  names: readonly string[],
  onRefused: (request: Request, refusal: ApiRefusal) => void,
): RequestHandler {
  const allowedNames = new Set(['localhost', ...names.map((name) => name.toLowerCase())])
  return (request, response, next) => {
    const authority = readAuthority(request)
    if (authority === undefined) return sendRefusal(response, new ApiRefusal('bad-request', 'two Host fields'))
    const host = hostname(authority)
    if (host !== undefined && (allowedNames.has(host) || isIP(host) !== 0)) return next()
    if (isHealthCheckWithoutHost(request)) return next()
    const refusal = new ApiRefusal('foreign-host', 'use an IP address, or a name in --admin-names')
    onRefused(request, refusal)
    sendRefusal(response, refusal)
  }
}

const HEALTH_PATHS: ReadonlySet<string> = new Set(['/livez', '/readyz'])

/** HTTP/1.0 does not require Host (RFC 9112 section 3.2 requires it from HTTP/1.1 on). */
function isHealthCheckWithoutHost({ httpVersion, method, headers, url }: Request): boolean {
  if (httpVersion !== '1.0' || headers.host !== undefined) return false
  return (method === 'GET' || method === 'HEAD') && HEALTH_PATHS.has(url)
}

/** The authority of an absolute target, else Host (RFC 9112 section 3.2.2); undefined if there are two Host fields. */
function readAuthority({ headers, rawHeaders, url }: Request): string | undefined {
  const fields = rawHeaders.filter((name, i) => i % 2 === 0 && name.toLowerCase() === 'host')
  if (fields.length > 1) return undefined
  return /^[a-z][a-z0-9+.-]*:\/\/([^/?#]*)/i.exec(url)?.[1] ?? headers.host ?? ''
}

/** The name without its port, in lower case and without the brackets of IPv6; undefined if it is malformed. */
function hostname(authority: string): string | undefined {
  const parts = /^(?:\[([0-9a-f:.]+)\]|([a-z0-9._-]+))(?::\d{1,5})?$/i.exec(authority)
  return (parts?.[1] ?? parts?.[2])?.toLowerCase()
}
