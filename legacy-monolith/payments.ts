// Payments, with a simulated card processor: it declines the card that ends in 0002.
import { type Db, execute, queryRow, queryRows } from './db.ts'
import { CURRENCY, euros } from './money.ts'
import { changeStatus, findOrder, type Order } from './orders.ts'
import { notFound, Problem } from './problem.ts'
import type { User } from './session.ts'
import type { Shop } from './shop.ts'

export interface Payment {
  readonly id: number
  readonly orderId: number
  readonly amountCents: number
  readonly method: 'card' | 'invoice'
  readonly lastFour: string | null
  readonly status: 'captured' | 'refunded'
  readonly at: string
}

const COLUMNS = 'id, order_id AS orderId, amount_cents AS amountCents, method, last_four AS lastFour, status, at'
const DECLINED = '0002'

export function payOrder(shop: Shop, user: User, order: Order, method: string, card: unknown): Payment {
  if (order.status !== 'placed') throw new Problem(409, 'not-payable', `Order ${order.id} is ${order.status} already.`)
  const lastFour = method === 'card' ? charge(card) : null
  if (method !== 'card' && method !== 'invoice') {
    throw new Problem(422, 'bad-method', '"method" is "card" or "invoice".')
  }
  const id = execute(
    shop.db,
    `INSERT INTO payments (order_id, user_id, amount_cents, method, last_four, status, at)
     VALUES (?, ?, ?, ?, ?, 'captured', ?)`,
    order.id,
    user.id,
    order.totalCents,
    method,
    lastFour,
    new Date().toISOString(),
  )
  changeStatus(shop, order, 'paid')
  return findPayment(shop.db, user, String(id))
}

export function refundPayment(shop: Shop, user: User, payment: Payment): Payment {
  if (payment.status !== 'captured') throw new Problem(409, 'already-refunded', 'That payment is refunded already.')
  execute(shop.db, `UPDATE payments SET status = 'refunded' WHERE id = ?`, payment.id)
  changeStatus(shop, findOrder(shop.db, user.id, String(payment.orderId)), 'refunded')
  return { ...payment, status: 'refunded' }
}

export function findPayment(db: Db, user: User, id: string): Payment {
  const payment = /^\d{1,12}$/.test(id)
    ? queryRow<Payment>(db, `SELECT ${COLUMNS} FROM payments WHERE id = ? AND user_id = ?`, Number(id), user.id)
    : undefined
  if (!payment) throw notFound('payment')
  return payment
}

export function listPayments(db: Db, user: User): Payment[] {
  return queryRows<Payment>(db, `SELECT ${COLUMNS} FROM payments WHERE user_id = ? ORDER BY id DESC LIMIT 100`, user.id)
}

export function paymentJson({ amountCents, ...payment }: Payment) {
  return { ...payment, amount: euros(amountCents), currency: CURRENCY }
}

/** Only the last four digits are stored. */
function charge(card: unknown): string {
  const digits = typeof card === 'string' ? card.replace(/[ -]/g, '') : ''
  if (!/^\d{12,19}$/.test(digits)) throw new Problem(422, 'bad-card', '"card" is a card number of 12 to 19 digits.')
  const lastFour = digits.slice(-4)
  if (lastFour === DECLINED) throw new Problem(402, 'card-declined', 'The card was declined.')
  return lastFour
}
