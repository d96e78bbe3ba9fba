// News of orders: who wants to hear them (the SSE stream, the WebSocket) and what was said so far.
import { EventEmitter } from 'node:events'
import { all, type Db, run } from './db.ts'
import type { User } from './session.ts'

export interface OrderEvent {
  readonly id: number
  readonly orderId: number
  readonly userId: number
  readonly status: string
  readonly at: string
}

/** What one listener may know: everybody hears that something was ordered, only its owner and the staff hear what. */
export type OrderNews = Omit<OrderEvent, 'orderId' | 'userId'> & { readonly orderId?: number }

export class OrderFeed {
  readonly #db: Db
  readonly #emitter = new EventEmitter<{ event: [OrderEvent] }>().setMaxListeners(0)

  constructor(db: Db) {
    this.#db = db
  }

  publish(orderId: number, userId: number, status: string): void {
    const at = new Date().toISOString()
    const id = run(
      this.#db,
      'INSERT INTO order_events (order_id, user_id, status, at) VALUES (?, ?, ?, ?)',
      orderId,
      userId,
      status,
      at,
    )
    this.#emitter.emit('event', { id, orderId, userId, status, at })
  }

  listen(listener: (event: OrderEvent) => void): () => void {
    this.#emitter.on('event', listener)
    return () => this.#emitter.off('event', listener)
  }

  /** For a listener that was away: at most a hundred, the oldest first. */
  since(eventId: number): OrderEvent[] {
    return all<OrderEvent>(
      this.#db,
      'SELECT id, order_id AS orderId, user_id AS userId, status, at FROM order_events WHERE id > ? ORDER BY id LIMIT 100',
      eventId,
    )
  }
}

export function newsFor(user: User | undefined, event: OrderEvent): OrderNews {
  const { id, orderId, userId, status, at } = event
  const mayKnow = user?.role === 'staff' || user?.id === userId
  return mayKnow ? { id, status, at, orderId } : { id, status, at }
}
