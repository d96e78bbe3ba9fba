// Customer accounts.
import { type Db, execute, queryRow } from './db.ts'
import { hashPassword } from './passwords.ts'
import { Problem } from './problem.ts'
import type { User } from './session.ts'

export interface Login {
  readonly id: number
  readonly passwordHash: string
}

const LEAST_PASSWORD = 10

export function findLogin(db: Db, email: string): Login | undefined {
  return queryRow<Login>(
    db,
    'SELECT id, password_hash AS passwordHash FROM users WHERE email = ?',
    email.trim().toLowerCase(),
  )
}

/** Returns the new account, or a message about the invalid input. */
export async function register(db: Db, form: Record<string, unknown>): Promise<{ id: number } | string> {
  const email = String(form.email ?? '')
    .trim()
    .toLowerCase()
  const name = String(form.name ?? '').trim()
  const password = String(form.password ?? '')
  if (!/^[^\s@]{1,64}@[^\s@]{1,190}$/.test(email)) return 'That is not an e-mail address.'
  if (name === '' || name.length > 100) return 'A name has 1 to 100 characters.'
  if (password.length < LEAST_PASSWORD || password.length > 200) {
    return `A password has at least ${LEAST_PASSWORD} characters.`
  }
  const passwordHash = await hashPassword(password)
  if (findLogin(db, email)) return 'There is an account with that address already.'
  const id = execute(
    db,
    `INSERT INTO users (email, name, password_hash, role, address, created_at) VALUES (?, ?, ?, 'customer', '', ?)`,
    email,
    name,
    passwordHash,
    new Date().toISOString(),
  )
  return { id }
}

/** Changes only the fields of the form. */
export function updateAccount(db: Db, user: User, change: Record<string, unknown>): User {
  const name = changed('name', change.name, user.name, 1, 100)
  const address = changed('address', change.address, user.address, 0, 300)
  execute(db, 'UPDATE users SET name = ?, address = ? WHERE id = ?', name, address, user.id)
  return { ...user, name, address }
}

function changed(field: string, wanted: unknown, current: string, least: number, most: number): string {
  if (wanted === undefined) return current
  const text = typeof wanted === 'string' ? wanted.trim() : ''
  if (typeof wanted !== 'string' || text.length < least || text.length > most) {
    throw new Problem(422, `bad-${field}`, `"${field}" has ${least} to ${most} characters.`)
  }
  return text
}
