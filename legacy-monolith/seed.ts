// The initial data of the shop. It is reproducible, so that examples and tests can refer to products, people and orders.
import { type Db, execute, queryRow, transaction } from './db.ts'
import { withTax } from './money.ts'
import { hashSeedPassword } from './passwords.ts'

/** The password of every user in the seed. It is valid only in this example. */
export const SEED_PASSWORD = 'demo-password'

const CUSTOMERS = ['Ada', 'Ben', 'Cleo', 'Dan', 'Eva', 'Finn', 'Gita', 'Hugo', 'Ines', 'Jan', 'Kim', 'Lou']
const ORDERS = 60
const OPENED = Date.UTC(2026, 0, 5, 9)
const HOUR_MS = 60 * 60 * 1000

export function seed(db: Db): void {
  const row = queryRow<{ count: number }>(db, 'SELECT count(*) AS count FROM products')
  if (row && row.count > 0) return
  transaction(db, () => {
    seedCatalog(db)
    seedUsers(db)
    seedOrders(db)
    seedReviews(db)
  })
}

function seedCatalog(db: Db): void {
  let id = 0
  SHELVES.forEach((shelf, position) => {
    execute(db, 'INSERT INTO categories (slug, name, position) VALUES (?, ?, ?)', shelf.slug, shelf.name, position)
    for (const thing of shelf.things) {
      for (const [kind, praise] of shelf.kinds) {
        id += 1
        const name = `${kind} ${thing}`
        execute(
          db,
          `INSERT INTO products (id, sku, slug, name, category, description, price_cents, tax_percent, version, updated_at)
           VALUES (?, ?, ?, ?, ?, ?, ?, ?, 1, ?)`,
          id,
          `FS-${shelf.slug.slice(0, 3).toUpperCase()}-${String(id).padStart(4, '0')}`,
          name.toLowerCase().replaceAll(' ', '-'),
          name,
          shelf.slug,
          `${thing}, ${praise}.`,
          seedPriceCents(id),
          shelf.taxPercent,
          new Date(OPENED + id * 7 * HOUR_MS).toISOString(),
        )
      }
    }
  })
}

// With 19 % or 7 % tax, only prices that end in .50 result in half a cent. Of every twenty products, one has such a price with odd
// euros, for which the two rules of rounding differ, and one with even euros, for which they do not.
function seedPriceCents(id: number): number {
  const euro = 3 + ((id * 37) % 140)
  if (id % 20 === 7) return (euro | 1) * 100 + 50
  if (id % 20 === 13) return (euro & ~1) * 100 + 50
  return euro * 100 + ([99, 95, 0, 49, 90][id % 5] ?? 0)
}

function seedUsers(db: Db): void {
  const passwordHash = hashSeedPassword(SEED_PASSWORD, Buffer.from('fig and sons shop'))
  CUSTOMERS.forEach((name, index) => {
    execute(
      db,
      'INSERT INTO users (id, email, name, password_hash, role, address, created_at) VALUES (?, ?, ?, ?, ?, ?, ?)',
      index + 1,
      `${name.toLowerCase()}@shop.example`,
      name,
      passwordHash,
      index === 0 ? 'staff' : 'customer',
      `${index + 1} Orchard Lane, Figton`,
      new Date(OPENED).toISOString(),
    )
  })
}

function seedOrders(db: Db): void {
  for (let id = 1; id <= ORDERS; id += 1) {
    const userId = (id % CUSTOMERS.length) + 1 // order 42 is Gita's, who is customer 7
    const status = ['placed', 'paid', 'shipped', 'shipped', 'cancelled'][id % 5] ?? 'placed'
    const items = Array.from({ length: 1 + (id % 3) }, (_, position) => seedItem(db, id, position))
    const totalCents = items.reduce((sum, item) => sum + item.quantity * item.unitCents, 0)
    const placedAt = new Date(OPENED + id * 31 * HOUR_MS).toISOString()
    execute(
      db,
      'INSERT INTO orders (id, user_id, status, total_cents, placed_at, updated_at) VALUES (?, ?, ?, ?, ?, ?)',
      id,
      userId,
      status,
      totalCents,
      placedAt,
      placedAt,
    )
    items.forEach((item, position) => {
      execute(
        db,
        'INSERT INTO order_items (order_id, position, product_id, name, quantity, unit_cents) VALUES (?, ?, ?, ?, ?, ?)',
        id,
        position,
        item.productId,
        item.name,
        item.quantity,
        item.unitCents,
      )
    })
  }
}

