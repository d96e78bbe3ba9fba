// The home page, assets, old short links, robots.txt and the health check.
import { Router } from 'express'
import { absoluteUrl } from '../base-url.ts'
import { findProduct, findProductBySlug, listProducts } from '../catalog.ts'
import { queryRow, queryRows } from '../db.ts'
import { sendPage } from '../pages.ts'
import { notFound } from '../problem.ts'
import type { Shop } from '../shop.ts'
import { homePage } from '../views/home.ts'

export function frontDoor(shop: Shop): Router {
  const router = Router()

  router.get('/', (_request, response) => {
    const { products } = listProducts(shop.db, { words: '', category: '', sort: 'newest', page: 1, pageSize: 6 })
    sendPage(shop, response, { title: 'Welcome', body: homePage(products) })
  })

  router.get('/assets/:name', (request, response) => {
    if (request.params.name === 'manifest.json') {
      response.set('Cache-Control', 'no-cache').json(shop.assets.manifest)
      return
    }
    const asset = shop.assets.byHashedName.get(request.params.name)
    if (!asset) throw notFound('asset')
    response.set('Cache-Control', 'public, max-age=31536000, immutable')
    response.set('ETag', `"${request.params.name}"`)
    response.type(asset.type).send(asset.body)
  })

  // Old links, from printed catalogues and from before the last relaunch.
  router.get('/shop', (request, response) => {
    response.redirect(301, absoluteUrl(request, '/products'))
  })

  router.get('/p/:slug', (request, response) => {
    const product = findProductBySlug(shop.db, request.params.slug)
    if (!product) throw notFound('product')
    response.redirect(301, absoluteUrl(request, `/products/${product.id}`))
  })

  router.get('/article.php', (request, response) => {
    const product = findProduct(shop.db, String(request.query.id))
    if (!product) throw notFound('product')
    response.redirect(301, absoluteUrl(request, `/products/${product.id}`))
  })

  router.get('/robots.txt', (request, response) => {
    response
      .type('text/plain')
      .send(`User-agent: *\nDisallow: /cart\nSitemap: ${absoluteUrl(request, '/sitemap.xml')}\n`)
  })

  router.get('/sitemap.xml', (request, response) => {
    const locations = queryRows<{ id: number }>(shop.db, 'SELECT id FROM products ORDER BY id').map(
      ({ id }) => `<url><loc>${absoluteUrl(request, `/products/${id}`).replaceAll('&', '&amp;')}</loc></url>`,
    )
    response.type('application/xml')
    response.send(
      `<?xml version="1.0" encoding="UTF-8"?>\n<urlset xmlns="http://www.sitemaps.org/schemas/sitemap/0.9">\n${locations.join('\n')}\n</urlset>\n`,
    )
  })

  router.get('/healthz', (_request, response) => {
    const { ready } = queryRow<{ ready: number }>(shop.db, 'SELECT 1 AS ready') ?? { ready: 0 }
    const healthy = ready === 1 && !shop.closing.closed
    response.status(healthy ? 200 : 503).json({ status: healthy ? 'ok' : 'closing' })
  })

  return router
}
