import { randomBytes } from 'node:crypto'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { parsePathPattern } from '../compare/path-pattern.ts'
import { DEFAULT_REDACTION, maskHeaders, maskRequestTarget, maskSecrets, redact } from './redact.ts'

const difference = (path: string, legacy: string | null, service: string | null) =>
  ({ kind: 'value', path, legacy, service, times: 1 }) as const

describe('masking', () => {
  test.each([
    ['Bearer abc.def', 'Bearer <credentials>'],
    ['ann.b+c@example.co.uk wrote', '<email> wrote'],
    ['https://user:p4ss@host/x', 'https://<email>/x'],
    ['to=ann%40example.com&x=1', 'to=<email>&x=1'],
    ['4111 1111 1111 1111', '<card>'],
    ['4111111111111111.4111111111111111', '<card>.<card>'],
    ['5.4111111111111111', '5.4111111111111111'],
    ['pay 2 4111-1111-1111-1111 now', 'pay <card> now'],
    ['{"number":4111111111111111}', '{"number":<card>}'],
    ['{"password":"correct horse","a":1}', '{"password":"<secret>","a":1}'],
    ['{"n":{"apiKey":"x"}}', '{"n":{"apiKey":"<secret>"}}'],
    ['token=abc&a=1', 'token=<secret>&a=1'],
    ['https://a.example/cb?token=abc', 'https://a.example/cb?token=<secret>'],
    ['a=password: hunter2', 'a=password: <secret>'],
    ['"{\\"secret\\":\\"x y\\"}"', '"{\\"secret\\":\\"<secret>"}"'],
    ['{\\\\\\"secret\\\\\\":\\\\\\"xy\\\\\\"}', '{\\\\\\"secret\\\\\\":\\\\\\"<secret>"}'],
    ['{"password":"it\'s \\"here\\""}', '{"password":"<secret>"}'],
    ['eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.abcdefghijk', '<token>'],
    ['id 550e8400-e29b-41d4-a716-446655440000', 'id <token>'],
    ['-----BEGIN RSA PRIVATE KEY-----\nMIIabc\n-----END RSA PRIVATE KEY-----', '<private key>'],
  ])('masks %s', (text, expected) => {
    expect(maskSecrets(text)).toBe(expected)
  })

  test.each([
    ...['12.34', 'Shoe, red, size 42', '2024-05-01T10:00:00.000Z', '/api/v1/products/1234/reviews/recent', 'a@', '@b'],
    ...['product-catalogue-2024-summer-edition', 'https://shop.example/items/17?page=2', '4111 1111 1111 1112'],
    ...['internationalisation-and-localisation', '+49 30 1234567', 'ORDER-2024-0017'],
  ])('keeps %s', (text) => {
    expect(maskSecrets(text)).toBe(text)
  })

  test('masks each value at a path with a secret name', () => {
    expect(redact(difference('$.user.password', 'hunter2', 'hunter3'))).toMatchObject({
      legacy: '<secret>',
      service: '<secret>',
    })
    expect(redact(difference('header.authorization', 'x', null))).toMatchObject({ legacy: '<secret>', service: null })
    expect(redact(difference('cookie.sid.path', '/', '/x'))).toMatchObject({ legacy: '/', service: '/x' })
    expect(redact(difference('$.html.body.form.input:csrf_token.@value', 'a', 'b'))).toMatchObject({
      legacy: '<secret>',
    })
  })

  test('with showOnly, shows only the listed paths, with their secrets masked', () => {
    const pattern = parsePathPattern('$.note')
    if (!pattern.ok) throw new Error()
    const redaction = { showOnly: [pattern.pattern] }
    expect(redact(difference('$.name', 'Ann', 'Bob'), redaction)).toMatchObject({
      legacy: '<not shown>',
      service: '<not shown>',
    })
    expect(redact(difference('$.note', 'hi a@b.c', null), redaction)).toMatchObject({ legacy: 'hi <email>' })
    expect(redact({ ...difference('status', '200', '500'), kind: 'status' }, redaction)).toMatchObject({
      legacy: '200',
    })
  })

  test('masks header fields and targets', () => {
    expect(maskHeaders(['Cookie', 'sid=1', 'X-Api-Key', 'k', 'Accept', 'text/html', 'From', 'a@b.example'])).toEqual([
      'Cookie',
      '<secret>',
      'X-Api-Key',
      '<secret>',
      'Accept',
      'text/html',
      'From',
      '<email>',
    ])
    expect(maskRequestTarget('/reset', '?code=1&page=2&to=a%40b.example')).toBe(
      '/reset?code=<secret>&page=2&to=<email>',
    )
  })

  test('shows long texts around their first difference, without control bytes', () => {
    const long = 'lorem ipsum '.repeat(100)
    const shown = redact(difference('$.a', `${long}one`, `${long}two\u001b[31m`))
    expect(shown.legacy).toMatch(/^….*one$/)
    expect(shown.service).toMatch(/^….*two\\u001b\[31m$/)
    expect(redact(difference('$.a', 'x y '.repeat(1000), 'z')).legacy!.length).toBeLessThan(400)
  })
})

describe('masking of any text', () => {
  const alphabets = ['hex', 'base64', 'base64url'] as const
  const secret = fc.tuple(fc.constantFrom(...alphabets), fc.uint8Array({ minLength: 28, maxLength: 48 }))
  const pieces = fc.constantFrom(
    ...[
      '@',
      '%40',
      ' ',
      ':',
      '=',
      '"',
      "'",
      '\\',
      '<',
      '>',
      'token',
      'password',
      '<email>',
      '<secret>',
      '4111111111111111',
    ],
    ...[
      'a',
      'Z9',
      '1',
      '-',
      '/',
      '.',
      'eyJ',
      'Bearer',
      '\n',
      '{',
      '}',
      ',',
      '&',
      '-----BEGIN PRIVATE KEY-----',
      '\ud800',
    ],
  )
  const texts = fc.array(fc.oneof(pieces, fc.string()), { maxLength: 14 }).map((parts) => parts.join(''))

  test('is idempotent', () => {
    fc.assert(
      fc.property(texts, (text) => {
        const once = maskSecrets(text)
        expect(maskSecrets(once)).toBe(once)
      }),
      { numRuns: 3000 },
    )
  })

  test('masks random tokens at any position', () => {
    // The bytes come from a seeded generator, because fast-check shrinks its own bytes towards zeros, which are not a token.
    const around = fc.constantFrom(
      ['', ''],
      ['see ', ' there'],
      ['{"a":"', '"}'],
      ['x=', '&y=1'],
      ['/p/', '/q'],
      ['(', ')'],
      ['<b>', '</b>'],
    )
    fc.assert(
      fc.property(secret, around, ([alphabet, { length }], [prefix, suffix]) => {
        const planted = randomBytes(length).toString(alphabet)
        expect(maskSecrets(prefix + planted + suffix), planted).not.toContain(planted)
      }),
      { numRuns: 2000 },
    )
  })

  test('masks card numbers and e-mail addresses', () => {
    const digits = fc.stringMatching(/^4\d{14}$/)
    const local = fc.stringMatching(/^[a-z][a-z0-9.+_-]{0,12}$/)
    const words = fc.constantFrom('', ' ', 'to ', '"', 'card:', '(')
    fc.assert(
      fc.property(digits, local, words, words, (start, name, prefix, suffix) => {
        const card = start + checkDigit(start)
        expect(maskSecrets(`7 ${prefix}${card}${suffix} 7`)).not.toContain(card)
        const grouped = card.replace(/(\d{4})(?=\d)/g, '$1 ')
        expect(maskSecrets(prefix + grouped + suffix)).not.toContain(grouped)
        const address = `${name}@mail.example.com`
        expect(maskSecrets(prefix + address + suffix)).not.toContain(address)
      }),
    )
  })

  test('takes time that is linear in the length of the text', () => {
    const startedAt = performance.now()
    for (const piece of [
      'a',
      '1',
      '1 ',
      '@',
      'a@',
      'a.',
      '=',
      'token',
      '\\',
      '"',
      '%40',
      '-----BEGIN PRIVATE KEY-----',
      'Bearer ',
      'aA1',
    ]) {
      maskSecrets(piece.repeat(Math.floor(65_000 / piece.length)))
    }
    expect(performance.now() - startedAt).toBeLessThan(3000)
    expect(maskSecrets('x'.repeat(1 << 20))).toBe('<text of 1048576 characters>')
  })

  test('is the default', () => {
    expect(redact(difference('$.a', 'a@b.example', '1'))).toEqual(
      redact(difference('$.a', 'a@b.example', '1'), DEFAULT_REDACTION),
    )
  })
})

function checkDigit(digits: string): number {
  const sum = [...digits].reduce((total, digit, i) => {
    const value = Number(digit) * (i % 2 === 0 ? 2 : 1)
    return total + (value > 9 ? value - 9 : value)
  }, 0)
  return (10 - (sum % 10)) % 10
}
