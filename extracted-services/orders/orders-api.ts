// /api/orders/…
import { json, Router } from 'express'
import { absoluteUrl } from './base-url.ts'
import type { Orders } from './open-orders.ts'
import { cancelOrder, findOrder, findOrderByKey, listOrders, orderJson, placeOrder, readWanted } from './orders.ts'
import { Problem } from './problem.ts'

const PAGE_SIZE = 20

export function ordersApi(orders: Orders): Router {
  const router = Router()
  const { db, customerOf } = orders

  router.get('/api/orders', async (request, response) => {
    const customer = await customerOf(request.headers)
    const page = readPage(request.query.page)
    const listed = listOrders(db, customer, page, PAGE_SIZE)
    const items = listed.orders.map((order) => orderJson(db, order))
    response.json({ items, page, pageSize: PAGE_SIZE, total: listed.total })
  })

  router.post('/api/orders', json({ limit: '100kb' }), async (request, response) => {
    const customer = await customerOf(request.headers)
    const key = readIdempotencyKey(request.get('Idempotency-Key'))
    const existing = key === undefined ? undefined : findOrderByKey(db, customer, key)
    const order = existing ?? placeOrder(orders, customer, readWanted(request.body), key)
    response.location(absoluteUrl(request, `/api/orders/${order.id}`))
    response.status(existing ? 200 : 201).json(orderJson(db, order))
  })

  router.get('/api/orders/:id', async (request, response) => {
    const customer = await customerOf(request.headers)
    response.json(orderJson(db, findOrder(db, customer, request.params.id)))
  })

  router.post('/api/orders/:id/cancel', async (request, response) => {
    const customer = await customerOf(request.headers)
    response.json(orderJson(db, cancelOrder(orders, findOrder(db, customer, request.params.id))))
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
