// Absolute URLs with the host of the browser's request: X-Forwarded-Host and X-Forwarded-Proto of a trusted proxy ("trust proxy" of
// Express), else the Host header.
import type { Request } from 'express'

export function absoluteUrl(request: Request, path: string): string {
  return `${request.protocol}://${request.host}${path}`
}
