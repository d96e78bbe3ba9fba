// Response headers that protect the browser of an operator.
import type { RequestHandler } from 'express'

const HEADERS = {
  'Cache-Control': 'no-store',
  'Content-Security-Policy': "default-src 'none'; frame-ancestors 'none'",
  'Cross-Origin-Resource-Policy': 'same-origin',
  'Referrer-Policy': 'no-referrer',
  'X-Content-Type-Options': 'nosniff',
  'X-Frame-Options': 'DENY',
} as const

export const securityHeaders: RequestHandler = (_request, response, next) => {
  response.set(HEADERS)
  next()
}
