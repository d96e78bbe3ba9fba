import proxy from '@fastify/http-proxy'
import fastify from 'fastify'
import { originFor, originsFromArguments } from './cookie-split.ts'

const { port, ...origins } = originsFromArguments()

const server = fastify()
await server.register(proxy, {
  upstream: '',
  replyOptions: { getUpstream: (request) => originFor(request.headers.cookie, origins) },
})
await server.listen({ port, host: '127.0.0.1' })
