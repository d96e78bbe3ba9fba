// The shop as one Express application, with a list of all its routes.
import express, { type ErrorRequestHandler, type Express, type RequestHandler } from 'express'
import { sendPage } from './pages.ts'
import { notFound, Problem } from './problem.ts'
import { accountRoutes } from './routes/account.ts'
import { cartPages } from './routes/cart.ts'
import { catalogApi } from './routes/catalog-api.ts'
import { catalogPages } from './routes/catalog-pages.ts'
import { downloads } from './routes/downloads.ts'
import { frontDoor } from './routes/front.ts'
import { loginPages } from './routes/login.ts'
import { orderStream } from './routes/order-stream.ts'
import { ordersApi } from './routes/orders-api.ts'
import { orderPages } from './routes/orders-pages.ts'
import { paymentsApi } from './routes/payments-api.ts'
import { reviewRoutes } from './routes/reviews.ts'
import type { Shop } from './shop.ts'
import { problemPage } from './views/home.ts'

export interface AppOptions {
  /** The proxies whose X-Forwarded-* fields are trusted: "trust proxy" of Express. */
  readonly trustProxy: string
  readonly log: (line: string) => void
}

export function createApp(shop: Shop, { trustProxy, log }: AppOptions): Express {
  const app = express()
  app.disable('x-powered-by')
  app.set('etag', false) // Express's own covers the time of generation, so it would never match again
  app.set('trust proxy', trustProxy)
  app.use(accessLog(log), commonHeaders)
  app.use('/api', (_request, response, next) => {
    response.set('Cache-Control', 'no-cache')
    next()
  })
  app.use(frontDoor(shop), catalogPages(shop), catalogApi(shop), reviewRoutes(shop), cartPages(shop))
  app.use(loginPages(shop), accountRoutes(shop), orderPages(shop), ordersApi(shop), paymentsApi(shop))
  app.use(downloads(shop), orderStream(shop))
  app.use(() => {
    throw notFound('page')
  })
  app.use(answerProblem(shop, log))
  return app
}

const commonHeaders: RequestHandler = (_request, response, next) => {
  response.set({ 'x-served-by': 'monolith', 'X-Content-Type-Options': 'nosniff', 'Referrer-Policy': 'same-origin' })
  next()
}

/** Logs one line per request, without the query, which may contain search words and tokens. */
function accessLog(log: AppOptions['log']): RequestHandler {
  return (request, response, next) => {
    if (request.path === '/healthz') return next() // asked every few seconds, and of no interest
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

function answerProblem(shop: Shop, log: AppOptions['log']): ErrorRequestHandler {
  return (error: unknown, request, response, next) => {
    if (response.headersSent) return next(error)
    const problem = asProblem(error)
    if (problem.status >= 500)
      log(`${request.method} ${request.path} failed: ${String((error as Error)?.stack ?? error)}`)
    response.status(problem.status).removeHeader('ETag')
    response.removeHeader('Last-Modified')
    response.removeHeader('Content-Disposition')
    if (wantsJson(request.path)) {
      response.json({ error: { code: problem.code, message: problem.message } })
      return
    }
    sendPage(shop, response, { title: titleOf(problem), body: problemPage(problem.message) })
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

function titleOf(problem: Problem): string {
  return problem.status === 404 ? 'Not found' : problem.status >= 500 ? 'Sorry' : 'That did not work'
}

function wantsJson(path: string): boolean {
  return path.startsWith('/api/') || path.startsWith('/downloads/') || path.startsWith('/exports/')
}
