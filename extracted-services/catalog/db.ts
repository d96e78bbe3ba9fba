// The database of the catalog: its schema, and the functions that run statements.
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

export function execute(db: Db, sql: string, ...values: SQLInputValue[]): void {
  prepare(db, sql).run(...values)
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
`
