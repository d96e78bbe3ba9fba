import { gzipSync } from 'node:zlib'
import { describe, expect, test } from 'vitest'
import type { Difference } from '../../model/comparison.ts'
import { answer } from '../compare/compare.test-kit.ts'
import { type ComparedResponse, compareAnswers } from '../compare/compare-answers.ts'
import { parsePathPattern } from '../compare/path-pattern.ts'
import { type ComparedExchange, exampleOf } from './example.ts'

/** Realistic secrets, each of them unique. */
const SECRET = {
  bearer: 'b3arer9f2Qk7ZtXw1Lm5',
  apiKey: 'sk_live_4eC39HqLyjWDarjtT1',
  cookie: 's%3Acookie7Kq2Zt9xWm4Lp8Vb1.sig',
  password: 'correct horse battery',
  jwt: 'eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhbm5hIn0.c2lnbmF0dXJl',
  email: 'anna.secret@mail.example',
  card: '4111 1111 1111 1111',
  pathToken: 'Zx81Kq27Lm93Vb45Nc60Pd72',
  reset: 'r3s3tT0k3nW1thD1g1ts',
  hex: 'deadbeef0123456789abcdef00112233',
} as const
const ALL = Object.values(SECRET)

function seen(
  legacy: ComparedResponse,
  service: ComparedResponse,
  more: Partial<ComparedExchange> = {},
): ComparedExchange {
  const comparison = compareAnswers(legacy, service)
  const differences: readonly Difference[] = comparison.kind === 'compared' ? comparison.differences : []
  return {
    ...{
      time: 1,
      method: 'GET',
      target: '/products/1',
      pattern: '/products/:id',
      fields: [],
      answeredBy: 'legacy',
      differences,
    },
    ...{ legacy, legacyMs: 1.23456, service, serviceMs: 2 },
    ...more,
  }
}

function expectNothingOf(secrets: readonly string[], shown: unknown): void {
  const text = JSON.stringify(shown)
  for (const secret of secrets) {
    for (const form of [secret, encodeURIComponent(secret), Buffer.from(secret).toString('base64')])
      expect(text, form).not.toContain(form.replaceAll('"', '\\"'))
  }
}

const json = (value: unknown, headers: readonly string[] = []) =>
  answer(JSON.stringify(value), '', { headers: ['Content-Type', 'application/json', ...headers] })

describe('an example contains no secret', () => {
  test('in header fields and cookies of the request and both responses', () => {
    const fields = [
      ...['Authorization', `Bearer ${SECRET.bearer}`, 'X-Api-Key', SECRET.apiKey, 'Cookie', `sid=${SECRET.cookie}`],
      ...[
        'Referer',
        `https://shop.example/?token=${SECRET.reset}`,
        'X-Note',
        `ask ${SECRET.email}`,
        'X-Any',
        SECRET.jwt,
      ],
      ...['Proxy-Authorization', `Basic ${btoa(SECRET.password)}`, 'X-Trace', SECRET.hex],
    ]
    const secrets = [
      'Set-Cookie',
      `sid=${SECRET.cookie}; Path=/`,
      'X-Auth-Token',
      SECRET.apiKey,
      'Location',
      `/?code=${SECRET.reset}`,
    ]
    const example = exampleOf(seen(json({ a: 1 }, secrets), json({ a: 2 }, ['X-Contact', SECRET.email]), { fields }))
    expectNothingOf(ALL, example)
    expect(example.request.headers.filter((_, i) => i % 2 === 0)).toEqual(fields.filter((_, i) => i % 2 === 0))
  })

  test('in path and query', () => {
    const target = `/reset/${SECRET.pathToken}?state=${SECRET.jwt}&token=${SECRET.reset}&e=${encodeURIComponent(SECRET.email)}&page=2`
    const example = exampleOf(seen(json(1), json(2), { target }))
    expectNothingOf(ALL, example)
    expect(example.request.target).toContain('page=2')
    expectNothingOf(
      ALL,
      exampleOf(seen(json(1), json(2), { target: `/a/${SECRET.jwt}/${SECRET.hex}/${SECRET.email}` })),
    )
  })

  test('in JSON values, keys, and JSON within text, of both bodies and of the differences', () => {
    const body = (n: number) => ({
      price: n,
      user: { email: SECRET.email, password: `${SECRET.password}${n}`, note: `card ${SECRET.card} ${n}` },
      tokens: [SECRET.jwt, `${SECRET.apiKey}${n}`],
      [SECRET.email]: n,
      [SECRET.pathToken]: n,
      [SECRET.hex]: { deep: n },
      nested: JSON.stringify({ n, password: SECRET.password, again: JSON.stringify({ n, token: SECRET.reset }) }),
      api_key: { id: n, value: `plain ${n}`, list: [`word${n}`] },
    })
    const example = exampleOf(seen(json(body(1)), json(body(2))))
    expectNothingOf(ALL, example)
    expect(example.differences.length).toBeGreaterThan(5)
    // A value under a secret name is masked, whatever it looks like.
    expectNothingOf(['plain 1', 'word1'], example)
    expect(example.legacy.body).toContain('"price":1')
  })

  test('in a body of another type, which is not kept', () => {
    const text = (n: number) =>
      `n=${n}\npassword: ${SECRET.password.replaceAll(' ', '-')}\n${SECRET.jwt}${n}\n${SECRET.email} ${n}`
    for (const type of [
      'text/plain',
      'text/html',
      'application/xml',
      'application/x-www-form-urlencoded',
      'image/png',
      '',
    ]) {
      const example = exampleOf(seen(answer(text(1), type), answer(text(2), type)))
      expectNothingOf([...ALL, 'correct-horse'], example)
      expect([example.legacy.body, example.service.body]).toEqual([null, null])
    }
  })

  test('in a page with a form', () => {
    const page = (n: number) =>
      `<html><body><input name="csrf_token" value="${SECRET.pathToken}${n}"><a href="/?token=${SECRET.reset}${n}">x${n}</a></body></html>`
    expectNothingOf(ALL, exampleOf(seen(answer(page(1), 'text/html'), answer(page(2), 'text/html'))))
  })
})