function seedItem(db: Db, orderId: number, position: number) {
  const productId = ((orderId * 7 + position * 11) % 120) + 1
  const product = queryRow<{ name: string; priceCents: number; taxPercent: number }>(
    db,
    'SELECT name, price_cents AS priceCents, tax_percent AS taxPercent FROM products WHERE id = ?',
    productId,
  )
  if (!product) throw new Error(`the seed orders product ${productId}, which it did not make`)
  const unitCents = withTax(product.priceCents, product.taxPercent)
  return { productId, name: product.name, quantity: 1 + (orderId % 2), unitCents }
}

function seedReviews(db: Db): void {
  for (let id = 1; id <= 40; id += 1) {
    const userId = (id % CUSTOMERS.length) + 1
    execute(
      db,
      'INSERT INTO reviews (product_id, user_id, author, rating, text, photo, at) VALUES (?, ?, ?, ?, ?, NULL, ?)',
      ((id * 3) % 120) + 1,
      userId,
      CUSTOMERS[userId - 1] ?? '',
      3 + (id % 3),
      ['Does what it should.', 'Better than the last one I had.', 'A present, and a welcome one.'][id % 3] ?? '',
      new Date(OPENED + id * 53 * HOUR_MS).toISOString(),
    )
  }
}

interface Shelf {
  readonly slug: string
  readonly name: string
  readonly taxPercent: number
  readonly things: readonly string[]
  readonly kinds: readonly (readonly [kind: string, praise: string])[]
}

const SHELVES: readonly Shelf[] = [
  {
    slug: 'tools',
    name: 'Garden tools',
    taxPercent: 19,
    things: ['Spade', 'Rake', 'Hoe', 'Pruning Saw', 'Hand Fork'],
    kinds: [
      ['Ash', 'with a handle of ash that outlives its owner'],
      ['Steel', 'drop-forged in one piece'],
      ['Light', 'for long days and small hands'],
    ],
  },
  {
    slug: 'pots',
    name: 'Pots & planters',
    taxPercent: 19,
    things: ['Flower Pot', 'Planter', 'Saucer', 'Window Box', 'Herb Trough'],
    kinds: [
      ['Terracotta', 'fired slowly and safe in frost'],
      ['Glazed', 'in the blue of the old harbour'],
      ['Zinc', 'with a rim that does not cut'],
    ],
  },
  {
    slug: 'seeds',
    name: 'Seeds & bulbs',
    taxPercent: 7,
    things: ['Tomato Seeds', 'Bean Seeds', 'Tulip Bulbs', 'Meadow Mix', 'Pumpkin Seeds'],
    kinds: [
      ['Early', 'for the impatient'],
      ['Heirloom', 'saved by hand since 1911'],
      ['Hardy', 'for gardens without a south side'],
    ],
  },
  {
    slug: 'books',
    name: 'Books',
    taxPercent: 7,
    things: ['Pruning Handbook', 'Compost Primer', 'Herbal', 'Garden Year', 'Guide to Figs'],
    kinds: [
      ['Illustrated', 'with 200 drawings'],
      ['Pocket', 'washable, and small enough to come along'],
      ['Complete', 'with everything the short one leaves out'],
    ],
  },
  {
    slug: 'kitchen',
    name: 'Kitchen',
    taxPercent: 19,
    things: ['Preserving Jar', 'Mortar', 'Apple Peeler', 'Bread Knife', 'Chopping Board'],
    kinds: [
      ['Plain', 'as it was always made'],
      ['Large', 'for a good harvest'],
      ['Olive', 'with oil & grain that no two share: "a friend\'s favourite"'],
    ],
  },
  {
    slug: 'lighting',
    name: 'Lanterns & lights',
    taxPercent: 19,
    things: ['Lantern', 'Path Light', 'Candle Holder', 'String Light', 'Storm Lamp'],
    kinds: [
      ['Brass', 'that darkens as it should'],
      ['Solar', 'bright for nine hours'],
      ['Red', 'to be seen from the lane'],
    ],
  },
  {
    slug: 'textiles',
    name: 'Textiles',
    taxPercent: 19,
    things: ['Apron', 'Gloves', 'Picnic Blanket', 'Sun Hat', 'Tea Towel'],
    kinds: [
      ['Linen', 'woven in the next valley'],
      ['Waxed', 'for weather < 5 °C'],
      ['Striped', 'in white and moss'],
    ],
  },
  {
    slug: 'birds',
    name: 'Birds & bees',
    taxPercent: 19,
    things: ['Nest Box', 'Bird Feeder', 'Bee House', 'Bird Bath', 'Suet Ring'],
    kinds: [
      ['Cedar', 'unpainted, as its guests prefer'],
      ['Round', 'that no cat can hold on to'],
      ['Hanging', 'with a metre of wire'],
    ],
  },
]
