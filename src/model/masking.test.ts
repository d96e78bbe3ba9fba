import { describe, expect, test } from 'vitest'
import { maskHeaders, maskRequestTarget, maskSecrets } from '../shadow/capture/redact.ts'
import { maskTarget } from '../telemetry/log/mask-target.ts'
import { holdsSecret, holdsToken, isSecretName, looksLikeToken } from './masking.ts'

const HEX = '9f86d081884c7d659a2feaa0c55ad015'
const BASE64URL = 'kX3vQ9-fLm2Rt7_ZaPw4YcB8sDhG5nJe'
const JWT = 'eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiI3In0.dBjftJeZ4CVP'

describe('a value looks like a token', () => {
  test.each([HEX, BASE64URL, JWT, 'aGVsbG8gd29ybGQ0NTY3ODkwMTIzNDU2Nzg5', '550e8400-e29b-41d4-a716-446655440000'])(
    '%s',
    (value) => {
      expect(looksLikeToken(value)).toBe(true)
      expect(holdsToken(value)).toBe(true)
    },
  )

  test.each([
    ...['0.5493061443340549', '-122.41941550000001', '1.2345678901234567e-7', '0.3333333333333333em', '1767225600000'],
    ...[
      'lat=52.520006599999912',
      'offset=1234567890123456',
      'order.items.shippingAddressLine2',
      'customerAddressLine2',
    ],
    ...['data.attributes.postal_code', 'items.12.priceWithTaxes', 'internationalisation'],
  ])('%s does not', (value) => {
    expect(looksLikeToken(value)).toBe(false)
    expect(holdsToken(value)).toBe(false)
    expect(maskSecrets(value)).toBe(value)
  })

  test.each(['order.items.shippingAddressLine2.deliveryInstructions', '12.345678901234567890123456789012'])(
    '%s does not, though it is long',
    (value) => {
      expect(maskTarget('/a', `?sort=${value}`)).toBe(`/a?sort=${value}`)
    },
  )
})

describe('the access log and examples hide the same names', () => {
  const SECRET = ['token', 'api_key', 'userPw', 'pass', 'passcode', 'tan', 'ticket', 'jsessionid', 'X-Amz-Signature']
  const HARMLESS = ['passenger', 'distance', 'tickets', 'keyword', 'zipcode', 'author', 'compass', 'page']

  test.each(SECRET)('%s', (name) => {
    expect(isSecretName(name)).toBe(true)
    expect(maskTarget('/a', `?${name}=x1`)).toBe(`/a?${name}=***`)
    expect(maskRequestTarget('/a', `?${name}=x1`)).not.toContain('x1')
    expect(maskSecrets(`{"${name}":"x1"}`)).not.toContain('x1')
    expect(maskSecrets(`a=1&${name}=x1`)).not.toContain('x1')
    expect(maskHeaders([name, 'x1'])).toEqual([name, '<secret>'])
  })

  test.each(HARMLESS)('%s is shown', (name) => {
    expect(isSecretName(name)).toBe(false)
    expect(maskTarget('/a', `?${name}=x1`)).toBe(`/a?${name}=x1`)
    expect(maskRequestTarget('/a', `?${name}=x1`)).toBe(`/a?${name}=x1`)
    expect(maskSecrets(`{"${name}":"x1"}`)).toBe(`{"${name}":"x1"}`)
    expect(maskSecrets(`a=1&${name}=x1`)).toBe(`a=1&${name}=x1`)
    expect(maskHeaders([name, 'x1'])).toEqual([name, 'x1'])
  })
})

describe('a secret in a nested query is found', () => {
  test.each([
    'next=%2Fcb%3Ftoken%3Dhunter2',
    'next=%252Fcb%253Ftoken%253Dhunter2',
    'next=%2Fcb%3Ftoken%3Dhunter2%zz',
    'url=https%3A%2F%2Fann%3Ahunter2%40db.example',
  ])('%s', (pair) => {
    expect(holdsSecret(pair.slice(pair.indexOf('=') + 1))).toBe(true)
    for (const shown of [
      maskTarget('/a', `?${pair}`),
      maskRequestTarget('/a', `?${pair}`),
      maskHeaders(['Referer', `https://shop.example/login?${pair}`]).join(),
      maskHeaders(['Location', `/login?${pair}`]).join(),
      maskSecrets(`a=1&${pair}&b=2`),
      maskSecrets(JSON.stringify({ link: `https://shop.example/?${pair}` })),
    ])
      expect(shown).not.toContain('hunter2')
  })
})

describe('headers and bodies of an example', () => {
  const hidden: readonly (readonly [string, string])[] = [
    ['Referer', `https://shop.example/reset/${HEX}?page=2`],
    ['Referer', 'https://shop.example/cart;jsessionid=1A2B/items'],
    ['Location', `/welcome?ticket=ST-1#access_token=${BASE64URL}`],
    ['Location', 'https://ann:hunter2@shop.example/'],
    ['Cookie', 'theme=dark; sid=1'],
    ['Set-Cookie', 'sid=1; Path=/; HttpOnly'],
  ]
  test.each(hidden)('%s: %s hides its secret', (name, value) => {
    const [, shown = ''] = maskHeaders([name, value])
    for (const secret of [HEX, '1A2B', 'ST-1', BASE64URL, 'hunter2', 'sid=1']) expect(shown).not.toContain(secret)
  })

  test.each([
    ['Referer', 'https://shop.example/map?lat=52.520006599999912&lon=13.404953999999991'],
    ['Location', '/products/2026/summer-sale-for-all-of-the-family?sort=priceWithTaxes'],
  ])('%s: %s is shown', (name, value) => {
    expect(maskHeaders([name, value])).toEqual([name, value])
  })

  test.each([
    '{"score":0.5493061443340549,"at":1767225600000,"path":"order.items.shippingAddressLine2"}',
    '{"ratio":1.2345678901234567e-7,"width":"33.3333333333333336em"}',
    'quantity=2&price=19.990000000000002&sort=customerAddressLine2',
  ])('the body %s is shown', (body) => expect(maskSecrets(body)).toBe(body))

  test('a decimal fraction that passes the check of card numbers is not a card', () => {
    expect(maskSecrets('{"score":0.4111111111111111}')).toBe('{"score":0.4111111111111111}')
    expect(maskSecrets('{"card":"4111111111111111"}')).toBe('{"card":"<card>"}')
    expect(maskSecrets('0.25 4111111111111111')).toBe('0.25 <card>')
  })
})

test('whatever the value, a decision takes time that grows with its length alone', () => {
  for (const piece of ['a', 'aB', 'aaa', 'Aaaa', '.aaa', '_aaa', 'aaa1', '1', '1.', '=', '%3D', '%', 'a=', '.1']) {
    const value = `${piece.repeat(Math.floor(60_000 / piece.length))}!`
    const begun = performance.now()
    looksLikeToken(value)
    holdsToken(value)
    holdsSecret(value)
    isSecretName(value)
    maskSecrets(value)
    expect(performance.now() - begun, piece).toBeLessThan(500)
  }
})