describe('the body in an example', () => {
  test.each([
    [
      'is kept decoded if it is JSON',
      gzipSync('{"a":1}'),
      ['Content-Type', 'application/json', 'Content-Encoding', 'gzip'],
      '{"a":1}',
    ],
    ['is not kept if it is invalid JSON', Buffer.from('{"a":'), ['Content-Type', 'application/json'], null],
    [
      'is not kept if it cannot be decoded',
      Buffer.from('{"a":1}'),
      ['Content-Type', 'application/json', 'Content-Encoding', 'gzip'],
      null,
    ],
    [
      'is not kept if it becomes too large by decoding',
      gzipSync(JSON.stringify('x'.repeat(20_000))),
      ['Content-Type', 'application/json', 'Content-Encoding', 'gzip'],
      null,
    ],
    [
      'is not kept above 16 KiB',
      Buffer.from(JSON.stringify('x'.repeat(17_000))),
      ['Content-Type', 'application/json'],
      null,
    ],
  ])('%s', (_, bytes, headers, expected) => {
    const response = answer(bytes, '', { headers })
    expect(exampleOf(seen(response, response)).legacy.body).toBe(expected)
  })

  test('is not kept if it was truncated', () => {
    const response = answer('{"a":1}', 'application/json', { isTruncated: true })
    expect(exampleOf(seen(response, response)).legacy.body).toBeNull()
  })

  test('is kept down to the compared depth', () => {
    const deep = answer('['.repeat(5000) + ']'.repeat(5000))
    expect(exampleOf(seen(deep, deep)).legacy.body).toContain('<too deep>')
  })
})

describe('an example with showOnly', () => {
  const showOnly = ['$.price', 'header.etag'].map((text) => {
    const parsed = parsePathPattern(text)
    if (!parsed.ok) throw new Error(parsed.message)
    return parsed.pattern
  })

  test('shows only values at the listed paths, in bodies and differences', () => {
    const body = (n: number) => ({
      price: n,
      name: `Anna Schmidt ${n}`,
      address: { street: `Hauptstraße ${n}` },
      list: [`secret word ${n}`],
    })
    const example = exampleOf(seen(json(body(11)), json(body(12))), { showOnly })
    expectNothingOf(['Anna', 'Hauptstra', 'secret word'], example)
    expect(example.legacy.body).toContain('"price":11')
    expect(example.differences).toContainEqual({
      kind: 'value',
      path: '$.price',
      legacy: '11',
      service: '12',
      times: 1,
    })
  })

  test('masks secrets at the listed paths', () => {
    const example = exampleOf(seen(json({ price: SECRET.jwt }), json({ price: SECRET.email })), { showOnly })
    expectNothingOf(ALL, example)
  })

  test('shows no unlisted header field, and of the target only the pattern of the route', () => {
    const target = '/customers/Anna%20Schmidt/orders?name=Anna+Schmidt&page=2&Anna'
    const pattern = '/customers/:name/orders'
    const fields = ['X-Customer', 'Anna Schmidt', 'Host', 'shop.example']
    const answers = [json({}, ['X-Name', 'Anna Schmidt', 'ETag', '"v1"']), json({})] as const
    const example = exampleOf(seen(...answers, { target, pattern, fields }), { showOnly })
    expectNothingOf(['Anna'], example)
    expect(example.request.target).toMatch(
      '/customers/<not shown>/orders?name=<not shown>&page=<not shown>&<not shown>',
    )
    expect(example.request.headers).toEqual(['X-Customer', '<not shown>', 'Host', 'shop.example'])
    expect(example.legacy.headers).toEqual([
      ...['Content-Type', 'application/json', 'X-Name', '<not shown>', 'ETag', '"v1"'],
    ])
  })

  test('shows nothing of the segments under a wildcard', () => {
    const more = { target: '/api/catalog/Anna/Schmidt', pattern: 'shop.example/api/catalog/*' }
    const example = exampleOf(seen(json(1), json(1), more), { showOnly })
    expect(example.request.target).toBe('/api/catalog/<not shown>')
  })
})
