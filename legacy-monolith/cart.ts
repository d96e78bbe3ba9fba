// The cart of a session.
import { type Db, execute, queryRow, queryRows } from './db.ts'
import { withTax } from './money.ts'
import type { Session } from './session.ts'

export interface CartItem {
  readonly productId: number
  readonly name: string
  readonly quantity: number
  readonly unitCents: number
}

const MOST_OF_ONE = 99

export function cartOf(db: Db, session: Session | undefined): CartItem[] {
  if (!session) return []
  const rows = queryRows<CartItem & { priceCents: number; taxPercent: number }>(
    db,
    `SELECT i.product_id AS productId, p.name, i.quantity, p.price_cents AS priceCents, p.tax_percent AS taxPercent
     FROM cart_items i JOIN products p ON p.id = i.product_id WHERE i.session = ? ORDER BY p.name`,
    session.tokenHash,
  )
  return rows.map(({ priceCents, taxPercent, ...item }) => ({ ...item, unitCents: withTax(priceCents, taxPercent) }))
}

export function cartCount(db: Db, session: Session | undefined): number {
  if (!session) return 0
  const row = queryRow<{ count: number }>(
    db,
    'SELECT ifnull(sum(quantity), 0) AS count FROM cart_items WHERE session = ?',
    session.tokenHash,
  )
  return row?.count ?? 0
}

export function addToCart(db: Db, session: Session, productId: number, quantity: number): void {
  execute(
    db,
    `INSERT INTO cart_items (session, product_id, quantity) VALUES (?, ?, ?)
     ON CONFLICT (session, product_id) DO UPDATE SET quantity = min(quantity + excluded.quantity, ${MOST_OF_ONE})`,
    session.tokenHash,
    productId,
    quantity,
  )
}

export function setQuantity(db: Db, session: Session, productId: number, quantity: number): void {
  if (quantity === 0) {
    execute(db, 'DELETE FROM cart_items WHERE session = ? AND product_id = ?', session.tokenHash, productId)
    return
  }
  execute(
    db,
    'UPDATE cart_items SET quantity = ? WHERE session = ? AND product_id = ?',
    quantity,
    session.tokenHash,
    productId,
  )
}

export function emptyCart(db: Db, session: Session): void {
  execute(db, 'DELETE FROM cart_items WHERE session = ?', session.tokenHash)
}

export function cartTotalCents(items: readonly CartItem[]): number {
  return items.reduce((sum, item) => sum + item.quantity * item.unitCents, 0)
}
