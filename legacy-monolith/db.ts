// The database of the shop: its schema, and the functions that run statements.
import { mkdirSync } from 'node:fs'
import { dirname } from 'node:path'
import { DatabaseSync, type SQLInputValue, type StatementSync } from 'node:sqlite'

export type Db = DatabaseSync

export function openDb(file: string): Db {
  mkdirSync(dirname(file), { recursive: true })
  const db = new DatabaseSync(file)
  db.exec('PRAGMA journal_mode = WAL; PRAGMA foreign_keys = ON; PRAGMA busy_timeout = 2000;')
  db.exec(SCHEMA)
  return db
}

// Every value is a bound parameter: no statement contains text of a user. The casts below assume that the rows have the columns of
// their statement.
export function queryRow<Row>(db: Db, sql: string, ...values: SQLInputValue[]): Row | undefined {
  return prepare(db, sql).get(...values) as unknown as Row | undefined
}

export function queryRows<Row>(db: Db, sql: string, ...values: SQLInputValue[]): Row[] {
  return prepare(db, sql).all(...values) as unknown as Row[]
}

/** Runs a statement that changes data. @returns the id of the new row */
export function execute(db: Db, sql: string, ...values: SQLInputValue[]): number {
  return Number(prepare(db, sql).run(...values).lastInsertRowid)
}

/** Iterates over rows, for long responses. The statement is not cached, because two iterations can run at the same time. */
export function iterateRows<Row>(db: Db, sql: string, ...values: SQLInputValue[]): IterableIterator<Row> {
  return db.prepare(sql).iterate(...values) as unknown as IterableIterator<Row>
}

export function transaction<T>(db: Db, work: () => T): T {
  db.exec('BEGIN IMMEDIATE')
  try {
    const result = work()
    db.exec('COMMIT')
    return result
  } catch (error) {
    db.exec('ROLLBACK')
    throw error
  }
}

const statements = new WeakMap<Db, Map<string, StatementSync>>()

function prepare(db: Db, sql: string): StatementSync {
  let cache = statements.get(db)
  if (!cache) {
    cache = new Map()
    statements.set(db, cache)
  }
  let statement = cache.get(sql)
  if (!statement) {
    statement = db.prepare(sql)
    cache.set(sql, statement)
  }
  return statement
}

const SCHEMA = `
CREATE TABLE IF NOT EXISTS categories (
  slug TEXT PRIMARY KEY, name TEXT NOT NULL, position INTEGER NOT NULL
) STRICT;
CREATE TABLE IF NOT EXISTS products (
  id INTEGER PRIMARY KEY, sku TEXT NOT NULL UNIQUE, slug TEXT NOT NULL UNIQUE, name TEXT NOT NULL,
  category TEXT NOT NULL REFERENCES categories(slug), description TEXT NOT NULL,
  price_cents INTEGER NOT NULL, tax_percent INTEGER NOT NULL, version INTEGER NOT NULL, updated_at TEXT NOT NULL
) STRICT;
CREATE INDEX IF NOT EXISTS products_by_category ON products (category, name);
CREATE TABLE IF NOT EXISTS users (
  id INTEGER PRIMARY KEY, email TEXT NOT NULL UNIQUE, name TEXT NOT NULL, password_hash TEXT NOT NULL,
  role TEXT NOT NULL CHECK (role IN ('customer', 'staff')), address TEXT NOT NULL, created_at TEXT NOT NULL
) STRICT;
CREATE TABLE IF NOT EXISTS sessions (
  token_hash TEXT PRIMARY KEY, user_id INTEGER REFERENCES users(id), expires_at TEXT NOT NULL
) STRICT;
CREATE TABLE IF NOT EXISTS cart_items (
  session TEXT NOT NULL REFERENCES sessions(token_hash) ON DELETE CASCADE ON UPDATE CASCADE,
  product_id INTEGER NOT NULL REFERENCES products(id), quantity INTEGER NOT NULL,
  PRIMARY KEY (session, product_id)
) STRICT;
CREATE TABLE IF NOT EXISTS orders (
  id INTEGER PRIMARY KEY, user_id INTEGER NOT NULL REFERENCES users(id), status TEXT NOT NULL,
  total_cents INTEGER NOT NULL, placed_at TEXT NOT NULL, updated_at TEXT NOT NULL, idempotency_key TEXT,
  UNIQUE (user_id, idempotency_key)
) STRICT;
CREATE TABLE IF NOT EXISTS order_items (
  order_id INTEGER NOT NULL REFERENCES orders(id), position INTEGER NOT NULL, product_id INTEGER NOT NULL,
  name TEXT NOT NULL, quantity INTEGER NOT NULL, unit_cents INTEGER NOT NULL, PRIMARY KEY (order_id, position)
) STRICT;
CREATE TABLE IF NOT EXISTS order_events (
  id INTEGER PRIMARY KEY AUTOINCREMENT, order_id INTEGER NOT NULL REFERENCES orders(id),
  user_id INTEGER NOT NULL, status TEXT NOT NULL, at TEXT NOT NULL
) STRICT;
CREATE TABLE IF NOT EXISTS payments (
  id INTEGER PRIMARY KEY, order_id INTEGER NOT NULL REFERENCES orders(id), user_id INTEGER NOT NULL REFERENCES users(id),
  amount_cents INTEGER NOT NULL, method TEXT NOT NULL, last_four TEXT, status TEXT NOT NULL, at TEXT NOT NULL
) STRICT;
CREATE TABLE IF NOT EXISTS reviews (
  id INTEGER PRIMARY KEY, product_id INTEGER NOT NULL REFERENCES products(id), user_id INTEGER NOT NULL REFERENCES users(id),
  author TEXT NOT NULL, rating INTEGER NOT NULL, text TEXT NOT NULL, photo TEXT, at TEXT NOT NULL
) STRICT;
`
