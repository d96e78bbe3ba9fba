// http-proxy-middleware, configured once for each service, with connections of its own.
import http, { type ClientRequest, type IncomingMessage, type ServerResponse } from 'node:http'
import https from 'node:https'
import { createProxyMiddleware, type RequestHandler } from 'http-proxy-middleware'
import type { Upstream } from '../../model/route.ts'

/** One request on its way to a service, as http-proxy-middleware's events report it. */
export type ProxiedRequest = {
  /** The origin to send it to. */
  readonly url: string
  /** The request to the service was created and has its socket. */
  readonly connecting: (outgoing: ClientRequest) => void
  /** The head of the service's response has arrived; its fields may still be changed. */
  readonly answered: (answer: IncomingMessage) => void
  readonly failed: (error: unknown) => void
}

const proxies = new WeakMap<Upstream, RequestHandler>()
const inProgress = new WeakMap<IncomingMessage, ProxiedRequest>()

/** Sends a request to a service and its response to the client. */
export function proxyTo(
  service: Upstream,
  request: IncomingMessage,
  response: ServerResponse,
  proxied: ProxiedRequest,
): void {
  inProgress.set(request, proxied)
  let proxy = proxies.get(service)
  if (proxy === undefined) {
    proxy = createProxy(service)
    proxies.set(service, proxy)
  }
  proxy(request as never, response as never, (error?: unknown) => fail(request, error))
}

/** http-proxy-middleware reports some failures by event, some by `next`, some by both. The first one counts. */
function fail(request: IncomingMessage, error: unknown): void {
  const proxied = inProgress.get(request)
  inProgress.delete(request)
  proxied?.failed(error)
}

function createProxy(service: Upstream): RequestHandler {
  return createProxyMiddleware({
    target: service.urls[0] as string,
    router: (request) => inProgress.get(request)?.url as string,
    agent: agentFor(service),
    proxyTimeout: service.timeouts.headersMs,
    prependPath: false,
    // The package's own plugins write logs, and answer errors with a text that names the host.
    ejectPlugins: true,
    plugins: [
      (server) => {
        server.on('error', (error, request) => fail(request as IncomingMessage, error))
        server.on('proxyReq', (outgoing, request) => {
          inProgress.get(request as IncomingMessage)?.connecting(outgoing)
          setImmediate(flushHead, outgoing)
        })
        server.on('proxyRes', (answer, request) => inProgress.get(request as IncomingMessage)?.answered(answer))
      },
    ],
  })
}

/** Sends a head whose body has not arrived yet: a service may refuse an upload before it has the body. */
function flushHead(outgoing: ClientRequest): void {
  if (!outgoing.headersSent && !outgoing.destroyed) outgoing.flushHeaders()
}

function agentFor(service: Upstream): http.Agent {
  const shared = { keepAlive: true, maxSockets: service.connections, timeout: service.timeouts.idleMs }
  return service.urls[0]?.startsWith('https:') ? new https.Agent({ ...shared, ...service.tls }) : new http.Agent(shared)
}
