// Cart and checkout pages.
import { Router, urlencoded } from 'express'
import { absoluteUrl } from '../base-url.ts'
import { addToCart, cartOf, cartTotalCents, emptyCart, setQuantity } from '../cart.ts'
import { findProduct } from '../catalog.ts'
import { placeOrder, readOrderLine } from '../orders.ts'
import { sendPage } from '../pages.ts'
import { notFound, Problem } from '../problem.ts'
import { currentSession, ensureSession, userOrLogin } from '../session.ts'
import type { Shop } from '../shop.ts'
import { cartPage, checkoutPage } from '../views/cart.ts'

export function cartPages(shop: Shop): Router {
  const router = Router()
  const form = urlencoded({ extended: false, limit: '10kb' })

  router.get('/cart', (request, response) => {
    const items = cartOf(shop.db, currentSession(shop.db, request))
    response.set('Cache-Control', 'private, no-store')
    sendPage(shop, response, { title: 'Cart', body: cartPage(items, cartTotalCents(items)) })
  })

  router.post('/cart/items', form, (request, response) => {
    const want = readOrderLine(request.body)
    if (!findProduct(shop.db, String(want.productId))) throw notFound('product')
    addToCart(shop.db, ensureSession(shop.db, request, response), want.productId, want.quantity)
    response.redirect(303, absoluteUrl(request, '/cart'))
  })

  router.post('/cart/items/:productId', form, (request, response) => {
    const session = currentSession(shop.db, request)
    const quantity = Number(request.body?.quantity)
    if (!session) throw notFound('cart')
    if (!Number.isInteger(quantity) || quantity < 0 || quantity > 99) {
      throw new Problem(400, 'bad-quantity', '"quantity" is a number from 0 to 99.')
    }
    setQuantity(shop.db, session, Number(request.params.productId), quantity)
    response.redirect(303, absoluteUrl(request, '/cart'))
  })

  router.get('/checkout', (request, response) => {
    const user = userOrLogin(shop.db, request, response)
    if (!user) return
    const items = cartOf(shop.db, currentSession(shop.db, request))
    sendPage(shop, response, { title: 'Checkout', body: checkoutPage(items, cartTotalCents(items), user) })
  })

  router.post('/checkout', form, (request, response) => {
    const user = userOrLogin(shop.db, request, response)
    if (!user) return
    const session = ensureSession(shop.db, request, response)
    const items = cartOf(shop.db, session)
    if (items.length === 0) throw new Problem(409, 'empty-cart', 'The cart is empty.')
    const order = placeOrder(shop, user.id, items)
    emptyCart(shop.db, session)
    response.redirect(303, absoluteUrl(request, `/orders/${order.id}`))
  })

  return router
}
