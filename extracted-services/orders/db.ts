// The database of the service: its schema, and the functions that run statements.
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
CREATE TABLE IF NOT EXISTS price_list (
  product_id INTEGER PRIMARY KEY, name TEXT NOT NULL, unit_cents INTEGER NOT NULL
) STRICT;
CREATE TABLE IF NOT EXISTS orders (
  id INTEGER PRIMARY KEY AUTOINCREMENT, customer TEXT NOT NULL, status TEXT NOT NULL,
  total_cents INTEGER NOT NULL, placed_at TEXT NOT NULL, updated_at TEXT NOT NULL, idempotency_key TEXT,
  UNIQUE (customer, idempotency_key)
) STRICT;
CREATE TABLE IF NOT EXISTS order_items (
  order_id INTEGER NOT NULL REFERENCES orders(id), position INTEGER NOT NULL, product_id INTEGER NOT NULL,
  name TEXT NOT NULL, quantity INTEGER NOT NULL, unit_cents INTEGER NOT NULL, PRIMARY KEY (order_id, position)
) STRICT;
`
