// The catalog as JSON: /api/catalog/…
import { Router } from 'express'
import {
  catalogRevision,
  findProduct,
  type Listing,
  listCategories,
  listProducts,
  type Product,
  readListing,
} from '../catalog.ts'
import { CURRENCY, euros, withTax } from '../money.ts'
import { notFound, Problem } from '../problem.ts'
import type { Shop } from '../shop.ts'

export function catalogApi(shop: Shop): Router {
  const router = Router()

  router.get('/api/catalog/products', (request, response) => {
    response.set('ETag', `W/"products-${catalogRevision(shop.db)}"`)
    response.json(stamped(productPageJson(shop, readListing(request.query))))
  })

  router.get('/api/catalog/products/:id', (request, response) => {
    const product = findProduct(shop.db, request.params.id)
    if (!product) throw notFound('product')
    response.set('ETag', `W/"product-${product.id}-${product.version}"`)
    response.set('Last-Modified', new Date(product.updatedAt).toUTCString())
    response.json(stamped(productJson(product)))
  })

  router.get('/api/catalog/categories', (_request, response) => {
    response.set('ETag', `W/"categories-${catalogRevision(shop.db)}"`)
    response.json(stamped({ items: listCategories(shop.db) }))
  })

  router.get('/api/catalog/categories/:slug', (request, response) => {
    const category = listCategories(shop.db).find((candidate) => candidate.slug === request.params.slug)
    if (!category) throw notFound('category')
    response.set('ETag', `W/"categories-${catalogRevision(shop.db)}"`)
    const listing = readListing({ ...request.query, category: category.slug })
    response.json(stamped({ ...category, products: productPageJson(shop, listing) }))
  })

  router.all('/api/catalog/*path', (request, response) => {
    if (request.method === 'GET' || request.method === 'HEAD') throw notFound('resource')
    response.set('Allow', 'GET, HEAD')
    throw new Problem(405, 'method-not-allowed', 'The catalog is read-only.')
  })

  return router
}

function productPageJson(shop: Shop, listing: Listing) {
  const { products, total } = listProducts(shop.db, listing)
  return { items: products.map(productJson), page: listing.page, pageSize: listing.pageSize, total }
}

function productJson(product: Product) {
  return {
    id: product.id,
    sku: product.sku,
    slug: product.slug,
    name: product.name,
    category: { slug: product.category, name: product.categoryName },
    description: product.description,
    currency: CURRENCY,
    price: euros(product.priceCents),
    taxPercent: product.taxPercent,
    priceWithTax: euros(withTax(product.priceCents, product.taxPercent)),
    updatedAt: product.updatedAt,
  }
}

/** Adds the time of the response. ETags do not depend on it: they contain versions. */
function stamped<Answer extends object>(answer: Answer): Answer & { generatedAt: string } {
  return { ...answer, generatedAt: new Date().toISOString() }
}
