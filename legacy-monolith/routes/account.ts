// The account as a page and as JSON, and the session for app.js and for services that cannot read the cookie.
import { json, Router, urlencoded } from 'express'
import { updateAccount } from '../accounts.ts'
import { absoluteUrl } from '../base-url.ts'
import { cartCount } from '../cart.ts'
import { sendPage } from '../pages.ts'
import { currentSession, requireUser, type User, userOrLogin } from '../session.ts'
import type { Shop } from '../shop.ts'
import { accountPage } from '../views/account.ts'

export function accountRoutes(shop: Shop): Router {
  const router = Router()

  router.get('/account', (request, response) => {
    const user = userOrLogin(shop.db, request, response)
    if (!user) return
    sendPage(shop, response, { title: 'Account', body: accountPage(user, request.query.saved !== undefined) })
  })

  router.post('/account', urlencoded({ extended: false, limit: '10kb' }), (request, response) => {
    const user = userOrLogin(shop.db, request, response)
    if (!user) return
    updateAccount(shop.db, user, request.body ?? {})
    response.redirect(303, absoluteUrl(request, '/account?saved'))
  })

  router.get('/api/session', (request, response) => {
    const session = currentSession(shop.db, request)
    const user = session?.user && { id: session.user.id, name: session.user.name, role: session.user.role }
    response.json({ user: user ?? null, cartItems: cartCount(shop.db, session) })
  })

  router.get('/api/accounts/me', (request, response) => {
    response.json(accountJson(requireUser(shop.db, request)))
  })

  router.patch('/api/accounts/me', json({ limit: '10kb' }), (request, response) => {
    const user = requireUser(shop.db, request)
    response.json(accountJson(updateAccount(shop.db, user, request.body ?? {})))
  })

  return router
}

function accountJson(user: User) {
  return { id: user.id, email: user.email, name: user.name, address: user.address, role: user.role }
}
