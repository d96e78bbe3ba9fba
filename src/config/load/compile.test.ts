import { expect, test } from 'vitest'
import type { RoutesConfig } from '../define-routes.ts'
import { formatMistakes } from '../mistake.ts'
import { validate } from '../schema/validate.ts'
import { compile } from './compile.ts'
import { compileTrust } from './trust.ts'

function compiled(written: RoutesConfig) {
  const validated = validate(written)
  if (!validated.ok) throw new Error(formatMistakes(validated.mistakes))
  return compile(validated.config)
}

const SHOP: RoutesConfig = {
  legacy: { url: 'http://127.0.0.1:3000' },
  services: { catalog: { url: 'http://127.0.0.1:3001' } },
  contexts: {
    catalog: {
      owner: 'team-catalog',
      service: 'catalog',
      flag: 'migrate-catalog',
      routes: ['/products', { path: '/upload', maxBodyBytes: 5, upgrade: true, timeouts: { headersMs: 1 } }],
    },
  },
  limits: { bodyBytes: 1000 },
  identity: { user: { header: 'X-User-Id', trust: ['10.0.0.0/8'] } },
  trustedProxies: ['loopback'],
}

test('a route knows its context, and the context its service', () => {
  const { match, contexts, services, routes } = compiled(SHOP)
  const { route } = match('GET', 'a', '/products')
  expect(route.context).toBe(contexts.get('catalog'))
  expect(route.context?.service).toBe(services.get('catalog'))
  expect(route.context).toMatchObject({
    name: 'catalog',
    owner: 'team-catalog',
    flag: 'migrate-catalog',
    fallback: 'reads',
  })
  expect(routes).toHaveLength(2)
  expect(routes).toContain(route)
})

test('a route’s own limits win over those of all', () => {
  const { match } = compiled(SHOP)
  expect(match('POST', 'a', '/upload').route).toMatchObject({
    maxBodyBytes: 5,
    upgrade: true,
    timeouts: { headersMs: 1 },
  })
  expect(match('POST', 'a', '/products').route).toMatchObject({
    maxBodyBytes: 1000,
    upgrade: false,
    timeouts: undefined,
  })
  expect(match('POST', 'a', '/nobody').route.maxBodyBytes).toBe(1000)
})

test('only trusted proxies may say who the user is', () => {
  const { identity, trustsProxy } = compiled(SHOP)
  expect(identity.user?.header).toBe('x-user-id')
  expect(identity.user?.trusts('10.1.2.3')).toBe(true)
  expect(identity.user?.trusts('127.0.0.1')).toBe(false)
  expect(trustsProxy('127.0.0.1')).toBe(true)
  expect(trustsProxy('10.1.2.3')).toBe(false)
})

test.each<[string[], string, boolean]>([
  [[], '127.0.0.1', false],
  [['10.0.0.0/8'], '10.255.0.1', true],
  [['10.0.0.0/8'], '11.0.0.1', false],
  [['10.0.0.0/8'], '::ffff:10.0.0.1', true],
  [['loopback'], '::1', true],
  [['uniquelocal', '8.8.8.8'], '8.8.8.8', true],
  [['2001:db8::/32'], '2001:db8::1', true],
  [['2001:db8::/32'], '10.0.0.1', false],
  [['loopback'], '', false],
  [['loopback'], 'unknown', false],
  [['loopback'], '127.0.0.1, 10.0.0.1', false],
])('of %o, %s is trusted: %s', (ranges, address, expected) => {
  const trusts = compileTrust(ranges)
  expect(trusts(address)).toBe(expected)
  expect(trusts(address)).toBe(expected)
})

test('a flood of addresses does not make the kept answers grow without end', () => {
  const trusts = compileTrust(['10.0.0.0/8'])
  for (let i = 0; i < 20_000; i++) expect(trusts(`10.0.${(i >> 8) & 255}.${i & 255}`)).toBe(true)
  expect(trusts('11.0.0.1')).toBe(false)
})
