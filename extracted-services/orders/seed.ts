// The orders at the time of the extraction, and the prices of new orders.
import { type Db, execute, queryRow, transaction } from './db.ts'
import { insertItems } from './orders.ts'
import extracted from './seed/orders.json' with { type: 'json' }

/** The first id of new orders, so that monolith and service do not use the same id twice. */
export const FIRST_OWN_ID = 1_000_001

export function seed(db: Db): void {
  const row = queryRow<{ count: number }>(db, 'SELECT count(*) AS count FROM price_list')
  if (row && row.count > 0) return
  transaction(db, () => {
    for (const { productId, name, unitCents } of extracted.priceList) {
      execute(db, 'INSERT INTO price_list (product_id, name, unit_cents) VALUES (?, ?, ?)', productId, name, unitCents)
    }
    for (const order of extracted.orders) {
      execute(
        db,
        'INSERT INTO orders (id, customer, status, total_cents, placed_at, updated_at) VALUES (?, ?, ?, ?, ?, ?)',
        order.id,
        String(order.customer),
        order.status,
        order.totalCents,
        order.placedAt,
        order.placedAt,
      )
      insertItems(db, order.id, order.items)
    }
    execute(db, `UPDATE sqlite_sequence SET seq = ? WHERE name = 'orders'`, FIRST_OWN_ID - 1)
  })
}
