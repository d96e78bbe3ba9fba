// Login, logout, registration.
import { Router, urlencoded } from 'express'
import { findLogin, register } from '../accounts.ts'
import { absoluteUrl, localPath } from '../base-url.ts'
import { sendPage } from '../pages.ts'
import { passwordMatches } from '../passwords.ts'
import { signIn, signOut } from '../session.ts'
import type { Shop } from '../shop.ts'
import { loginPage, registerPage } from '../views/account.ts'

export function loginPages(shop: Shop): Router {
  const router = Router()
  const form = urlencoded({ extended: false, limit: '10kb' })

  router.get('/login', (request, response) => {
    sendPage(shop, response, { title: 'Sign in', body: loginPage(localPath(request.query.next, '/account')) })
  })

  router.post('/login', form, async (request, response) => {
    const { email, password } = request.body ?? {}
    const next = localPath(request.body?.next, '/account')
    const login = findLogin(shop.db, String(email))
    if (!(await passwordMatches(String(password), login?.passwordHash)) || !login) {
      const body = loginPage(next, 'That address and password do not belong together.')
      sendPage(shop, response.status(401), { title: 'Sign in', body })
      return
    }
    signIn(shop.db, request, response, login.id)
    response.redirect(303, absoluteUrl(request, next))
  })

  router.post('/logout', (request, response) => {
    signOut(shop.db, request, response)
    response.redirect(303, absoluteUrl(request, '/'))
  })

  router.get('/register', (_request, response) => {
    sendPage(shop, response, { title: 'New account', body: registerPage() })
  })

  router.post('/register', form, async (request, response) => {
    const registered = await register(shop.db, request.body ?? {})
    if (typeof registered === 'string') {
      sendPage(shop, response.status(422), { title: 'New account', body: registerPage(registered) })
      return
    }
    signIn(shop.db, request, response, registered.id)
    response.redirect(303, absoluteUrl(request, '/account'))
  })

  return router
}
