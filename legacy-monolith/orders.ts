// Places, reads and changes orders.
import { findProduct } from './catalog.ts'
import { type Db, execute, queryRow, queryRows, transaction } from './db.ts'
import { CURRENCY, euros, withTax } from './money.ts'
import { notFound, Problem } from './problem.ts'
import type { Shop } from './shop.ts'

export type OrderStatus = 'placed' | 'paid' | 'shipped' | 'cancelled' | 'refunded'

export interface Order {
  readonly id: number
  readonly userId: number
  readonly status: OrderStatus
  readonly totalCents: number
  readonly placedAt: string
  readonly updatedAt: string
}

export interface OrderItem {
  readonly productId: number
  readonly name: string
  readonly quantity: number
  readonly unitCents: number
}

export interface OrderLine {
  readonly productId: number
  readonly quantity: number
}

const COLUMNS =
  'id, user_id AS userId, status, total_cents AS totalCents, placed_at AS placedAt, updated_at AS updatedAt'
const MAX_ITEMS = 50
const MAX_QUANTITY = 99

export function placeOrder(shop: Shop, userId: number, lines: readonly OrderLine[], idempotencyKey?: string): Order {
  const items = lines.map((line) => priceLine(shop.db, line))
  const totalCents = items.reduce((sum, item) => sum + item.quantity * item.unitCents, 0)
  const now = new Date().toISOString()
  const id = transaction(shop.db, () => {
    const orderId = execute(
      shop.db,
      `INSERT INTO orders (user_id, status, total_cents, placed_at, updated_at, idempotency_key)
       VALUES (?, 'placed', ?, ?, ?, ?)`,
      userId,
      totalCents,
      now,
      now,
      idempotencyKey ?? null,
    )
    items.forEach((item, position) => {
      execute(
        shop.db,
        'INSERT INTO order_items (order_id, position, product_id, name, quantity, unit_cents) VALUES (?, ?, ?, ?, ?, ?)',
        orderId,
        position,
        item.productId,
        item.name,
        item.quantity,
        item.unitCents,
      )
    })
    return orderId
  })
  shop.feed.publish(id, userId, 'placed')
  return { id, userId, status: 'placed', totalCents, placedAt: now, updatedAt: now }
}

/** The order of another customer gets the same response as a missing order, so that ids reveal nothing. */
export function findOrder(db: Db, userId: number, id: string): Order {
  const order = /^\d{1,12}$/.test(id)
    ? queryRow<Order>(db, `SELECT ${COLUMNS} FROM orders WHERE id = ? AND user_id = ?`, Number(id), userId)
    : undefined
  if (!order) throw notFound('order')
  return order
}

export function findOrderByKey(db: Db, userId: number, idempotencyKey: string): Order | undefined {
  return queryRow<Order>(
    db,
    `SELECT ${COLUMNS} FROM orders WHERE user_id = ? AND idempotency_key = ?`,
    userId,
    idempotencyKey,
  )
}

export function listOrders(db: Db, userId: number, page = 1, pageSize = 20): { orders: Order[]; total: number } {
  const counted = queryRow<{ total: number }>(db, 'SELECT count(*) AS total FROM orders WHERE user_id = ?', userId)
  const orders = queryRows<Order>(
    db,
    `SELECT ${COLUMNS} FROM orders WHERE user_id = ? ORDER BY id DESC LIMIT ? OFFSET ?`,
    userId,
    pageSize,
    (page - 1) * pageSize,
  )
  return { orders, total: counted?.total ?? 0 }
}

export function itemsOf(db: Db, orderId: number): OrderItem[] {
  return queryRows<OrderItem>(
    db,
    `SELECT product_id AS productId, name, quantity, unit_cents AS unitCents
     FROM order_items WHERE order_id = ? ORDER BY position`,
    orderId,
  )
}

export function cancelOrder(shop: Shop, order: Order): Order {
  if (order.status !== 'placed') {
    throw new Problem(409, 'too-late', `An order that is ${order.status} cannot be cancelled.`)
  }
  return changeStatus(shop, order, 'cancelled')
}

export function changeStatus(shop: Shop, order: Order, status: OrderStatus): Order {
  const updatedAt = new Date().toISOString()
  execute(shop.db, 'UPDATE orders SET status = ?, updated_at = ? WHERE id = ?', status, updatedAt, order.id)
  shop.feed.publish(order.id, order.userId, status)
  return { ...order, status, updatedAt }
}

export function orderJson(db: Db, order: Order) {
  return {
    id: order.id,
    number: orderNumber(order),
    customerId: order.userId,
    status: order.status,
    currency: CURRENCY,
    total: euros(order.totalCents),
    items: itemsOf(db, order.id).map(({ unitCents, ...item }) => ({ ...item, unitPrice: euros(unitCents) })),
    placedAt: order.placedAt,
    updatedAt: order.updatedAt,
  }
}

export function orderNumber(order: Pick<Order, 'id'>): string {
  return `FS-${String(order.id).padStart(7, '0')}`
}

/** Reads the body of an API request: `{ items: [{ productId, quantity }] }`. */
export function readOrderLines(body: unknown): OrderLine[] {
  const items: unknown = typeof body === 'object' && body !== null && 'items' in body ? body.items : undefined
  if (!Array.isArray(items) || items.length === 0 || items.length > MAX_ITEMS) {
    throw new Problem(400, 'bad-items', `"items" is a list of 1 to ${MAX_ITEMS} { productId, quantity }.`)
  }
  return items.map((item: unknown) => readOrderLine(item))
}

export function readOrderLine(item: unknown): OrderLine {
  const { productId, quantity = 1 }: { productId?: unknown; quantity?: unknown } =
    typeof item === 'object' && item !== null ? item : {}
  const line = { productId: Number(productId), quantity: Number(quantity) }
  if (!Number.isSafeInteger(line.productId)) throw new Problem(400, 'bad-product', '"productId" is a number.')
  if (!Number.isSafeInteger(line.quantity) || line.quantity < 1 || line.quantity > MAX_QUANTITY) {
    throw new Problem(400, 'bad-quantity', `"quantity" is a number from 1 to ${MAX_QUANTITY}.`)
  }
  return line
}

function priceLine(db: Db, line: OrderLine): OrderItem {
  const product = findProduct(db, String(line.productId))
  if (!product) throw new Problem(422, 'unknown-product', `There is no product ${line.productId}.`)
  return { ...line, name: product.name, unitCents: withTax(product.priceCents, product.taxPercent) }
}
