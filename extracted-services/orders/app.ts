// The orders service as one Express application.
import express, { type ErrorRequestHandler, type Express, type RequestHandler } from 'express'
import type { Orders } from './open-orders.ts'
import { ordersApi } from './orders-api.ts'
import { notFound, Problem } from './problem.ts'

export interface AppOptions {
  /** The proxies whose X-Forwarded-* fields are trusted: "trust proxy" of Express. */
  readonly trustProxy: string
  readonly log: (line: string) => void
}

export function createApp(orders: Orders, { trustProxy, log }: AppOptions): Express {
  const app = express()
  app.disable('x-powered-by')
  app.set('etag', false) // as the monolith does
  app.set('trust proxy', trustProxy)
  app.get('/healthz', (_request, response) => {
    const closing = orders.closing()
    response.status(closing ? 503 : 200).json({ status: closing ? 'closing' : 'ok' })
  })
  app.use(accessLog(log), commonHeaders, ordersApi(orders))
  app.use(() => {
    throw notFound('page')
  })
  app.use(answerProblem(log))
  return app
}

const commonHeaders: RequestHandler = (_request, response, next) => {
  response.set({ 'x-served-by': 'orders', 'X-Content-Type-Options': 'nosniff', 'Referrer-Policy': 'same-origin' })
  response.set('Cache-Control', 'no-cache')
  next()
}

function accessLog(log: AppOptions['log']): RequestHandler {
  return (request, response, next) => {
    const arrivedAt = performance.now()
    response.on('close', () => {
      const status = response.writableFinished ? response.statusCode : `${response.statusCode} (cut off)`
      const path = request.originalUrl.split('?', 1)[0]
      const copy = request.get('x-shadow') === undefined ? '' : ' (a copy)'
      log(`${request.method} ${path} ${status} ${(performance.now() - arrivedAt).toFixed(1)} ms${copy}`)
    })
    next()
  }
}

function answerProblem(log: AppOptions['log']): ErrorRequestHandler {
  return (error: unknown, request, response, next) => {
    if (response.headersSent) return next(error)
    const problem = asProblem(error)
    if (problem.status >= 500) log(`${request.method} ${request.path} failed: ${String(problem.cause ?? error)}`)
    if (problem.status === 503) response.set('Retry-After', '1')
    response.status(problem.status).json({ error: { code: problem.code, message: problem.message } })
  }
}

/** Errors of Express's body parsers have a status and are errors of the client; all others are errors of the shop. */
function asProblem(error: unknown): Problem {
  if (error instanceof Problem) return error
  const status = typeof error === 'object' && error !== null && 'status' in error ? Number(error.status) : 500
  if (status === 413) return new Problem(413, 'too-large', 'That is more than this address takes.')
  if (status >= 400 && status < 500) return new Problem(status, 'bad-request', 'The request could not be read.')
  return new Problem(500, 'internal', 'Something went wrong on our side.')
}
