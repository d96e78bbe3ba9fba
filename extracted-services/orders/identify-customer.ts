// Identifies the customer. This service cannot read the monolith's cookie, so it uses, in this order:
//   1. the header of USER_HEADER, which the gateway sets and removes from requests of clients;
//   2. the monolith, which returns the session of the cookie, if SESSION_URL is set;
//   3. the cookie itself: the customer is then the session, and sees only its own orders.
import { createHash } from 'node:crypto'
import type { IncomingHttpHeaders } from 'node:http'
import { Problem } from './problem.ts'

export type IdentifyCustomer = (headers: IncomingHttpHeaders) => Promise<string>

const LONGEST_ANSWER_MS = 1000

/**
 * @param sessionUrl the address at which the monolith returns the session of a cookie
 * @param userHeader the header in which the gateway sends the user id; undefined if no header is trusted
 */
export function identifyCustomer(sessionUrl: string | undefined, userHeader?: string): IdentifyCustomer {
  return async (headers) => {
    const named = userHeader && headers[userHeader]
    if (typeof named === 'string' && /^[\x21-\x7e]{1,128}$/.test(named)) return named
    const cookie = sessionCookie(headers.cookie)
    if (cookie === undefined) throw notSignedIn()
    if (sessionUrl === undefined) return `session:${createHash('sha256').update(cookie).digest('hex').slice(0, 16)}`
    return askMonolith(sessionUrl, cookie)
  }
}

async function askMonolith(sessionUrl: string, cookie: string): Promise<string> {
  const id = await sessionUser(sessionUrl, cookie).catch((error: unknown) => {
    throw new Problem(503, 'sessions-unavailable', 'The session cannot be checked at the moment.', { cause: error })
  })
  if (id === undefined) throw notSignedIn()
  return id
}

async function sessionUser(sessionUrl: string, cookie: string): Promise<string | undefined> {
  const answer = await fetch(sessionUrl, {
    headers: { cookie: `sid=${cookie}` },
    signal: AbortSignal.timeout(LONGEST_ANSWER_MS),
  })
  if (!answer.ok) throw new Error(`${sessionUrl} answered ${answer.status}`)
  const { user } = (await answer.json()) as { user: { id: number } | null } // the monolith's contract
  return user ? String(user.id) : undefined
}

function sessionCookie(header: string | undefined): string | undefined {
  return /(?:^|;)\s*sid=([\w-]{1,200})(?=\s*(?:;|$))/.exec(header ?? '')?.[1]
}

function notSignedIn(): Problem {
  return new Problem(401, 'not-signed-in', 'Sign in first: POST /login.')
}
