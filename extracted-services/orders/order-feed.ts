// Changes of orders, for the WebSocket.
import { EventEmitter } from 'node:events'
import type { Order } from './orders.ts'

export class OrderFeed {
  readonly #emitter = new EventEmitter<{ order: [Order] }>().setMaxListeners(0)

  publish(order: Order): void {
    this.#emitter.emit('order', order)
  }

  listen(listener: (order: Order) => void): () => void {
    this.#emitter.on('order', listener)
    return () => this.#emitter.off('order', listener)
  }
}
