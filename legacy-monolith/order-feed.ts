// Changes of orders: stores them and publishes them to listeners (server-sent events and WebSockets).
import { EventEmitter } from 'node:events'
import { type Db, execute, queryRows } from './db.ts'
import type { User } from './session.ts'

export interface OrderEvent {
  readonly id: number
  readonly orderId: number
  readonly userId: number
  readonly status: string
  readonly at: string
}

/** A change in the view of one listener: only the owner and the staff receive the id of the order. */
export type OrderNews = Omit<OrderEvent, 'orderId' | 'userId'> & { readonly orderId?: number }

export class OrderFeed {
  readonly #db: Db
  readonly #emitter = new EventEmitter<{ event: [OrderEvent] }>().setMaxListeners(0)

  constructor(db: Db) {
    this.#db = db
  }

  publish(orderId: number, userId: number, status: string): void {
    const changedAt = new Date().toISOString()
    const id = execute(
      this.#db,
      'INSERT INTO order_events (order_id, user_id, status, at) VALUES (?, ?, ?, ?)',
      orderId,
      userId,
      status,
      changedAt,
    )
    this.#emitter.emit('event', { id, orderId, userId, status, at: changedAt })
  }

  listen(listener: (event: OrderEvent) => void): () => void {
    this.#emitter.on('event', listener)
    return () => this.#emitter.off('event', listener)
  }

  /** The changes that a reconnected listener has missed: at most a hundred, oldest first. */
  since(eventId: number): OrderEvent[] {
    return queryRows<OrderEvent>(
      this.#db,
      'SELECT id, order_id AS orderId, user_id AS userId, status, at FROM order_events WHERE id > ? ORDER BY id LIMIT 100',
      eventId,
    )
  }
}

export function visibleTo(user: User | undefined, event: OrderEvent): OrderNews {
  const { id, orderId, userId, status, at: changedAt } = event
  const mayKnow = user?.role === 'staff' || user?.id === userId
  return mayKnow ? { id, status, at: changedAt, orderId } : { id, status, at: changedAt }
}
