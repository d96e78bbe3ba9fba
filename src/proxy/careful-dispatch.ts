// The lane for the few requests that undici cannot carry: `Expect: 100-continue`, whose body must wait for the
// upstream's word (RFC 9110 section 10.1.1), and announced request trailers. A connection each, never used again.
import http, { type IncomingMessage, type ServerResponse } from 'node:http'
import https from 'node:https'
import type { Dispatcher } from 'undici'
import type { RequestHead } from '../model/request-head.ts'
import type { Upstream } from '../model/route.ts'
import { trailers } from './headers.ts'
import { type RequestBody, RequestBodyError } from './request-body.ts'
import type { Address } from './upstreams.ts'

export type CarefulRequest = {
  readonly address: Address
  readonly upstream: Upstream
  readonly options: Dispatcher.DispatchOptions
  readonly request: IncomingMessage
  readonly response: ServerResponse
  readonly head: RequestHead
  readonly body: RequestBody
  /** The identity header in lower case, where one is configured. */
  readonly userHeader: string | undefined
}

/** Does what `Client.dispatch` does, with the same handler, over `node:http`; whoever calls keeps the time. */
export function dispatchCarefully(
  careful: CarefulRequest,
  handler: Dispatcher.DispatchHandler,
): Dispatcher.DispatchController {
  const { address, upstream, options, request, response, head, body, userHeader } = careful
  const { tls } = upstream
  const url = new URL(address.url)
  const outgoing = (url.protocol === 'https:' ? https : http).request({
    ...tls,
    servername: address.servername,
    protocol: url.protocol,
    hostname: url.hostname,
    port: url.port,
    method: options.method,
    path: options.path,
    headers: [...(options.headers as string[]), ...framing(head), 'Connection', 'close'],
    agent: false,
    setHost: false,
  })
  const controller = new CarefulController((error) => outgoing.destroy(error))
  let isDone = false
  const fail = (error: Error) => {
    if (isDone) return
    isDone = true
    body.off('error', fail)
    handler.onResponseError?.(controller, error)
  }

  outgoing.once('socket', (socket) => {
    socket.once(url.protocol === 'https:' ? 'secureConnect' : 'connect', () => {
      handler.onRequestStart?.(controller, null)
    })
  })
  outgoing.once('error', fail)
  outgoing.once('upgrade', (_answer, socket) => {
    socket.destroy()
    fail(Object.assign(new Error('a switch nobody asked for'), { code: 'HPE_SWITCH' }))
  })
  /** As undici does it: what a handler throws ends the request, and not the process. */
  const guarded = (handle: () => void) => {
    try {
      handle()
    } catch (error) {
      fail(error as Error)
      outgoing.destroy()
    }
  }
  body.once('error', (error) => {
    fail(error)
    outgoing.destroy()
  })

  const sendBody = () => {
    request.once('end', () => {
      const sent = trailers(request.rawTrailers, userHeader)
      if (sent.length > 0) outgoing.addTrailers(sent)
    })
    body.pipe(outgoing)
  }
  sendBody()
  if (head.fields.expect !== undefined) {
    // RFC 9110 section 10.1.1: a client may tire of waiting for the word and send its body; then it goes on unasked.
    body.isHeldBack = true
    outgoing.once('continue', () => {
      body.isHeldBack = false
      if (!response.headersSent && !response.destroyed) response.writeContinue()
    })
    outgoing.flushHeaders()
  }

  outgoing.on('information', (info) => {
    if (info.statusCode === 100) return
    controller.rawHeaders = info.rawHeaders
    guarded(() => handler.onResponseStart?.(controller, info.statusCode, info.headers, info.statusMessage))
  })
  outgoing.once('response', (incoming) => {
    controller.paces(incoming)
    controller.rawHeaders = incoming.rawHeaders
    const { statusCode = 502, headers, statusMessage } = incoming
    guarded(() => handler.onResponseStart?.(controller, statusCode, headers, statusMessage))
    incoming.on('data', (chunk: Buffer) => guarded(() => handler.onResponseData?.(controller, chunk)))
    incoming.once('error', fail)
    incoming.once('end', () => {
      if (isDone) return
      isDone = true
      controller.rawTrailers = incoming.rawTrailers
      guarded(() => handler.onResponseEnd?.(controller, incoming.trailers))
      outgoing.destroy()
    })
    incoming.once('close', () => {
      if (!incoming.complete) fail(Object.assign(new Error('other side closed'), { code: 'ECONNRESET' }))
    })
  })
  return controller
}

function framing(head: RequestHead): string[] {
  const list: string[] = []
  if (head.body.kind === 'chunked') list.push('Transfer-Encoding', 'chunked')
  if (head.fields.expect !== undefined) list.push('Expect', '100-continue')
  if (head.fields.trailer !== undefined && head.body.kind === 'chunked') list.push('Trailer', head.fields.trailer)
  return list
}

/** undici's controller, for a `node:http` request. */
class CarefulController implements Dispatcher.DispatchController {
  aborted = false
  paused = false
  reason: Error | null = null
  rawHeaders: string[] | null = null
  rawTrailers: string[] | null = null
  readonly #destroy: (error: Error) => void
  #incoming: IncomingMessage | undefined

  constructor(destroy: (error: Error) => void) {
    this.#destroy = destroy
  }

  paces(incoming: IncomingMessage): void {
    this.#incoming = incoming
  }

  pause(): void {
    this.paused = true
    this.#incoming?.pause()
  }

  resume(): void {
    this.paused = false
    this.#incoming?.resume()
  }

  abort(reason?: Error): void {
    this.aborted = true
    this.reason = reason ?? new RequestBodyError('client-gone')
    this.#destroy(this.reason)
  }
}
