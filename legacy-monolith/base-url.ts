// Absolute URLs, built from the host the browser asked for: X-Forwarded-Host and -Proto when a trusted proxy says so
// (Express's "trust proxy"), and else the Host header. Behind a gateway that forgets them, every redirect leads astray.
import type { Request } from 'express'

export function absoluteUrl(request: Request, path: string): string {
  return `${request.protocol}://${request.host}${path}`
}

/** Where to go after login: a path of this shop, whatever the parameter says. `//evil.example` is not a path of ours. */
export function localPath(wanted: unknown, otherwise: string): string {
  if (typeof wanted !== 'string' || !wanted.startsWith('/')) return otherwise
  const base = 'http://shop.invalid'
  const url = URL.canParse(wanted, base) ? new URL(wanted, base) : undefined
  return url?.origin === base ? url.pathname + url.search : otherwise
}
