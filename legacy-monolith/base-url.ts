// Absolute URLs with the host of the browser's request: X-Forwarded-Host and X-Forwarded-Proto of a trusted proxy ("trust proxy" of
// Express), else the Host header. Behind a gateway that does not send them, redirects lead to a wrong host.
import type { Request } from 'express'

export function absoluteUrl(request: Request, path: string): string {
  return `${request.protocol}://${request.host}${path}`
}

/** The target after a login: always a path of this shop, to prevent open redirects. `//evil.example` is not a path. */
export function localPath(wanted: unknown, otherwise: string): string {
  if (typeof wanted !== 'string' || !wanted.startsWith('/')) return otherwise
  const base = 'http://shop.invalid'
  const url = URL.canParse(wanted, base) ? new URL(wanted, base) : undefined
  return url?.origin === base ? url.pathname + url.search : otherwise
}
