// Payments as JSON: /api/payments/…
import { json, Router } from 'express'
import { absoluteUrl } from '../base-url.ts'
import { findOrder } from '../orders.ts'
import { findPayment, listPayments, paymentJson, payOrder, refundPayment } from '../payments.ts'
import { requireUser } from '../session.ts'
import type { Shop } from '../shop.ts'

export function paymentsApi(shop: Shop): Router {
  const router = Router()

  router.get('/api/payments', (request, response) => {
    const user = requireUser(shop.db, request)
    response.json({ items: listPayments(shop.db, user).map(paymentJson) })
  })

  router.post('/api/payments', json({ limit: '10kb' }), (request, response) => {
    const user = requireUser(shop.db, request)
    const { orderId, method, card } = request.body ?? {}
    const order = findOrder(shop.db, user.id, String(orderId))
    const payment = payOrder(shop, user, order, String(method), card)
    response.location(absoluteUrl(request, `/api/payments/${payment.id}`))
    response.status(201).json(paymentJson(payment))
  })

  router.get('/api/payments/:id', (request, response) => {
    const user = requireUser(shop.db, request)
    response.json(paymentJson(findPayment(shop.db, user, request.params.id)))
  })

  router.post('/api/payments/:id/refund', (request, response) => {
    const user = requireUser(shop.db, request)
    const payment = findPayment(shop.db, user, request.params.id)
    response.json(paymentJson(refundPayment(shop, user, payment)))
  })

  return router
}
