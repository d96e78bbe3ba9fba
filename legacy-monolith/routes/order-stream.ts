// Server-sent events: one for each change of an order, and heartbeats.
import { Router } from 'express'
import { type OrderEvent, visibleTo } from '../order-feed.ts'
import { currentUser } from '../session.ts'
import type { Shop } from '../shop.ts'

const RECONNECT_MS = 3000

export function orderStream(shop: Shop): Router {
  const router = Router()

  router.get('/events/orders', (request, response) => {
    const user = currentUser(shop.db, request)
    const send = (event: OrderEvent): void => {
      response.write(`id: ${event.id}\nevent: order\ndata: ${JSON.stringify(visibleTo(user, event))}\n\n`)
    }
    // no-transform and X-Accel-Buffering: intermediaries must not buffer the events.
    response.set({ 'Cache-Control': 'no-cache, no-transform', 'X-Accel-Buffering': 'no' })
    response.status(200).type('text/event-stream')
    if (request.method === 'HEAD') {
      response.end()
      return
    }
    response.write(`retry: ${RECONNECT_MS}\n: connected\n\n`)
    const missed = request.get('Last-Event-ID')
    if (missed !== undefined && /^\d{1,15}$/.test(missed)) shop.feed.since(Number(missed)).forEach(send)

    const heartbeat = setInterval(() => response.write(': heartbeat\n\n'), shop.heartbeatMs)
    const stopListening = shop.feed.listen(send)
    const stopStreaming = shop.closing.onClose(() => response.end())
    response.on('close', () => {
      clearInterval(heartbeat)
      stopListening()
      stopStreaming()
    })
  })

  return router
}
