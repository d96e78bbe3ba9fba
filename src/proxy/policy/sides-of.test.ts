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

const asked = (context: string, target: string) => sidesOf(SNAPSHOT, context, { method: 'GET', host: 'shop', target })

test('each side is asked where the gateway asks it, the service for the path that its route is rewritten to', () => {
  expect(asked('catalog', '/products?page=2')).toEqual({
    legacy: { url: 'http://legacy.internal:3000', target: '/products?page=2' },
    service: { url: 'http://catalog.internal:3001', target: '/products?page=2' },
  })
  expect(asked('catalog', '/shop/<email>?token=***')?.service.target).toBe('/v2/items/<email>?token=***')
  expect(asked('catalog', '/shop/7')?.legacy.target).toBe('/shop/7')
})

test('a path that is no longer the context’s is asked for as it is', () => {
  expect(asked('orders', '/shop/7')?.service).toEqual({ url: 'http://orders.internal', target: '/shop/7' })
})

test('a context that is gone has no sides', () => {
  for (const gone of ['nothing', '__proto__']) expect(asked(gone, '/products')).toBeUndefined()
})
