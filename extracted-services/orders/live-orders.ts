// The WebSocket /live/orders: sends changes of orders to the customer.
import type { IncomingMessage, Server } from 'node:http'
import type { Duplex } from 'node:stream'
import { type RawData, type WebSocket, WebSocketServer } from 'ws'
import type { Orders } from './open-orders.ts'
import { customerId, findOrder, orderJson } from './orders.ts'
import { Problem } from './problem.ts'

export interface LiveOrders {
  /** Closes every WebSocket with 1001 (going away). */
  close(): void
}

const MOST_MESSAGE_BYTES = 16 * 1024
const GOING_AWAY = 1001
const LONGEST_GOODBYE_MS = 2000
const REFUSALS: Readonly<Record<number, string>> = { 401: '401 Unauthorized', 503: '503 Service Unavailable' }

export function attachLiveOrders(server: Server, orders: Orders, heartbeatMs: number): LiveOrders {
  const sockets = new WebSocketServer({ noServer: true, maxPayload: MOST_MESSAGE_BYTES, perMessageDeflate: false })
  sockets.on('headers', (headers) => headers.push('x-served-by: orders'))

  server.on('upgrade', (request: IncomingMessage, socket: Duplex, head: Buffer) => {
    socket.on('error', () => socket.destroy())
    if (pathOf(request) !== '/live/orders') return refuse(socket, '404 Not Found')
    if (!isOwnPage(request)) return refuse(socket, '403 Forbidden')
    orders.customerOf(request.headers).then(
      (customer) => {
        if (orders.closing()) return refuse(socket, '503 Service Unavailable')
        sockets.handleUpgrade(request, socket, head, (webSocket) => welcome(orders, webSocket, customer, heartbeatMs))
      },
      (error: unknown) => {
        const status = error instanceof Problem ? error.status : 500
        refuse(socket, REFUSALS[status] ?? '500 Internal Server Error')
      },
    )
  })

  return {
    close() {
      for (const socket of sockets.clients) {
        socket.close(GOING_AWAY, 'the service is closing')
        setTimeout(() => socket.terminate(), LONGEST_GOODBYE_MS).unref()
      }
    },
  }
}

function welcome(orders: Orders, socket: WebSocket, customer: string, heartbeatMs: number): void {
  let answered = true
  const say = (message: object): void => socket.send(JSON.stringify(message))
  const stopListening = orders.feed.listen((order) => {
    if (order.customer !== customer) return
    say({ type: 'order', status: order.status, at: order.updatedAt, orderId: order.id })
  })
  const heartbeat = setInterval(() => {
    if (!answered) return socket.terminate()
    answered = false
    socket.ping()
  }, heartbeatMs)

  socket.on('pong', () => {
    answered = true
  })
  socket.on('message', (message) => say(reply(orders, customer, message)))
  socket.on('error', () => socket.terminate())
  socket.on('close', () => {
    clearInterval(heartbeat)
    stopListening()
  })
  say({ type: 'hello', customerId: customerId(customer), servedBy: 'orders' })
}

/** Replies to `{ "type": "ping" }` with a pong, and to `{ "type": "order", "orderId": 7 }` with that order. */
function reply({ db }: Orders, customer: string, message: RawData): object {
  try {
    const query: { type?: unknown; orderId?: unknown } = JSON.parse(String(message)) ?? {}
    if (query.type === 'ping') return { type: 'pong' }
    if (query.type === 'order') {
      return { type: 'order-state', order: orderJson(db, findOrder(db, customer, String(query.orderId))) }
    }
    return { type: 'error', code: 'unknown-type' }
  } catch (error) {
    return { type: 'error', code: error instanceof SyntaxError ? 'not-json' : 'not-found' }
  }
}

/** A browser sends the cookie with WebSockets of every site: only pages of the shop may open one. */
function isOwnPage(request: IncomingMessage): boolean {
  const { origin } = request.headers
  if (origin === undefined) return true // not a browser
  const host = request.headers['x-forwarded-host'] ?? request.headers.host
  return URL.canParse(origin) && new URL(origin).host === host
}

function pathOf(request: IncomingMessage): string {
  return (request.url ?? '').split('?', 1)[0] ?? ''
}

function refuse(socket: Duplex, status: string): void {
  socket.once('finish', () => socket.destroy()) // a refused client must not keep the connection open
  socket.end(`HTTP/1.1 ${status}\r\nConnection: close\r\nContent-Length: 0\r\nx-served-by: orders\r\n\r\n`)
}
