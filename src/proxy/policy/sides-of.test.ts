import { expect, test } from 'vitest'
import { compile } from '../../config/load/compile.ts'
import { validate } from '../../config/schema/validate.ts'
import { sidesOf } from './sides-of.ts'

const VALID = validate({
  legacy: { url: 'http://legacy.internal:3000' },
  services: { catalog: { url: 'http://catalog.internal:3001' }, orders: { url: 'http://orders.internal' } },
  contexts: {
    catalog: {
      owner: 'team',
      service: 'catalog',
      flag: 'migrate-catalog',
      routes: ['/products', { path: '/shop/:id', rewrite: '/v2/items/:id' }],
    },
    orders: { owner: 'team', service: 'orders', flag: 'migrate-orders', routes: ['/orders/*'] },
  },
})
if (!VALID.ok) throw new Error(JSON.stringify(VALID.mistakes))
const SNAPSHOT = compile(VALID.config)

const sidesFor = (context: string, target: string) =>
  sidesOf(SNAPSHOT, context, { method: 'GET', host: 'shop', target })

test('sidesOf names the address of each side, and the rewritten path for the service', () => {
  expect(sidesFor('catalog', '/products?page=2')).toEqual({
    legacy: { url: 'http://legacy.internal:3000', target: '/products?page=2' },
    service: { url: 'http://catalog.internal:3001', target: '/products?page=2' },
  })
  expect(sidesFor('catalog', '/shop/<email>?token=***')?.service.target).toBe('/v2/items/<email>?token=***')
  expect(sidesFor('catalog', '/shop/7')?.legacy.target).toBe('/shop/7')
})

test('sidesOf does not rewrite a path that belongs to another context now', () => {
  expect(sidesFor('orders', '/shop/7')?.service).toEqual({ url: 'http://orders.internal', target: '/shop/7' })
})

test('sidesOf returns undefined for a context that was removed', () => {
  for (const gone of ['nothing', '__proto__']) expect(sidesFor(gone, '/products')).toBeUndefined()
})
