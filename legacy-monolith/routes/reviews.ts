// Reviews of a product, with their photos.
import { type RequestHandler, Router } from 'express'
import multer from 'multer'
import { absoluteUrl } from '../base-url.ts'
import { findProduct } from '../catalog.ts'
import { sendPage } from '../pages.ts'
import { notFound, Problem } from '../problem.ts'
import { addReview, listReviews, PHOTO_TYPES } from '../reviews.ts'
import { userOrLogin } from '../session.ts'
import type { Shop } from '../shop.ts'
import { reviewsPage } from '../views/reviews.ts'

const MOST_PHOTO_BYTES = 2 * 1024 * 1024

export function reviewRoutes(shop: Shop): Router {
  const router = Router()

  router.get('/products/:id/reviews', (request, response) => {
    const product = findProduct(shop.db, request.params.id)
    if (!product) throw notFound('product')
    const body = reviewsPage(product, listReviews(shop, product.id))
    sendPage(shop, response, { title: `Reviews of ${product.name}`, body })
  })

  // Checks the session before it reads the photo.
  router.post('/products/:id/reviews', signedInOnly(shop), photoUpload(), async (request, response) => {
    const user = userOrLogin(shop.db, request, response)
    if (!user) return
    const product = findProduct(shop.db, String(request.params.id))
    if (!product) throw notFound('product')
    await addReview(shop, user, product.id, request.body ?? {}, request.file?.buffer)
    response.redirect(303, absoluteUrl(request, `/products/${product.id}/reviews`))
  })

  router.get('/uploads/:name', (request, response, next) => {
    const kind = /^[0-9a-f-]{36}\.(jpg|png|webp)$/.exec(request.params.name)?.[1]
    if (!kind) throw notFound('photo')
    const options = { root: shop.uploadsFolder, maxAge: '1y', immutable: true }
    response.type(PHOTO_TYPES[kind] ?? 'application/octet-stream')
    response.sendFile(request.params.name, options, (error) => {
      if (error && !response.headersSent) next(notFound('photo'))
    })
  })

  return router
}

function signedInOnly(shop: Shop): RequestHandler {
  return (request, response, next) => {
    if (userOrLogin(shop.db, request, response)) next()
  }
}

function photoUpload(): RequestHandler {
  const limits = { fileSize: MOST_PHOTO_BYTES, files: 1, fields: 10, fieldSize: 10_000, parts: 12 }
  const receive = multer({ storage: multer.memoryStorage(), limits }).single('photo')
  return (request, response, next) => {
    receive(request, response, (error: unknown) => next(error ? inOurWords(error) : undefined))
  }
}

function inOurWords(error: unknown): unknown {
  if (!(error instanceof multer.MulterError)) return error
  if (error.code === 'LIMIT_FILE_SIZE') {
    return new Problem(413, 'photo-too-large', `A photo has at most ${MOST_PHOTO_BYTES / 1024 / 1024} MiB.`)
  }
  return new Problem(400, 'bad-upload', 'A review is one form with "rating", "text" and at most one file "photo".')
}
