// A customer's orders, as pages.
import { Router } from 'express'
import { absoluteUrl } from '../base-url.ts'
import { cancelOrder, findOrder, itemsOf, listOrders, orderNumber } from '../orders.ts'
import { sendPage } from '../pages.ts'
import { userOrLogin } from '../session.ts'
import type { Shop } from '../shop.ts'
import { orderList, orderPage } from '../views/orders.ts'

export function orderPages(shop: Shop): Router {
  const router = Router()

  router.get('/orders', (request, response) => {
    const user = userOrLogin(shop.db, request, response)
    if (!user) return
    sendPage(shop, response, { title: 'Orders', body: orderList(listOrders(shop.db, user.id, 1, 100).orders) })
  })

  router.get('/orders/:id', (request, response) => {
    const user = userOrLogin(shop.db, request, response)
    if (!user) return
    const order = findOrder(shop.db, user.id, request.params.id)
    const body = orderPage(order, itemsOf(shop.db, order.id))
    sendPage(shop, response, { title: `Order ${orderNumber(order)}`, body })
  })

  router.post('/orders/:id/cancel', (request, response) => {
    const user = userOrLogin(shop.db, request, response)
    if (!user) return
    const order = cancelOrder(shop, findOrder(shop.db, user.id, request.params.id))
    response.redirect(303, absoluteUrl(request, `/orders/${order.id}`))
  })

  return router
}
