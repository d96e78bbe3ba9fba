// The products at the time of the extraction: a copy, because the service has its own database.
import { type Db, execute, queryRow, transaction } from './db.ts'
import extracted from './seed/products.json' with { type: 'json' }

export function seed(db: Db): void {
  const row = queryRow<{ count: number }>(db, 'SELECT count(*) AS count FROM products')
  if (row && row.count > 0) return
  transaction(db, () => {
    for (const { slug, name, position } of extracted.categories) {
      execute(db, 'INSERT INTO categories (slug, name, position) VALUES (?, ?, ?)', slug, name, position)
    }
    for (const product of extracted.products) {
      execute(
        db,
        `INSERT INTO products (id, sku, slug, name, category, description, price_cents, tax_percent, version, updated_at)
         VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
        product.id,
        product.sku,
        product.slug,
        product.name,
        product.category,
        product.description,
        product.priceCents,
        product.taxPercent,
        product.version,
        product.updatedAt,
      )
    }
  })
}
