// The migration map of the shop: which routes belong to which context, which service takes each over, and by which flag.
import { defineRoutes } from 'strangler-gateway'

const {
  MONOLITH_URL = 'http://127.0.0.1:3000',
  CATALOG_URL = 'http://127.0.0.1:3001',
  ORDERS_URL = 'http://127.0.0.1:3002',
} = process.env

export default defineRoutes({
  legacy: { url: MONOLITH_URL },
  services: {
    catalog: { url: CATALOG_URL, health: '/healthz' },
    orders: {
      urls: [ORDERS_URL],
      health: '/healthz',
      connections: 64,
      timeouts: { connectMs: 2000, headersMs: 15_000, idleMs: 60_000 },
    },
  },
  contexts: {
    catalog: {
      owner: 'team-catalog',
      service: 'catalog',
      flag: 'migrate-catalog',
      routes: [
        'GET /products',
        'GET /products/:id',
        '/api/catalog/*',
        { path: '/search', methods: ['GET'], rewrite: '/v2/search' },
      ],
    },
    orders: {
      owner: 'team-orders',
      service: 'orders',
      flag: 'migrate-orders',
      // An order that the monolith took in the place of the service would be missing when the service returns.
      fallback: 'reads',
      routes: ['/api/orders', '/api/orders/*', { path: '/live/orders', upgrade: true }],
    },
  },
  // No proxy stands in front of the example, so it believes no header about the user or the client's address. Where one
  // does, list its address in `trustedProxies`; see docs/security.md.
  identity: { session: { cookie: 'sid' }, anonymous: 'cookie' },
})
