// The catalog as one Express application.
import express, { type ErrorRequestHandler, type Express, type RequestHandler } from 'express'
import type { Catalog } from './open-catalog.ts'
import { sendPage } from './pages.ts'
import { notFound, Problem } from './problem.ts'
import { catalogApi } from './routes/api.ts'
import { catalogPages } from './routes/pages.ts'
import { problemPage } from './views/problem.ts'

export interface AppOptions {
  /** The proxies whose X-Forwarded-* fields are trusted: "trust proxy" of Express. */
  readonly trustProxy: string
  readonly log: (line: string) => void
}

export function createApp(catalog: Catalog, { trustProxy, log }: AppOptions): Express {
  const app = express()
  app.disable('x-powered-by')
  app.set('etag', false) // Express's own covers the time of generation, so it would never match again
  app.set('trust proxy', trustProxy)
  app.get('/healthz', (_request, response) => {
    const closing = catalog.closing()
    response.status(closing ? 503 : 200).json({ status: closing ? 'closing' : 'ok' })
  })
  app.use(accessLog(log), commonHeaders)
  app.use('/api', (_request, response, next) => {
    response.set('Cache-Control', 'no-cache')
    next()
  })
  app.use(catalogPages(catalog), catalogApi(catalog))
  app.use(() => {
    throw notFound('page')
  })
  app.use(answerProblem(catalog, log))
  return app
}

const commonHeaders: RequestHandler = (_request, response, next) => {
  response.set({ 'x-served-by': 'catalog', 'X-Content-Type-Options': 'nosniff', 'Referrer-Policy': 'same-origin' })
  next()
}

/** Logs one line per request, without the query, which may contain search words. */
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

function answerProblem(catalog: Catalog, log: AppOptions['log']): ErrorRequestHandler {
  return (error: unknown, request, response, next) => {
    if (response.headersSent) return next(error)
    const problem = asProblem(error)
    if (problem.status >= 500) log(`${request.method} ${request.path} failed: ${String(error)}`)
    response.status(problem.status).removeHeader('ETag')
    response.removeHeader('Last-Modified')
    if (request.path.startsWith('/api/')) {
      response.json({ error: { code: problem.code, message: problem.message } })
      return
    }
    sendPage(catalog.assets, response, { title: titleOf(problem), body: problemPage(problem.message) })
  }
}

/** Errors of Express's parsers have a status and are errors of the client; all others are errors of the service. */
function asProblem(error: unknown): Problem {
  if (error instanceof Problem) return error
  const status = typeof error === 'object' && error !== null && 'status' in error ? Number(error.status) : 500
  if (status >= 400 && status < 500) return new Problem(status, 'bad-request', 'The request could not be read.')
  return new Problem(500, 'internal', 'Something went wrong on our side.')
}

function titleOf(problem: Problem): string {
  return problem.status === 404 ? 'Not found' : problem.status >= 500 ? 'Sorry' : 'That did not work'
}
