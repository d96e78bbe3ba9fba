// The WebSocket /live/orders: sends changes of orders to the signed-in customer.
import type { IncomingMessage, Server } from 'node:http'
import type { Duplex } from 'node:stream'
import { type RawData, type WebSocket, WebSocketServer } from 'ws'
import { visibleTo } from './order-feed.ts'
import { findOrder, orderJson } from './orders.ts'
import { currentUser, type User } from './session.ts'
import type { Shop } from './shop.ts'

const MOST_MESSAGE_BYTES = 16 * 1024
const GOING_AWAY = 1001
const LONGEST_GOODBYE_MS = 2000

export function attachLiveOrders(server: Server, shop: Shop): void {
  const sockets = new WebSocketServer({ noServer: true, maxPayload: MOST_MESSAGE_BYTES, perMessageDeflate: false })
  sockets.on('headers', (headers) => headers.push('x-served-by: monolith'))

  server.on('upgrade', (request: IncomingMessage, socket: Duplex, head: Buffer) => {
    socket.on('error', () => socket.destroy())
    if (pathOf(request) !== '/live/orders') return refuse(socket, '404 Not Found')
    if (!isOwnPage(request)) return refuse(socket, '403 Forbidden')
    const user = currentUser(shop.db, request)
    if (!user) return refuse(socket, '401 Unauthorized')
    sockets.handleUpgrade(request, socket, head, (webSocket) => serve(shop, webSocket, user))
  })
}

function serve(shop: Shop, socket: WebSocket, user: User): void {
  let answered = true
  const say = (message: object): void => socket.send(JSON.stringify(message))
  const stopListening = shop.feed.listen((event) => {
    if (event.userId === user.id || user.role === 'staff') say({ type: 'order', ...visibleTo(user, event) })
  })
  const stopServing = shop.closing.onClose(() => {
    socket.close(GOING_AWAY, 'the shop is closing')
    setTimeout(() => socket.terminate(), LONGEST_GOODBYE_MS).unref()
  })
  const heartbeat = setInterval(() => {
    if (!answered) return socket.terminate()
    answered = false
    socket.ping()
  }, shop.heartbeatMs)

  socket.on('pong', () => {
    answered = true
  })
  socket.on('message', (message) => say(reply(shop, user, message)))
  socket.on('error', () => socket.terminate())
  socket.on('close', () => {
    clearInterval(heartbeat)
    stopListening()
    stopServing()
  })
  say({ type: 'hello', customerId: user.id, servedBy: 'monolith' })
}

/** Replies to `{ "type": "ping" }` with a pong, and to `{ "type": "order", "orderId": 7 }` with that order. */
function reply(shop: Shop, user: User, message: RawData): object {
  try {
    const query: { type?: unknown; orderId?: unknown } = JSON.parse(String(message)) ?? {}
    if (query.type === 'ping') return { type: 'pong' }
    if (query.type === 'order') {
      return { type: 'order-state', order: orderJson(shop.db, findOrder(shop.db, user.id, String(query.orderId))) }
    }
    return { type: 'error', code: 'unknown-type' }
  } catch (error) {
    return { type: 'error', code: error instanceof SyntaxError ? 'not-json' : 'not-found' }
  }
}

/** A browser sends the cookie with WebSockets of every site: only pages of this shop may open one. */
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
  socket.end(`HTTP/1.1 ${status}\r\nConnection: close\r\nContent-Length: 0\r\nx-served-by: monolith\r\n\r\n`)
}
