// Absolute URLs, built from the host the browser asked for: X-Forwarded-Host and -Proto when a trusted proxy says so
// (Express's "trust proxy"), and else the Host header.
import type { Request } from 'express'

export function absoluteUrl(request: Request, path: string): string {
  return `${request.protocol}://${request.host}${path}`
}
