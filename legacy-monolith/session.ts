// Sessions: the cookie `sid` and its user.
import { createHash, randomBytes } from 'node:crypto'
import type { IncomingMessage } from 'node:http'
import type { Request, Response } from 'express'
import { absoluteUrl } from './base-url.ts'
import { type Db, execute, queryRow, transaction } from './db.ts'
import { Problem } from './problem.ts'

export interface User {
  readonly id: number
  readonly email: string
  readonly name: string
  readonly role: 'customer' | 'staff'
  readonly address: string
}

export interface Session {
  /** The database contains only the hash of the token, so that a reader of the database cannot take over a session. */
  readonly tokenHash: string
  readonly user: User | undefined
}

const COOKIE = 'sid'
const LIFETIME_MS = 7 * 24 * 60 * 60 * 1000

export function currentSession(db: Db, request: IncomingMessage): Session | undefined {
  const token = readCookie(request.headers.cookie, COOKIE)
  if (!token) return undefined
  const tokenHash = hashed(token)
  const session = queryRow<{ userId: number | null }>(
    db,
    'SELECT user_id AS userId FROM sessions WHERE token_hash = ? AND expires_at > ?',
    tokenHash,
    new Date().toISOString(),
  )
  return session && { tokenHash, user: session.userId === null ? undefined : findUser(db, session.userId) }
}

export function currentUser(db: Db, request: IncomingMessage): User | undefined {
  return currentSession(db, request)?.user
}

/** For the API: throws if the request has no session with a user. */
export function requireUser(db: Db, request: IncomingMessage): User {
  const user = currentUser(db, request)
  if (!user) throw new Problem(401, 'not-signed-in', 'Sign in first: POST /login.')
  return user
}

/** For pages: redirects a client that is not signed in to the login page, which leads back to the page. */
export function userOrLogin(db: Db, request: Request, response: Response): User | undefined {
  const user = currentUser(db, request)
  if (user) {
    response.set('Cache-Control', 'private, no-store')
    return user
  }
  const next = request.method === 'GET' ? request.originalUrl : '/account'
  response.redirect(303, absoluteUrl(request, `/login?next=${encodeURIComponent(next)}`))
  return undefined
}

/** Returns the session, or opens one: a cart needs a session before the client signs in. */
export function ensureSession(db: Db, request: Request, response: Response): Session {
  return currentSession(db, request) ?? { tokenHash: openSession(db, request, response, null), user: undefined }
}

/** Creates a new token at every login, to prevent session fixation. The cart moves to the new session. */
export function signIn(db: Db, request: Request, response: Response, userId: number): void {
  const anonymous = currentSession(db, request)
  transaction(db, () => {
    const tokenHash = openSession(db, request, response, userId)
    if (!anonymous) return
    execute(db, 'UPDATE cart_items SET session = ? WHERE session = ?', tokenHash, anonymous.tokenHash)
    execute(db, 'DELETE FROM sessions WHERE token_hash = ?', anonymous.tokenHash)
  })
}

export function signOut(db: Db, request: Request, response: Response): void {
  const session = currentSession(db, request)
  if (session) execute(db, 'DELETE FROM sessions WHERE token_hash = ?', session.tokenHash)
  response.clearCookie(COOKIE, cookieOptions(request))
}

function openSession(db: Db, request: Request, response: Response, userId: number | null): string {
  const token = randomBytes(32).toString('base64url')
  const tokenHash = hashed(token)
  const expiresAt = new Date(Date.now() + LIFETIME_MS)
  execute(db, 'DELETE FROM sessions WHERE expires_at <= ?', new Date().toISOString())
  execute(
    db,
    'INSERT INTO sessions (token_hash, user_id, expires_at) VALUES (?, ?, ?)',
    tokenHash,
    userId,
    expiresAt.toISOString(),
  )
  response.cookie(COOKIE, token, { ...cookieOptions(request), expires: expiresAt })
  return tokenHash
}

// SameSite=Lax prevents forms of other sites from acting for the customer (CSRF).
function cookieOptions(request: Request) {
  return { httpOnly: true, sameSite: 'lax', secure: request.secure, path: '/' } as const
}

function findUser(db: Db, id: number): User | undefined {
  return queryRow<User>(db, 'SELECT id, email, name, role, address FROM users WHERE id = ?', id)
}

function readCookie(header: string | undefined, name: string): string | undefined {
  for (const pair of (header ?? '').split(';')) {
    const [key, value] = pair.split('=', 2)
    if (key?.trim() === name) return value?.trim()
  }
  return undefined
}

function hashed(token: string): string {
  return createHash('sha256').update(token).digest('hex')
}
