import { Agent } from 'node:http'
import express from 'express'
import { createProxyMiddleware } from 'http-proxy-middleware'
import { originFor, originsFromArguments } from './cookie-split.ts'

const { port, ...origins } = originsFromArguments()

const app = express()
app.use(
  createProxyMiddleware({
    target: origins.legacy,
    router: (request) => originFor(request.headers.cookie, origins),
    agent: new Agent({ keepAlive: true }),
    xfwd: true,
  }),
)
app.listen(port, '127.0.0.1')
