// Orders as JSON: /api/orders/…
import { json, Router } from 'express'
import { absoluteUrl } from '../base-url.ts'
import { cancelOrder, findOrder, findOrderByKey, listOrders, orderJson, placeOrder, readOrderLines } from '../orders.ts'
import { Problem } from '../problem.ts'
import { requireUser } from '../session.ts'
import type { Shop } from '../shop.ts'

const PAGE_SIZE = 20

export function ordersApi(shop: Shop): Router {
  const router = Router()

  router.get('/api/orders', (request, response) => {
    const user = requireUser(shop.db, request)
    const page = readPage(request.query.page)
    const { orders, total } = listOrders(shop.db, user.id, page, PAGE_SIZE)
    response.json({ items: orders.map((order) => orderJson(shop.db, order)), page, pageSize: PAGE_SIZE, total })
  })

  router.post('/api/orders', json({ limit: '100kb' }), (request, response) => {
    const user = requireUser(shop.db, request)
    const key = readIdempotencyKey(request.get('Idempotency-Key'))
    const existing = key === undefined ? undefined : findOrderByKey(shop.db, user.id, key)
    const order = existing ?? placeOrder(shop, user.id, readOrderLines(request.body), key)
    response.location(absoluteUrl(request, `/api/orders/${order.id}`))
    response.status(existing ? 200 : 201).json(orderJson(shop.db, order))
  })

  router.get('/api/orders/:id', (request, response) => {
    const user = requireUser(shop.db, request)
    response.json(orderJson(shop.db, findOrder(shop.db, user.id, request.params.id)))
  })

  router.post('/api/orders/:id/cancel', (request, response) => {
    const user = requireUser(shop.db, request)
    const order = cancelOrder(shop, findOrder(shop.db, user.id, request.params.id))
    response.json(orderJson(shop.db, order))
  })

  return router
}

function readPage(value: unknown): number {
  const page = value === undefined ? 1 : Number(value)
  if (!Number.isInteger(page) || page < 1 || page > 10_000) {
    throw new Problem(400, 'bad-page', '"page" is a number from 1 to 10000.')
  }
  return page
}

function readIdempotencyKey(value: string | undefined): string | undefined {
  if (value !== undefined && !/^[\x21-\x7e]{1,100}$/.test(value)) {
    throw new Problem(400, 'bad-idempotency-key', 'Idempotency-Key has 1 to 100 visible characters.')
  }
  return value
}
