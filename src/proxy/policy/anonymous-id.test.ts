import { describe, expect, test } from 'vitest'
import { createAnonymousIds } from './anonymous-id.ts'

let made = 0
const random = { hex: (bytes: number) => (++made).toString(16).padStart(bytes * 2, '0') }

/** The value of the cookie that a Set-Cookie line sets. */
function cookieOf(line: string): string {
  return line.slice(line.indexOf('=') + 1, line.indexOf(';'))
}

describe('an anonymous id', () => {
  const ids = createAnonymousIds('secret', random)

  test('is read from its cookie, the first time and later', () => {
    const id = ids.make()
    const cookie = cookieOf(ids.setCookie(id, false))
    expect([ids.read(cookie), ids.read(cookie)]).toEqual([id, id])
  })

  test('is accepted by every gateway with the same secret, and by no other', () => {
    const cookie = cookieOf(ids.setCookie(ids.make(), false))
    expect(createAnonymousIds('secret', random).read(cookie)).toBeDefined()
    expect(createAnonymousIds('another', random).read(cookie)).toBeUndefined()
  })

  test('is not read from a cookie that differs in any way', () => {
    const cookie = cookieOf(ids.setCookie(ids.make(), false))
    const [id = '', signature = ''] = cookie.split('.')
    const other = `f${id.slice(1)}`
    const forged = [
      ...[
        '',
        '.',
        id,
        `${id}.`,
        `.${signature}`,
        `${other}.${signature}`,
        `${cookie}x`,
        cookie.slice(0, -1),
        ` ${cookie}`,
      ],
      ...[
        `${id}.${'\u00e9'.repeat(43)}`,
        `${id}.${'\u{1f600}'.repeat(43)}`,
        `${id}x.${signature.slice(1)}`,
        '__proto__',
      ],
    ]
    // Known cookies are remembered: what is forged must not be found there either.
    ids.read(cookie)
    expect(forged.map((value) => ids.read(value))).toEqual(forged.map(() => undefined))
  })

  test('is cached in bounded memory, and is still read after its eviction', () => {
    const first = cookieOf(ids.setCookie(ids.make(), false))
    const id = ids.read(first)
    for (let i = 0; i < 25_000; i++) ids.read(cookieOf(ids.setCookie(ids.make(), false)))
    expect(ids.read(first)).toBe(id)
  })

  test('is sent in a cookie with HttpOnly and SameSite, and with Secure over TLS', () => {
    const id = ids.make()
    expect(ids.setCookie(id, false)).toMatch(
      /^strangler_id=[0-9a-f]{32}\.[\w-]{43}; Path=\/; Max-Age=34560000; HttpOnly; SameSite=Lax$/,
    )
    expect(ids.setCookie(id, true)).toBe(`${ids.setCookie(id, false)}; Secure`)
  })
})
