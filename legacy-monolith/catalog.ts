// Products and categories: reading them.
import { type Db, queryRow, queryRows } from './db.ts'
import { Problem } from './problem.ts'

export interface Product {
  readonly id: number
  readonly sku: string
  readonly slug: string
  readonly name: string
  readonly category: string
  readonly categoryName: string
  readonly description: string
  readonly priceCents: number
  readonly taxPercent: number
  readonly version: number
  readonly updatedAt: string
}

export interface Category {
  readonly slug: string
  readonly name: string
  readonly products: number
}

export interface Listing {
  readonly words: string
  readonly category: string
  readonly sort: Sort
  readonly page: number
  readonly pageSize: number
}

export interface ProductPage {
  readonly products: readonly Product[]
  readonly total: number
}

export type Sort = keyof typeof ORDER_BY

// A closed table: the user selects an order, but no text of the user reaches the SQL statement.
const ORDER_BY = {
  name: 'p.name, p.id',
  price: 'p.price_cents, p.id',
  '-price': 'p.price_cents DESC, p.id',
  newest: 'p.updated_at DESC, p.id',
} as const

const COLUMNS = `p.id, p.sku, p.slug, p.name, p.category, c.name AS categoryName, p.description,
  p.price_cents AS priceCents, p.tax_percent AS taxPercent, p.version, p.updated_at AS updatedAt`
const FROM = 'FROM products p JOIN categories c ON c.slug = p.category'
const MATCHING = `WHERE (:category = '' OR p.category = :category)
  AND (:like = '' OR p.name LIKE :like ESCAPE '\\' OR p.description LIKE :like ESCAPE '\\' OR p.sku LIKE :like ESCAPE '\\')`

export function findProduct(db: Db, id: string): Product | undefined {
  if (!/^\d{1,9}$/.test(id)) return undefined
  return queryRow<Product>(db, `SELECT ${COLUMNS} ${FROM} WHERE p.id = ?`, Number(id))
}

export function findProductBySlug(db: Db, slug: string): Product | undefined {
  return queryRow<Product>(db, `SELECT ${COLUMNS} ${FROM} WHERE p.slug = ?`, slug)
}

export function listProducts(db: Db, listing: Listing): ProductPage {
  const matching = { category: listing.category, like: likePattern(listing.words) }
  const counted = db.prepare(`SELECT count(*) AS total ${FROM} ${MATCHING}`).get(matching)
  const products = db
    .prepare(`SELECT ${COLUMNS} ${FROM} ${MATCHING} ORDER BY ${ORDER_BY[listing.sort]} LIMIT :limit OFFSET :offset`)
    .all({ ...matching, limit: listing.pageSize, offset: (listing.page - 1) * listing.pageSize })
  return { products: products as unknown as Product[], total: Number(counted?.total ?? 0) }
}

export function listCategories(db: Db): Category[] {
  return queryRows<Category>(
    db,
    `SELECT c.slug, c.name, count(p.id) AS products FROM categories c LEFT JOIN products p ON p.category = c.slug
     GROUP BY c.slug ORDER BY c.position`,
  )
}

/** Changes with every change of a product; the ETag of a listing contains it. */
export function catalogRevision(db: Db): string {
  const row = queryRow<{ revision: string }>(
    db,
    `SELECT count(*) || '-' || ifnull(sum(version), 0) AS revision FROM products`,
  )
  return row?.revision ?? '0'
}

export function readListing(query: Readonly<Record<string, unknown>>): Listing {
  const sort = asText(query.sort) || 'name'
  if (!isSort(sort)) throw new Problem(400, 'bad-sort', `"sort" is one of ${Object.keys(ORDER_BY).join(', ')}.`)
  return {
    words: asText(query.q).trim().slice(0, 100),
    category: asText(query.category),
    sort,
    page: wholeNumber('page', asText(query.page) || '1', 10_000),
    pageSize: wholeNumber('pageSize', asText(query.pageSize) || '12', 100),
  }
}

function isSort(word: string): word is Sort {
  return Object.hasOwn(ORDER_BY, word)
}

function wholeNumber(name: string, text: string, most: number): number {
  const number = /^\d{1,6}$/.test(text) ? Number(text) : 0
  if (number < 1 || number > most) throw new Problem(400, `bad-${name}`, `"${name}" is a number from 1 to ${most}.`)
  return number
}

/** A repeated parameter arrives as a list: its first value counts. */
function asText(value: unknown): string {
  const first: unknown = Array.isArray(value) ? value[0] : value
  return typeof first === 'string' ? first : ''
}

function likePattern(words: string): string {
  return words === '' ? '' : `%${words.replace(/[\\%_]/g, (sign) => `\\${sign}`)}%`
}
