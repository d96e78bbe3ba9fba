// The id of a client without user and session, in a signed cookie: a client must not choose the bucket of a rollout.
import { createHmac, timingSafeEqual } from 'node:crypto'
import type { Random } from '../../model/ports.ts'

export const ANONYMOUS_COOKIE = 'strangler_id'

/** Longer than a migration lasts: a client keeps its side. */
const MAX_AGE_SECONDS = 400 * 24 * 60 * 60

export type AnonymousIds = {
  readonly make: () => string
  /** The id in a cookie's value; undefined if this fleet did not sign it. */
  readonly read: (cookieValue: string) => string | undefined
  /** The Set-Cookie value that gives the client its id. */
  readonly setCookie: (id: string, secure: boolean) => string
}

/** @param secret shared by every gateway of a fleet, so that all of them accept the cookie */
export function createAnonymousIds(secret: string, random: Random): AnonymousIds {
  const sign = (id: string) => createHmac('sha256', secret).update(id).digest('base64url')
  const verified = new RecentlyVerified(10_000)

  return {
    make: () => random.hex(16),
    read: (value) => {
      const verifiedId = verified.get(value)
      if (verifiedId !== undefined) return verifiedId
      const dot = value.indexOf('.')
      if (dot !== 32 || value.length !== 32 + 1 + 43) return undefined
      const id = value.slice(0, dot)
      const expected = Buffer.from(sign(id))
      const given = Buffer.from(value.slice(dot + 1), 'latin1')
      if (given.length !== expected.length || !timingSafeEqual(given, expected)) return undefined
      verified.add(value, id)
      return id
    },
    setCookie: (id, secure) =>
      `${ANONYMOUS_COOKIE}=${id}.${sign(id)}; Path=/; Max-Age=${MAX_AGE_SECONDS}; HttpOnly; SameSite=Lax${secure ? '; Secure' : ''}`,
  }
}

/** Saves HMACs, each of which costs as much as the rest of `identify`. Two generations of a map bound the memory. */
class RecentlyVerified {
  #young = new Map<string, string>()
  #old = new Map<string, string>()
  readonly #size: number

  constructor(size: number) {
    this.#size = size
  }

  get(value: string): string | undefined {
    return this.#young.get(value) ?? this.#old.get(value)
  }

  add(value: string, id: string): void {
    if (this.#young.size >= this.#size) {
      this.#old = this.#young
      this.#young = new Map()
    }
    this.#young.set(value, id)
  }
}
