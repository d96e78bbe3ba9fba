// Places, reads and cancels orders.
import { type Db, execute, queryRow, queryRows, transaction } from './db.ts'
import type { OrderFeed } from './order-feed.ts'
import { notFound, Problem } from './problem.ts'

export interface Order {
  readonly id: number
  readonly customer: string
  readonly status: string
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

export interface Wanted {
  readonly productId: number
  readonly quantity: number
}

/** The database of orders, and the feed of their changes. */
export interface OrderBook {
  readonly db: Db
  readonly feed: OrderFeed
}

const COLUMNS = 'id, customer, status, total_cents AS totalCents, placed_at AS placedAt, updated_at AS updatedAt'
const CURRENCY = 'EUR'
const MOST_ITEMS = 50
const MOST_OF_ONE = 99

export function placeOrder(
  { db, feed }: OrderBook,
  customer: string,
  wanted: readonly Wanted[],
  idempotencyKey?: string,
): Order {
  const items = wanted.map((want) => priced(db, want))
  const totalCents = items.reduce((sum, item) => sum + item.quantity * item.unitCents, 0)
  const now = new Date().toISOString()
  const id = transaction(db, () => {
    const orderId = execute(
      db,
      `INSERT INTO orders (customer, status, total_cents, placed_at, updated_at, idempotency_key)
       VALUES (?, 'placed', ?, ?, ?, ?)`,
      customer,
      totalCents,
      now,
      now,
      idempotencyKey ?? null,
    )
    insertItems(db, orderId, items)
    return orderId
  })
  const order = { id, customer, status: 'placed', totalCents, placedAt: now, updatedAt: now }
  feed.publish(order)
  return order
}

export function insertItems(db: Db, orderId: number, items: readonly OrderItem[]): void {
  items.forEach((item, position) => {
    execute(
      db,
      'INSERT INTO order_items (order_id, position, product_id, name, quantity, unit_cents) VALUES (?, ?, ?, ?, ?, ?)',
      orderId,
      position,
      item.productId,
      item.name,
      item.quantity,
      item.unitCents,
    )
  })
}

/** The order of another customer gets the same response as a missing order, so that ids reveal nothing. */
export function findOrder(db: Db, customer: string, id: string): Order {
  const order = /^\d{1,12}$/.test(id)
    ? queryRow<Order>(db, `SELECT ${COLUMNS} FROM orders WHERE id = ? AND customer = ?`, Number(id), customer)
    : undefined
  if (!order) throw notFound('order')
  return order
}

export function findOrderByKey(db: Db, customer: string, idempotencyKey: string): Order | undefined {
  return queryRow<Order>(
    db,
    `SELECT ${COLUMNS} FROM orders WHERE customer = ? AND idempotency_key = ?`,
    customer,
    idempotencyKey,
  )
}

export function listOrders(db: Db, customer: string, page: number, pageSize: number) {
  const counted = queryRow<{ total: number }>(db, 'SELECT count(*) AS total FROM orders WHERE customer = ?', customer)
  const orders = queryRows<Order>(
    db,
    `SELECT ${COLUMNS} FROM orders WHERE customer = ? ORDER BY id DESC LIMIT ? OFFSET ?`,
    customer,
    pageSize,
    (page - 1) * pageSize,
  )
  return { orders, total: counted?.total ?? 0 }
}

export function cancelOrder({ db, feed }: OrderBook, order: Order): Order {
  if (order.status !== 'placed') {
    throw new Problem(409, 'too-late', `An order that is ${order.status} cannot be cancelled.`)
  }
  const cancelled = { ...order, status: 'cancelled', updatedAt: new Date().toISOString() }
  execute(
    db,
    'UPDATE orders SET status = ?, updated_at = ? WHERE id = ?',
    cancelled.status,
    cancelled.updatedAt,
    order.id,
  )
  feed.publish(cancelled)
  return cancelled
}

export function orderJson(db: Db, order: Order) {
  const items = queryRows<OrderItem>(
    db,
    `SELECT product_id AS productId, name, quantity, unit_cents AS unitCents
     FROM order_items WHERE order_id = ? ORDER BY position`,
    order.id,
  )
  return {
    id: order.id,
    number: `FS-${String(order.id).padStart(7, '0')}`,
    customerId: customerId(order.customer),
    status: order.status,
    currency: CURRENCY,
    total: order.totalCents / 100,
    items: items.map(({ unitCents, ...item }) => ({ ...item, unitPrice: unitCents / 100 })),
    placedAt: order.placedAt,
    updatedAt: order.updatedAt,
  }
}

/** The ids of the monolith's customers are numbers, also in the API. */
export function customerId(customer: string): number | string {
  return /^\d{1,15}$/.test(customer) ? Number(customer) : customer
}

/** Reads `{ items: [{ productId, quantity }] }`. */
export function readWanted(body: unknown): Wanted[] {
  const items: unknown = typeof body === 'object' && body !== null && 'items' in body ? body.items : undefined
  if (!Array.isArray(items) || items.length === 0 || items.length > MOST_ITEMS) {
    throw new Problem(400, 'bad-items', `"items" is a list of 1 to ${MOST_ITEMS} { productId, quantity }.`)
  }
  return items.map((item: unknown) => readWantedItem(item))
}

function readWantedItem(item: unknown): Wanted {
  const { productId, quantity = 1 }: { productId?: unknown; quantity?: unknown } =
    typeof item === 'object' && item !== null ? item : {}
  const want = { productId: Number(productId), quantity: Number(quantity) }
  if (!Number.isSafeInteger(want.productId)) throw new Problem(400, 'bad-product', '"productId" is a number.')
  if (!Number.isSafeInteger(want.quantity) || want.quantity < 1 || want.quantity > MOST_OF_ONE) {
    throw new Problem(400, 'bad-quantity', `"quantity" is a number from 1 to ${MOST_OF_ONE}.`)
  }
  return want
}

function priced(db: Db, want: Wanted): OrderItem {
  const price = queryRow<{ name: string; unitCents: number }>(
    db,
    'SELECT name, unit_cents AS unitCents FROM price_list WHERE product_id = ?',
    want.productId,
  )
  if (!price) throw new Problem(422, 'unknown-product', `There is no product ${want.productId}.`)
  return { ...want, ...price }
}
